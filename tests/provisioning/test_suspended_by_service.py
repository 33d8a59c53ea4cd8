"""An account that the service itself has suspended is trouble, and not ours to resume."""

from typing import Any

import pytest

from mpanel_billing.provisioning.drift import find_drift, repair
from mpanel_billing.provisioning.drivers.http import AccountResponse
from mpanel_billing.provisioning.operations import list_services
from tests.provisioning.conftest import ProvisioningSystem
from tests.provisioning.reference_server import ReferenceServer
from tests.provisioning.world import HostedAccount


async def check(system: ProvisioningSystem) -> list[str]:
    """Do as the nightly reconcile does: compare, record, let the worker run."""
    found = [drift async for drift in find_drift(system.pool, system.provisioning.drivers)]
    for drift in found:
        assert await repair(system.pool, drift)
    await system.run()
    return [drift.describe().partition(": ")[2] for drift in found]


async def trouble(system: ProvisioningSystem) -> list[tuple[str, str]]:
    rows = await system.pool.fetch("SELECT trouble, detail FROM billing_trouble")
    return [(row["trouble"], row["detail"]) for row in rows]


async def sold(system: ProvisioningSystem) -> HostedAccount:
    await system.sell()
    [account] = system.world.accounts
    return account


def actions(server: ReferenceServer) -> list[str]:
    return [request["action"] for request in server.requests]


async def test_it_is_trouble_and_stays_suspended(
    hosted: ProvisioningSystem, server: ReferenceServer
) -> None:
    account = await sold(hosted)
    account.suspend_for("sends spam")
    assert await check(hosted) == ["suspended by the service itself, so not resumed: sends spam"]
    assert await trouble(hosted) == [
        (
            "suspended_by_service",
            f"the service itself has suspended the account {account.reference}: sends spam",
        )
    ]
    assert await check(hosted) == []  # known by now
    assert account.actual == "suspended"
    assert actions(server) == ["create"]
    [row] = await list_services(hosted.pool, await hosted.id_of())
    assert (row["actual"], row["suspended_by_service"]) == ("suspended", "sends spam")


async def test_it_ends_when_the_service_lifts_it(
    hosted: ProvisioningSystem, server: ReferenceServer
) -> None:
    account = await sold(hosted)
    account.suspend_for("sends spam")
    await check(hosted)
    account.clear("active")
    assert len(await check(hosted)) == 1
    assert await trouble(hosted) == []
    assert (await hosted.service())["actual"] == "active"
    assert actions(server) == ["create"]


async def test_a_payment_does_not_resume_what_the_service_has_suspended(
    hosted: ProvisioningSystem, server: ReferenceServer
) -> None:
    account = await sold(hosted)
    await hosted.deliver_subscription("unpaid")
    assert (await hosted.run()).done
    account.suspend_for("sends spam")  # between two checks
    await hosted.deliver_subscription("active")
    assert (await hosted.run()).done
    assert account.actual == "suspended"
    assert [kind for kind, _ in await trouble(hosted)] == ["suspended_by_service"]

    account.clear("suspended")  # ours is left
    await check(hosted)
    assert account.actual == "active"
    assert await trouble(hosted) == []
    assert actions(server) == ["create", "suspend", "resume"]


async def test_an_account_of_an_ended_subscription_is_still_terminated(
    hosted: ProvisioningSystem,
) -> None:
    account = await sold(hosted)
    account.suspend_for("sends spam")
    await check(hosted)
    long_ago = 1_600_000_000
    await hosted.deliver_subscription("canceled", canceled_at=long_ago, ended_at=long_ago)
    assert (await hosted.run()).done
    assert hosted.world.accounts == []
    assert await trouble(hosted) == []


async def test_a_service_that_does_not_say_who_is_resumed_as_before(
    hosted: ProvisioningSystem, server: ReferenceServer
) -> None:
    server.is_old = True
    account = await sold(hosted)
    account.suspend_for("sends spam")
    assert len(await check(hosted)) == 1
    assert account.actual == "active"
    assert await trouble(hosted) == []


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"suspendedBy": "service", "suspensionReason": "spam"}, "spam"),
        ({"suspendedBy": "service"}, "no reason given"),
        ({"suspendedBy": "billing", "suspensionReason": "unpaid"}, None),
        ({"suspensionReason": "spam"}, None),
        ({}, None),
    ],
)
def test_who_has_suspended_it_is_read_from_the_response(
    told: dict[str, Any], expected: str | None
) -> None:
    response = AccountResponse.model_validate({"externalRef": "a", "state": "suspended", **told})
    assert response.suspended_by_service == expected
    active = AccountResponse.model_validate({"externalRef": "a", "state": "active", **told})
    assert active.suspended_by_service is None
