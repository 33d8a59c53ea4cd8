"""The HTTP driver against a server that keeps the contract, and breaks it on demand."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID

import pytest

from mpanel_billing.provisioning.drivers.protocol import (
    Account,
    Done,
    Driver,
    DriverCommand,
    Found,
    Refused,
    Unknown,
    Unsettled,
)
from mpanel_billing.provisioning.drivers.registry import Drivers, open_drivers
from mpanel_billing.provisioning.drivers.signed_client import sign
from tests.provisioning.conftest import ProvisioningSystem
from tests.provisioning.reference_server import Misbehaviour, ReferenceServer
from tests.service import make_settings

SUBSCRIPTION = UUID("0b54d8a6-7d3a-4c34-9f53-0a1b2c3d4e5f")
CREATE = DriverCommand(
    "create",
    "key-1",
    SUBSCRIPTION,
    "hosting",
    1,
    None,
    {"resources": {"gb": 1}, "domainMode": "later", "furtherDomains": []},
)


@pytest.fixture
async def drivers(server: ReferenceServer) -> AsyncIterator[Drivers]:
    services = {"hosting": server.endpoint(timeout_seconds=0.5), "email": server.endpoint()}
    async with open_drivers(make_settings(provisioning_services=services)) as opened:
        yield opened


@pytest.fixture
def driver(drivers: Drivers) -> Driver:
    return drivers.choose("hosting").driver


async def test_commands_are_carried_out_and_return_the_reference(driver: Driver) -> None:
    made = await driver.create(CREATE)
    assert isinstance(made, Done)
    assert await driver.create(CREATE) == made
    suspend = replace(
        CREATE,
        action="suspend",
        idempotency_key="key-2",
        generation=2,
        external_ref=made.external_ref,
        details={"reason": "unpaid"},
    )
    assert isinstance(await driver.suspend(suspend), Done)
    again = replace(suspend, idempotency_key="key-3", generation=3)
    assert (await driver.suspend(again)) == Done(
        made.external_ref,
        already=True,
        response={"status": 409, "code": "already_done", "externalRef": made.external_ref},
    )


@pytest.mark.parametrize(
    ("misbehaviour", "error"),
    [
        ("500", "HTTP 500"),
        ("500_after", "HTTP 500"),
        ("slow", "timed out"),
        ("hang_after", "timed out"),
        ("garbage", "HTTP 200"),
        ("cut", "no response: ServerDisconnectedError"),
        ("429", "HTTP 429"),
    ],
)
async def test_a_command_that_may_have_been_carried_out_is_repeated(
    driver: Driver, server: ReferenceServer, misbehaviour: Misbehaviour, error: str
) -> None:
    server.misbehaviours.append(misbehaviour)
    result = await driver.create(CREATE)
    assert isinstance(result, Unsettled)
    assert result.error == error
    assert result.retry_after == (120 if misbehaviour == "429" else None)
    assert isinstance(await driver.create(CREATE), Done)
    assert len(server.world.accounts) == 1


async def test_a_refusal_says_why(driver: Driver, server: ReferenceServer) -> None:
    server.misbehaviours.append("422")
    result = await driver.create(CREATE)
    assert isinstance(result, Refused)
    assert result.error == "HTTP 422: no such zone"


async def test_an_unreachable_service_is_retried() -> None:
    nowhere = {"url": "http://127.0.0.1:1/v1", "token": "t", "secret": "s"}
    settings = make_settings(provisioning_services={"hosting": nowhere})
    async with open_drivers(settings) as drivers:
        driver = drivers.choose("hosting").driver
        assert isinstance(await driver.create(CREATE), Unsettled)
        account = Account(SUBSCRIPTION, "hosting", None)
        assert isinstance(await driver.inspect(account), Unknown)


async def test_an_account_can_be_inspected(driver: Driver) -> None:
    account = Account(SUBSCRIPTION, "hosting", None)
    assert await driver.inspect(account) == Found("absent")
    made = await driver.create(CREATE)
    assert isinstance(made, Done)
    assert await driver.inspect(account) == Found(
        "active", made.external_ref, {"gb": 1}, generation=1
    )


async def test_other_product_types_are_only_logged(drivers: Drivers) -> None:
    driver = drivers.choose("ssl").driver
    assert driver.name == "log"
    assert await driver.create(CREATE) == Done(f"log-{SUBSCRIPTION}")
    assert isinstance(await driver.inspect(Account(SUBSCRIPTION, "ssl", None)), Unknown)


def test_the_signature_covers_time_method_path_and_body() -> None:
    body = b"1790000000.POST./v1/orders.{}"
    digest = hmac.new(b"secret", body, hashlib.sha256).hexdigest()
    signed = sign("secret", 1_790_000_000, "POST", "/v1/orders", b"{}")
    assert signed == f"t=1790000000,v1={digest}"
    others = [
        sign("other", 1_790_000_000, "POST", "/v1/orders", b"{}"),
        sign("secret", 1_790_000_001, "POST", "/v1/orders", b"{}"),
        sign("secret", 1_790_000_000, "GET", "/v1/orders", b"{}"),
        sign("secret", 1_790_000_000, "POST", "/v1/other", b"{}"),
        sign("secret", 1_790_000_000, "POST", "/v1/orders", b"[]"),
    ]
    assert len({signed, *others}) == 6


async def test_a_subscription_is_provisioned_over_http_through_every_misbehaviour(
    system: ProvisioningSystem, server: ReferenceServer, drivers: Drivers
) -> None:
    system.provisioning = replace(system.provisioning, drivers=drivers)
    await system.deliver_subscription("active", "premium_monthly_usd")
    await system.deliver_invoice("paid")
    server.misbehaviours.extend(["500", "hang_after", "cut", "500_after", "429", "garbage"])
    for _ in range(7):
        if (await system.run()).done:
            break
        await system.make_due()
    id_ = await system.id_of()
    assert server.world.of(id_) == {"hosting": "active", "email": "active"}
    assert (await system.service())["driver"] == "http"
    assert (await system.inbox.subscription())["status"] == "active"


async def test_an_account_of_a_service_that_is_no_longer_configured_is_left_and_shown(
    system: ProvisioningSystem, drivers: Drivers
) -> None:
    own = system.provisioning
    system.provisioning = replace(own, drivers=drivers)
    await system.sell()
    async with open_drivers(make_settings()) as without:
        system.provisioning = replace(own, drivers=without)
        await system.deliver_subscription("unpaid")
        outcome = await system.run()
    assert outcome.error == "hosting: The driver of this account is no longer configured."
