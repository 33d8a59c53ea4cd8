"""An operator's work in a real browser, from a cold start: app, worker, sandbox, a hosting service.

Each journey asserts what the database and Stripe have afterwards, and how many steps it took:
clicks, keys and fields. docs/console.md has the same numbers.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from aiohttp import ClientSession

from mpanel_billing.access.audit import Actor
from mpanel_billing.access.keys import create_key
from mpanel_billing.database.pool import Pool
from mpanel_billing.resources import ROOT
from mpanel_billing.settings import Settings
from mpanel_billing.worker.process import work
from stripe_sandbox import Sandbox
from stripe_sandbox.client import SandboxClient
from tests.browser.conftest import Browser
from tests.browser.hands import Hands
from tests.console.conftest import KEY, make_console
from tests.provisioning.reference_server import ReferenceServer
from tests.service import ORDER, WEBHOOK_SECRET, AppClient, Service, make_settings
from tests.waiting import until_true

pytestmark = pytest.mark.browser

LONGEST_SECONDS = 60
PEOPLE = {
    "ada": "Ada Lovelace",
    "charles": "Charles Babbage",
    "grace": "Grace Hopper",
    "mallory": "Mallory Mill",
}
"""Ada has paid and has nothing, Grace is in a trial, Mallory sends spam, Charles is well."""


@dataclass(frozen=True)
class Desk:
    """An operator who has signed in, and what the journeys are about."""

    hands: Hands
    service: Service
    server: ReferenceServer
    sold: Mapping[str, UUID]

    @property
    def pool(self) -> Pool:
        return self.service.pool

    async def search(self, text: str) -> None:
        """Go to the box by its key, and find."""
        await self.hands.press("/")
        await self.hands.type(text)
        await self.hands.enter()

    async def of(self, person: str, columns: str) -> Any:
        """Return a value of somebody's subscription."""
        query = f"SELECT {columns} FROM subscriptions WHERE id = $1"
        return await self.pool.fetchval(query, self.sold[person])

    async def at_stripe(self, path: str) -> dict[str, Any]:
        headers = {"Authorization": "Bearer sk_test_of_the_tests"}
        async with (
            ClientSession(headers=headers) as session,
            session.get(f"{self.service.sandbox.url}/v1/{path}") as answer,
        ):
            assert answer.status == 200
            content: dict[str, Any] = await answer.json()
            return content

    async def done(self, action: str, target: object) -> None:
        """Assert that something is in the audit log once, under the operator's name."""
        rows = await self.pool.fetch(
            "SELECT person, outcome FROM billing_audit_log WHERE action = $1 AND target_id = $2",
            action,
            str(target),
        )
        assert [tuple(row) for row in rows] == [("ada.lovelace", "done")], action


@pytest.fixture
async def server() -> AsyncIterator[ReferenceServer]:
    async with ReferenceServer().running() as running:
        yield running


@pytest.fixture
def settings(database_url: str, sandbox: Sandbox, server: ReferenceServer) -> Settings:
    return make_settings(
        database_url=database_url,
        stripe_api_base=sandbox.url,
        admin_api_keys=KEY,
        billing_api_keys=KEY,
        provisioning_services={"hosting": server.endpoint()},
    )


@pytest.fixture
async def service(
    *,
    settings: Settings,
    sandbox: Sandbox,
    stripe: SandboxClient,
    pool: Pool,
    offers: None,
    aiohttp_client: Callable[..., Awaitable[AppClient]],
) -> Service:
    """The service with its console."""
    client = await aiohttp_client(make_console(settings))
    sandbox.add_webhook(str(client.make_url("/api/webhooks/stripe")), WEBHOOK_SECRET)
    return Service(client, sandbox, stripe, pool, settings)


@pytest.fixture
async def desk(service: Service, server: ReferenceServer, browser: Browser) -> AsyncIterator[Desk]:
    async with working(service.settings):
        yield await sit_down(service, server, browser)


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[None]:
    """Run a worker for the duration of the block."""
    stop = asyncio.Event()
    worker = asyncio.create_task(work(settings, stop))
    yield
    stop.set()
    await worker


async def sit_down(service: Service, server: ReferenceServer, browser: Browser) -> Desk:
    """Sell to all people, wait for the worker, and sign in."""
    sold = {person: await _sell(service, server, person) for person in PEOPLE}
    await until_true(
        service.pool,
        "SELECT count(*) = $1 FROM tenant_services"
        " WHERE product_type = 'hosting' AND (actual = 'active' OR stopped = 'refused')",
        len(PEOPLE),
    )
    desk = Desk(Hands(browser), service, server, sold)
    await browser.open(str(service.client.make_url("/console")))
    await desk.hands.fill("Your name", "ada.lovelace")
    await desk.hands.fill("API key", KEY)
    await desk.hands.click("Sign in")
    return desk


async def _sell(service: Service, server: ReferenceServer, person: str) -> UUID:
    order = deepcopy(ORDER) | {
        "trialActive": person == "grace",
        "customer": {"name": PEOPLE[person], "email": f"{person}@example.com"},
        "domain": {"mode": "existing", "value": f"{person}.example.com"},
    }
    answer = await service.order_elsewhere(order)
    bought = UUID(answer["subscriptionId"])
    if person == "ada":
        server.unwilling.add((bought, "hosting"))
    await service.stripe.pay(answer["url"], "4242424242424242", name=PEOPLE[person])
    await service.stripe.wait_idle()
    return bought


async def find_by_domain(desk: Desk) -> None:
    await desk.search("ada.example.com")
    await desk.hands.enter()
    await desk.hands.sees("What they have", "Ada Lovelace")
    address = await desk.hands.browser.run("return location.pathname")
    assert address == f"/console/customers/{await desk.of('ada', 'customer_id')}"


async def explain_paid_and_nothing(desk: Desk) -> None:
    await desk.search("ada@example.com")
    await desk.hands.enter()
    await desk.hands.sees("provisioning_failed", "no such zone", "A service has refused a command")
    await desk.hands.sees("hosting absent → active", "$12.98", "visa ···· 4242")
    row = await desk.pool.fetchrow(
        "SELECT v.actual, v.stopped, i.amount_paid FROM tenant_services AS v"
        " JOIN invoices AS i USING (subscription_id)"
        " WHERE subscription_id = $1 AND product_type = 'hosting'",
        desk.sold["ada"],
    )
    assert row
    assert tuple(row) == ("absent", "refused", 1298)  # as it was told


async def refund_a_part(desk: Desk) -> None:
    await desk.search("babbage")
    await desk.hands.enter()
    await desk.hands.click("Refund")
    await desk.hands.fill("Amount in USD", "2.50")
    await desk.hands.click("Show what happens")
    await desk.hands.sees("$2.50 goes back", "$10.48 of the invoice is kept.")
    await desk.hands.click("Refund $2.50 now")
    await desk.hands.sees("Refunded.")
    await desk.service.stripe.wait_idle()
    row = await desk.pool.fetchrow(
        "SELECT id, amount_refunded FROM invoices WHERE subscription_id = $1", desk.sold["charles"]
    )
    assert row
    assert row["amount_refunded"] == 250
    assert [one["amount"] for one in (await desk.at_stripe("refunds"))["data"]] == [250]
    await desk.done("invoice.refund", row["id"])


async def stage_evidence(desk: Desk) -> None:
    id_ = await desk.service.stripe.dispute(await _charge_of(desk, "charles"))
    await desk.service.stripe.wait_idle()
    desk.hands.begin()
    await desk.hands.click("Disputes")
    await desk.hands.click("Evidence", near="Charles Babbage")
    await desk.hands.fill("IP address of the order", "192.0.2.7")
    await desk.hands.click("Stage at Stripe")
    await desk.hands.sees("the bank does not have it yet")
    await desk.service.stripe.wait_idle()
    at_stripe = await desk.at_stripe(f"disputes/{id_}")
    assert at_stripe["evidence"]["customer_purchase_ip"] == "192.0.2.7"
    assert at_stripe["evidence"]["customer_name"] == "Charles Babbage"
    assert at_stripe["evidence_details"]["submission_count"] == 0
    assert await desk.pool.fetchval("SELECT has_evidence FROM stripe_disputes")


async def replay_a_failed_event(desk: Desk) -> None:
    table = "stripe_fraud_warnings"
    await desk.pool.execute(f"ALTER TABLE {table} ADD CONSTRAINT broken CHECK (false) NOT VALID")
    warning = await desk.service.stripe.warn_of_fraud(await _charge_of(desk, "mallory"))
    await desk.service.stripe.wait_idle()
    await desk.pool.execute(f"ALTER TABLE {table} DROP CONSTRAINT broken")
    desk.hands.begin()
    await desk.hands.click("Events", near="Trouble")
    await desk.hands.sees("violates check constraint")
    await desk.hands.click("Replay", near="radar.early_fraud_warning.created")
    await desk.hands.click("Replay now")
    await desk.hands.sees("Applied.")
    [row] = await desk.pool.fetch(
        "SELECT id, status FROM stripe_events WHERE object_id = $1", warning
    )
    assert row["status"] == "applied"
    assert await desk.pool.fetchval(f"SELECT stripe_fraud_warning_id FROM {table}") == warning
    await desk.done("event.replay", row["id"])


async def retry_a_service(desk: Desk) -> None:
    desk.server.unwilling.clear()
    await desk.hands.click("Trouble")
    await desk.hands.click("Retry", near="Ada Lovelace")
    await desk.hands.sees("hosting: absent → active", "no such zone")
    await desk.hands.click("Retry now")
    await _sees_service(desk, "ada", "active")
    await desk.done("subscription.retry", desk.sold["ada"])


async def suspend_and_lift(desk: Desk) -> None:
    await desk.search("mallory.example.com")
    await desk.hands.click("starter")
    await desk.hands.click("Suspend")
    await desk.hands.fill("Why? For the record; the customer does not see it.", "sends spam")
    await desk.hands.click("Suspend now")
    await desk.hands.sees("An operator has suspended it: sends spam (ada.lovelace)")
    await _sees_service(desk, "mallory", "suspended")
    await desk.hands.click("Lift the suspension")
    await desk.hands.sees("hosting: comes back")
    await desk.hands.click("Lift it now")
    await _sees_service(desk, "mallory", "active")
    for action in ("subscription.suspend", "subscription.lift"):
        await desk.done(action, desk.sold["mallory"])


async def change_a_plan(desk: Desk) -> None:
    await desk.search("mallory")
    await desk.hands.click("starter")
    await desk.hands.click("Change the plan")
    await desk.hands.choose("Plan and term", "Business, monthly: $9.99")
    await desk.hands.click("Show what happens")
    await desk.hands.sees("The change is made at once.", "Charged now: $2.00")
    await desk.hands.click("Change it now")
    await desk.hands.sees("Business")
    await desk.service.stripe.wait_idle()
    id_ = await desk.of("mallory", "stripe_subscription_id")
    items = (await desk.at_stripe(f"subscriptions/{id_}"))["items"]["data"]
    assert sorted(one["price"]["unit_amount"] for one in items) == [499, 999]
    paid = await desk.pool.fetchval(
        "SELECT sum(amount_paid) FROM invoices WHERE subscription_id = $1", desk.sold["mallory"]
    )
    assert paid == 1298 + 200
    assert await desk.of("mallory", "metadata ->> 'planId'") == "business"


async def extend_a_trial(desk: Desk) -> None:
    before = await desk.of("grace", "trial_end")
    await desk.search("grace.example.com")
    await desk.hands.click("starter")
    await desk.hands.click("Extend the trial")
    await desk.hands.sees("Charged now: $0.00")
    await desk.hands.fill("Why? For the record.", "moves slowly")
    await desk.hands.click("Extend it")
    await desk.hands.sees("The trial is extended.")
    await desk.service.stripe.wait_idle()
    after = await desk.of("grace", "trial_end")
    assert timedelta(days=7) <= after - before < timedelta(days=8)
    at_stripe = await desk.at_stripe(
        f"subscriptions/{await desk.of('grace', 'stripe_subscription_id')}"
    )
    assert at_stripe["trial_end"] == after.timestamp()


async def roll_a_key(desk: Desk) -> None:
    old = await create_key(desk.pool, Actor("grace"), name="panel", scopes=("billing:read",))
    desk.hands.begin()
    await desk.hands.click("API keys")
    await desk.hands.click("Roll", near="panel")
    await desk.hands.sees("works until", "The key is shown once")
    await desk.hands.click("Roll it now")
    await desk.hands.sees("cannot be shown again")
    new = await desk.hands.browser.text_of("code.secret")
    customer = await desk.of("ada", "customer_id")
    for key in (old.text, new):  # mPanel's backend has a day to change it
        answer = await desk.service.client.get(
            f"/api/billing/subscriptions?customerId={customer}",
            headers={"Authorization": f"Bearer {key}"},
        )
        assert answer.status == 200
    replaced = await desk.pool.fetchval(
        "SELECT replaced_by FROM billing_api_keys WHERE id = $1", old.id
    )
    assert new.startswith(f"{replaced}_")


async def _charge_of(desk: Desk, person: str) -> str:
    charge: str = await desk.pool.fetchval(
        "SELECT stripe_charge_id FROM stripe_charges AS h"
        " JOIN subscriptions AS s USING (stripe_customer_id) WHERE s.id = $1",
        desk.sold[person],
    )
    return charge


async def _sees_service(desk: Desk, person: str, state: str) -> None:
    """Wait until the page that looks again shows a service so, as it is in the database."""
    await desk.hands.sees(f"hosting {state} {state}")
    assert desk.server.world.of(desk.sold[person])["hosting"] == state
    assert await desk.pool.fetchval(
        "SELECT actual = $2 FROM tenant_services"
        " WHERE subscription_id = $1 AND product_type = 'hosting'",
        desk.sold[person],
        state,
    )


JOURNEYS: Mapping[str, Callable[[Desk], Awaitable[None]]] = {
    "find a customer by their domain": find_by_domain,
    'explain "I paid and have nothing"': explain_paid_and_nothing,
    "refund a part of an invoice": refund_a_part,
    "stage the evidence of a dispute": stage_evidence,
    "replay an event that failed": replay_a_failed_event,
    "retry a service": retry_a_service,
    "suspend for abuse, and lift it": suspend_and_lift,
    "change a plan, with its preview": change_a_plan,
    "extend a trial": extend_a_trial,
    "roll a key": roll_a_key,
}


async def test_an_operator_does_each_journey_within_a_minute_in_the_steps_of_the_docs(
    desk: Desk,
) -> None:
    told = dict(re.findall(r"^\| ([^|]+?) +\| (\d+) \|", _docs(), re.MULTILINE))
    took = {}
    for name, journey in JOURNEYS.items():
        desk.hands.begin()
        await journey(desk)
        assert desk.hands.seconds < LONGEST_SECONDS, name
        took[name] = str(desk.hands.steps)
    assert took == {name: told.get(name) for name in JOURNEYS}


def _docs() -> str:
    return (ROOT / "docs" / "console.md").read_text()
