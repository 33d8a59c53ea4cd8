"""Before a smaller plan, and before money moves, services are asked whether what is used fits."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from mpanel_billing.provisioning.product_resources import is_less
from mpanel_billing.settings import Settings
from tests.provisioning.reference_server import ReferenceServer
from tests.service import make_settings
from tests.subscriptions.conftest import KEY, Backend

STARTER = {"planId": "starter", "billingCycle": "monthly"}
BUSINESS = {"planId": "business", "billingCycle": "monthly"}
WORDS = "60 GB are used, 25 GB would be left"


@pytest.fixture
async def server() -> AsyncIterator[ReferenceServer]:
    async with ReferenceServer().running() as running:
        yield running


@pytest.fixture
def settings(settings: Settings, server: ReferenceServer) -> Settings:
    return make_settings(
        database_url=settings.database_url.get_secret_value(),
        stripe_api_base=str(settings.stripe_api_base),
        billing_api_keys=KEY,
        provisioning_services={"hosting": server.endpoint(timeout_seconds=1)},
    )


@pytest.fixture
async def hosted(backend: Backend, order_a: dict[str, Any]) -> str:
    """Premium, whose account is at the service."""
    order = await backend.service.buy(order_a | {"planId": "premium"})
    await backend.worker.catch_up()
    await backend.service.pool.execute(
        "UPDATE tenant_services SET driver = 'http' WHERE product_type = 'hosting'"
    )
    return f"subscriptions/{order['subscriptionId']}"


@pytest.mark.parametrize("when", [{}, {"when": "now"}])
async def test_the_services_words_refuse_a_plan_that_is_too_small(
    backend: Backend, hosted: str, server: ReferenceServer, when: dict[str, str]
) -> None:
    server.world.unfit["hosting"] = WORDS
    for verb in ("preview-change", "change-plan"):
        refused = await backend.post(f"{hosted}/{verb}", STARTER | when)
        assert (refused.status, refused.body["code"]) == (409, "does_not_fit")
        assert WORDS in refused.body["error"]
    sold = await backend.service.pool.fetchval(
        "SELECT resources FROM products WHERE code = 'starter'"
    )
    assert server.checks[0]["resources"].items() >= sold.items()
    assert len(await backend.invoices(hosted.removeprefix("subscriptions/"))) == 1
    assert await backend.audit() == []
    server.world.unfit.clear()
    assert (await backend.done(f"{hosted}/change-plan", STARTER | when))["changed"]


async def test_more_is_not_asked_about(
    backend: Backend, hosted: str, server: ReferenceServer
) -> None:
    server.world.unfit["hosting"] = WORDS
    assert (await backend.done(f"{hosted}/change-plan", BUSINESS))["changed"]
    assert server.checks == []


async def test_a_service_that_offers_no_check_refuses_nothing(
    backend: Backend, hosted: str, server: ReferenceServer
) -> None:
    server.is_old = True
    server.world.unfit["hosting"] = WORDS
    assert (await backend.done(f"{hosted}/change-plan", STARTER | {"when": "now"}))["changed"]


async def test_one_that_cannot_be_reached_is_asked_again_when_the_change_begins(
    backend: Backend, hosted: str, server: ReferenceServer
) -> None:
    server.breaks = True
    refused = await backend.post(f"{hosted}/change-plan", STARTER | {"when": "now"})
    assert (refused.status, refused.body["code"]) == (503, "service_unreachable")
    assert (await backend.done(f"{hosted}/change-plan", STARTER))["changed"]


def test_less_is_what_has_a_smaller_number_or_goes() -> None:
    had = {"disk_gb": 50, "websites": 3, "cdn": True}
    assert not is_less(had, {"disk_gb": 50, "websites": 3})
    assert not is_less(had, {"disk_gb": 60, "websites": 3, "cdn": False})
    assert is_less(had, {"disk_gb": 49, "websites": 9})
    assert is_less(had, {"disk_gb": 50})
