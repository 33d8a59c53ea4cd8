"""Domains from the order to the registrar, whose ledger is what buyers have paid, to the cent."""

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from cryptography.fernet import Fernet

from mpanel_billing.domains.auth_codes import AuthCodes
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning.drivers.registry import open_drivers
from mpanel_billing.provisioning.registrar.run import Registering, see_to_domain
from mpanel_billing.settings import Settings
from mpanel_billing.subscriptions.lost_domains import give_back_lost
from mpanel_billing.telemetry.logs import JsonLines
from tests.inline_worker import InlineWorker
from tests.provisioning.reference_registrar import Charge, ReferenceRegistrar
from tests.service import Service, make_settings

PRICE = 1299
CODE = "s3cret-Auth/Code"
LIVES_AT = {
    "phone": "+49301234567",
    "address1": "12 St James's Square",
    "city": "Berlin",
    "postcode": "10115",
    "country": "DE",
}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return make_settings(
        database_url=settings.database_url.get_secret_value(),
        stripe_api_base=str(settings.stripe_api_base),
        encryption_keys=Fernet.generate_key().decode(),
    )


@dataclass
class Shop:
    """The running service, its worker, and a registrar."""

    service: Service
    worker: InlineWorker
    registrar: ReferenceRegistrar
    registering: Registering
    mirror: Mirror

    async def catch_up(self) -> None:
        """Do all that is due, at the registrar too."""
        await self.worker.catch_up()
        due = "SELECT id FROM billing_domains WHERE driver IS NOT NULL AND next_attempt_at <= now()"
        for row in await self.service.pool.fetch(due):
            await see_to_domain(self.registering, row["id"])
        await give_back_lost(self.mirror)
        await self.worker.catch_up()

    async def buy(self, order: dict[str, Any], mode: str, **domain: Any) -> dict[str, Any]:
        chosen = {"mode": mode, "value": "ada.com", **domain}
        order = {**order, "customer": {**order["customer"], **LIVES_AT}, "domain": chosen}
        bought = await self.service.buy({**order, "addonIds": []})
        await self.catch_up()
        return bought

    async def order_state(self, session_id: str) -> dict[str, Any]:
        answer = await self.service.client.get(f"/api/checkout/session/{session_id}")
        content: dict[str, Any] = await answer.json()
        [domain] = content["domains"]
        return dict(domain)

    async def earned(self) -> int:
        """Return what was paid for domains, and not given back."""
        charged = await self.service.pool.fetchval(
            "SELECT coalesce(sum(c.amount), 0) FROM subscription_charges AS c"
            " WHERE c.domain IS NOT NULL AND EXISTS (SELECT 1 FROM invoices AS i WHERE"
            " i.subscription_id = c.subscription_id AND i.amount_paid >= c.amount)"
        )
        back = await self.service.pool.fetchval(
            "SELECT coalesce(sum(amount), 0) FROM stripe_refunds"
        )
        return int(charged - back)

    async def agrees(self) -> bool:
        """Whether the registrar's ledger is what buyers have paid for, to the cent."""
        return await self.earned() == PRICE * len(self.registrar.ledger)


@pytest.fixture
async def shop(service: Service, worker: InlineWorker) -> AsyncIterator[Shop]:
    async with ReferenceRegistrar().running() as registrar:
        settings = make_settings(
            provisioning_services={"domain": registrar.endpoint()},
            encryption_keys=service.settings.encryption_keys,
        )
        async with open_drivers(settings) as opened:
            drivers = replace(worker.provisioning.drivers, registrar=opened.registrar)
            provisioning = replace(worker.provisioning, drivers=drivers)
            yield Shop(
                service,
                replace(worker, provisioning=provisioning),
                registrar,
                Registering(provisioning.pool, drivers, AuthCodes(settings.encryption_keys)),
                Mirror(service.pool, worker.gateway, livemode=False),
            )


async def everything_stored(service: Service) -> str:
    """Return every row of ours as text."""
    tables = await service.pool.fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
    )
    rows = [
        await service.pool.fetch(
            f'SELECT to_jsonb(t)::text AS row FROM "{table["tablename"]}" AS t'
        )
        for table in tables
    ]
    return json.dumps([row["row"] for table in rows for row in table])


async def test_a_transfer_with_its_code_is_bought_and_the_code_is_kept_nowhere(
    shop: Shop, order_a: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.handler.setFormatter(JsonLines())
    shop.registrar.taken["ada.com"] = CODE
    bought = await shop.buy(order_a, "transfer", authCode=CODE)
    domain = await shop.order_state(bought["sessionId"])
    assert (domain["state"], domain["needs"]) == ("active", [])
    assert shop.registrar.ledger == [Charge("transfer", "ada.com", 1)]
    assert await shop.agrees()
    assert CODE not in await everything_stored(shop.service)
    assert CODE not in caplog.text


async def test_a_code_that_is_missing_is_asked_for_and_handed_in_by_the_buyer(
    shop: Shop, order_a: dict[str, Any]
) -> None:
    shop.registrar.taken["ada.com"] = CODE
    bought = await shop.buy(order_a, "transfer")
    session = bought["sessionId"]
    assert (await shop.order_state(session))["needs"] == ["auth_code"]
    [trouble] = await shop.service.pool.fetch("SELECT * FROM billing_trouble")
    assert (trouble["trouble"], trouble["object_id"]) == ("domain_needs", "ada.com")

    route = f"/api/checkout/session/{session}/auth-code"
    other = await shop.service.client.post(route, json={"domain": "eve.com", "authCode": CODE})
    assert (other.status, (await other.json())["code"]) == (409, "no_transfer")
    body = {"domain": "ADA.com", "authCode": "wrong"}
    handed = await shop.service.client.post(route, json=body)
    assert (handed.status, await handed.json()) == (200, {"success": True, "domain": "ada.com"})
    await shop.catch_up()
    assert (await shop.order_state(session))["needs"] == ["auth_code"]

    assert (await shop.service.client.post(route, json={**body, "authCode": CODE})).status == 200
    await shop.catch_up()
    assert (await shop.order_state(session))["state"] == "active"
    assert await shop.agrees()
    assert await shop.service.pool.fetch("SELECT * FROM billing_trouble") == []


async def test_a_name_that_went_in_the_meantime_costs_nobody_anything(
    shop: Shop, order_a: dict[str, Any]
) -> None:
    shop.registrar.taken["ada.com"] = CODE
    bought = await shop.buy(order_a, "register")
    assert (await shop.order_state(bought["sessionId"]))["state"] == "failed"
    assert (shop.registrar.ledger, await shop.earned()) == ([], 0)
    await shop.catch_up()
    assert await shop.earned() == 0, "it goes back once"
    assert await shop.service.pool.fetch("SELECT * FROM billing_trouble") == []


@pytest.mark.parametrize("is_taken", [False, True])
async def test_a_trial_orders_nothing_until_its_end_is_paid(
    shop: Shop, order_a: dict[str, Any], *, is_taken: bool
) -> None:
    await shop.buy({**order_a, "trialActive": True}, "register")
    assert shop.registrar.orders == []
    if is_taken:
        shop.registrar.taken["ada.com"] = CODE
    stripe = shop.service.stripe
    await stripe.advance_time(await stripe.now() + 15 * 86_400)
    await stripe.wait_idle()
    await shop.catch_up()
    assert len(shop.registrar.ledger) == (0 if is_taken else 1)
    assert await shop.agrees()
