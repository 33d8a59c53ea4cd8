"""An edit of the catalogue reaches the accounts of existing subscriptions."""

import pytest

from mpanel_billing.catalogue.file import read_catalogue_file
from mpanel_billing.catalogue.schema import CatalogueFile
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.resources import DEFAULT_CATALOGUE
from mpanel_billing.worker import sweep as sweeping
from mpanel_billing.worker.sweep import sweep
from tests.provisioning.conftest import ProvisioningSystem


def catalogue(**starter: object) -> CatalogueFile:
    """Return the default catalogue, with the plan `starter` edited."""
    file = read_catalogue_file(DEFAULT_CATALOGUE)
    plans = [p.model_copy(update=starter) if p.code == "starter" else p for p in file.plans]
    return file.model_copy(update={"plans": tuple(plans)})


async def triggered(system: ProvisioningSystem) -> set[str]:
    rows = await system.pool.fetch("SELECT payload FROM pgqueuer WHERE status = 'queued'")
    await system.pool.execute("DELETE FROM pgqueuer")
    return {row["payload"].decode() for row in rows}


async def test_more_resources_reach_only_subscriptions_with_the_plan(
    system: ProvisioningSystem,
) -> None:
    starter = await system.sell("starter_monthly_usd")
    await system.sell("premium_monthly_usd", id_="sub_2")
    await triggered(system)

    await apply_catalogue(system.pool, catalogue(resources={"disk_gb": 50}))
    assert (await sweep(system.pool))["edited"] == 1
    assert await triggered(system) == {str(starter)}
    assert (await system.run()).done
    [account] = [a for a in system.world.accounts if a.subscription_id == starter]
    assert account.resources == {"disk_gb": 50}
    assert (await sweep(system.pool))["edited"] == 0


async def test_a_new_product_type_is_created_for_subscriptions_with_the_plan(
    system: ProvisioningSystem,
) -> None:
    id_ = await system.sell("starter_monthly_usd")
    await apply_catalogue(system.pool, catalogue(product_types=("hosting", "email")))
    await sweep(system.pool)
    assert (await system.run()).done
    assert system.world.of(id_) == {"hosting": "active", "email": "active"}


async def test_an_edit_of_display_texts_triggers_nothing(system: ProvisioningSystem) -> None:
    await system.sell("starter_monthly_usd")
    await apply_catalogue(system.pool, catalogue(name="Beginner", features=("All of it",)))
    assert (await sweep(system.pool))["edited"] == 0


async def test_many_subscriptions_are_triggered_in_batches(
    system: ProvisioningSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "MOST", 2)
    sold = {str(await system.sell(id_=f"sub_{n}")) for n in range(1, 6)}
    await triggered(system)
    await apply_catalogue(system.pool, catalogue(resources={"disk_gb": 50}))
    monkeypatch.setattr(sweeping, "PAGES_OF_EDITS", 2)
    pages = [(await sweep(system.pool))["edited"] for _ in range(3)]
    assert pages == [4, 1, 0]
    assert await triggered(system) == sold


async def test_one_sweep_reaches_the_subscriptions_of_all_edited_products(
    system: ProvisioningSystem,
) -> None:
    starter = await system.sell("starter_monthly_usd")
    premium = await system.sell("premium_monthly_usd", id_="sub_2")
    await triggered(system)
    file = read_catalogue_file(DEFAULT_CATALOGUE)
    plans = [plan.model_copy(update={"resources": {"disk_gb": 99}}) for plan in file.plans]
    await apply_catalogue(system.pool, file.model_copy(update={"plans": tuple(plans)}))
    assert (await sweep(system.pool))["edited"] == 2
    priorities = await system.pool.fetch("SELECT priority FROM pgqueuer WHERE status = 'queued'")
    assert {row["priority"] for row in priorities} == {-1}, "new orders do not wait for them"
    assert await triggered(system) == {str(starter), str(premium)}
    assert await system.pool.fetch("SELECT 1 FROM catalogue_edits") == []


async def test_what_waits_because_of_an_edit_does_not_hide_what_else_is_due(
    system: ProvisioningSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "MOST", 1)
    await system.sell("starter_monthly_usd")
    other = await system.sell("premium_monthly_usd", id_="sub_2")
    await apply_catalogue(system.pool, catalogue(resources={"disk_gb": 50}))
    await sweep(system.pool)
    await triggered(system)
    await system.pool.execute(
        "UPDATE provisioning_work SET wake_at = wake_at - interval '5 minutes'"
        " WHERE wake_at IS NOT NULL"
    )
    await system.pool.execute(
        "UPDATE provisioning_work SET wake_at = now() WHERE subscription_id = $1", other
    )
    assert (await sweep(system.pool))["provisioning"] == 1
    assert await triggered(system) == {str(other)}
