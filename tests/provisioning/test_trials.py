"""A person has one trial of a plan, also when two payment pages are paid later."""

import asyncio
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from mpanel_billing.access.persons import PersonHasher
from mpanel_billing.provisioning.converge import provision_tenant_for_subscription
from mpanel_billing.provisioning.trials import TrialRules
from mpanel_billing.settings import Settings
from tests.inline_worker import InlineWorker
from tests.service import CREATE_SESSION, Service, make_settings

KEY = "b" * 32
BACKEND = {"Authorization": f"Bearer {KEY}"}
VISA, MASTERCARD, AMEX = "4242424242424242", "5555555555554444", "378282246310005"
SUBSCRIPTIONS = "/v1/subscriptions/"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return make_settings(
        database_url=settings.database_url.get_secret_value(),
        stripe_api_base=str(settings.stripe_api_base),
        billing_api_keys=KEY,
    )


@pytest.fixture
def strict_worker(worker: InlineWorker) -> InlineWorker:
    """A worker with SECOND_TRIALS=end."""
    rules = TrialRules(PersonHasher(worker.service.settings.person_secret), end_second=True)
    return replace(worker, provisioning=replace(worker.provisioning, trials=rules))


def trial_of(email: str, domain: str | None = None, **changes: Any) -> dict[str, Any]:
    named = {"mode": "register", "value": domain} if domain else {"mode": "later", "value": ""}
    return {
        "planId": "starter",
        "billingCycle": "monthly",
        "trialActive": True,
        "customer": {"name": "Somebody", "email": email},
        "domain": named,
        **changes,
    }


async def open_two_pages(service: Service, first: str, second: str) -> tuple[str, str]:
    """Open pages for two trials with time between them; return where they are."""
    one = await service.order(trial_of(first, "ada.com"))
    await service.pool.execute("UPDATE orders SET created_at = created_at - interval '1 hour'")
    other = await service.order(trial_of(second, "ada.org"))
    return one["url"], other["url"]


async def pay(service: Service, *pages: str, cards: tuple[str, ...] = (VISA, MASTERCARD)) -> None:
    for page, card in zip(pages, cards, strict=False):
        assert (await service.stripe.pay(page, card)).status == 303
    await service.stripe.wait_idle()


async def second_trials(service: Service) -> list[tuple[str, str]]:
    rows = await service.pool.fetch(
        "SELECT object_id, detail FROM billing_trouble WHERE trouble = 'trial_twice'"
    )
    return [(row["object_id"], row["detail"]) for row in rows]


async def subscriptions(service: Service) -> list[asyncpg.Record]:
    """Return the subscriptions in the order in which they were recorded as trials."""
    return await service.pool.fetch(
        "SELECT s.*, t.matched_by, t.card_hash FROM subscriptions AS s"
        " LEFT JOIN billing_trials AS t ON t.subscription_id = s.id ORDER BY t.recorded_at"
    )


@pytest.mark.parametrize(
    ("second", "cards", "matched"),
    [
        ("ada@example.com", (VISA, MASTERCARD), "customer"),
        ("ada+2@example.com", (VISA, MASTERCARD), "mailbox"),
        ("grace@example.com", (VISA, VISA), "card"),
    ],
)
async def test_the_second_of_two_pages_that_are_paid_is_flagged(
    service: Service, worker: InlineWorker, second: str, cards: tuple[str, ...], matched: str
) -> None:
    pages = await open_two_pages(service, "ada@example.com", second)
    await pay(service, *pages, cards=cards)
    await worker.catch_up()
    first, later = await subscriptions(service)
    assert await second_trials(service) == [
        (
            first["stripe_subscription_id"],
            f"on trial for starter, of which the same {matched} had a trial before",
        )
    ]
    assert [first["status"], later["status"]] == ["active", "active"]


async def test_two_people_with_cards_of_their_own_have_a_trial_each(
    service: Service, strict_worker: InlineWorker
) -> None:
    pages = await open_two_pages(service, "ada@example.com", "grace@example.com")
    await pay(service, *pages)
    await strict_worker.catch_up()
    assert await second_trials(service) == []
    rows = await subscriptions(service)
    assert [row["status"] for row in rows] == ["active", "active"]
    assert len({row["card_hash"] for row in rows}) == 2


async def test_a_second_trial_is_ended_before_anything_is_given_or_charged(
    service: Service, strict_worker: InlineWorker
) -> None:
    pages = await open_two_pages(service, "ada@example.com", "ada+2@example.com")
    await pay(service, *pages)
    await strict_worker.catch_up()
    first, later = await subscriptions(service)
    assert (first["status"], later["status"]) == ("active", "cancelled")
    accounts = await service.pool.fetch("SELECT subscription_id, actual FROM tenant_services")
    assert [row["subscription_id"] for row in accounts if row["actual"] == "active"] == [
        first["id"]
    ]
    stripe = strict_worker.gateway.client.v1
    customer = {"customer": later["stripe_customer_id"]}
    invoices = await stripe.invoices.list_async(customer)  # type: ignore[arg-type]
    assert [invoice.total for invoice in invoices.data] == [0]
    items = await stripe.invoice_items.list_async(customer)  # type: ignore[arg-type]
    assert items.data == []
    assert await service.pool.fetch("SELECT * FROM billing_trouble") == []
    recorded = await service.row("SELECT * FROM billing_trials WHERE to_end")
    assert recorded["subscription_id"] == later["id"]
    assert recorded["earlier_subscription_id"] == first["id"]


async def test_of_trials_that_begin_in_the_same_instant_one_stays(
    service: Service, strict_worker: InlineWorker
) -> None:
    pages = [
        (await service.order(trial_of(f"buyer{number}@example.com")))["url"] for number in range(4)
    ]
    await pay(service, *pages, cards=(VISA,) * 4)
    ids = await service.pool.fetch("SELECT id FROM subscriptions")
    await asyncio.gather(
        *(provision_tenant_for_subscription(strict_worker.provisioning, row["id"]) for row in ids)
    )
    await strict_worker.catch_up()
    statuses = sorted(row["status"] for row in await subscriptions(service))
    assert statuses == ["active", "cancelled", "cancelled", "cancelled"]


async def test_while_stripe_cannot_be_asked_the_services_come_and_the_check_is_made_up_for(
    service: Service, worker: InlineWorker
) -> None:
    await service.buy(trial_of("ada@example.com"))
    await worker.catch_up()
    await service.buy(trial_of("grace@example.com"))
    await service.stripe.inject_fault("status", method="GET", path=SUBSCRIPTIONS, status=400)
    (due,) = await service.pool.fetch("SELECT id FROM subscriptions WHERE status = 'pending'")
    outcome = await provision_tenant_for_subscription(worker.provisioning, due["id"])
    assert not outcome.done
    assert str(outcome.error).startswith("trial: ")
    status = await service.row("SELECT status FROM subscriptions WHERE id = $1", due["id"])
    assert status["status"] == "active"
    assert await second_trials(service) == []
    await service.pool.execute("UPDATE provisioning_work SET wake_at = now()")
    await worker.catch_up()
    assert len(await second_trials(service)) == 1


async def test_a_worker_that_died_before_it_ended_a_second_trial_ends_it_later(
    service: Service, strict_worker: InlineWorker
) -> None:
    pages = await open_two_pages(service, "ada@example.com", "ada+2@example.com")
    await pay(service, pages[0])
    await strict_worker.catch_up()
    await pay(service, pages[1], cards=(MASTERCARD,))
    await service.stripe.inject_fault("status", method="DELETE", path=SUBSCRIPTIONS, status=400)
    (due,) = await service.pool.fetch("SELECT id FROM subscriptions WHERE status = 'pending'")
    await provision_tenant_for_subscription(strict_worker.provisioning, due["id"])
    await service.pool.execute("UPDATE provisioning_work SET wake_at = now()")
    await strict_worker.catch_up()
    row = await service.row("SELECT status FROM subscriptions WHERE id = $1", due["id"])
    assert row["status"] == "cancelled"


async def test_a_trial_that_has_become_a_paid_subscription_is_not_ended(
    service: Service, worker: InlineWorker, strict_worker: InlineWorker
) -> None:
    await service.buy(trial_of("ada@example.com"))
    await worker.catch_up()
    await service.buy(trial_of("grace@example.com"))
    end = await service.pool.fetchval("SELECT max(trial_end) FROM subscriptions")
    await service.stripe.advance_time(int(end.timestamp()) + 7200)
    await strict_worker.catch_up()
    rows = await subscriptions(service)
    assert [row["stripe_status"] for row in rows] == ["active", "active"]
    assert [row["matched_by"] for row in rows] == [None, "card"]


async def test_days_that_an_operator_gives_away_are_no_second_trial(
    service: Service, strict_worker: InlineWorker
) -> None:
    await service.buy(trial_of("ada@example.com"))
    await service.buy(trial_of("grace@example.com", trialActive=False))
    await strict_worker.catch_up()
    paid = await service.row("SELECT * FROM subscriptions WHERE stripe_status = 'active'")
    later = await service.stripe.now() + 40 * 86_400
    await strict_worker.gateway.client.v1.subscriptions.update_async(
        paid["stripe_subscription_id"], {"trial_end": later, "proration_behavior": "none"}
    )
    await strict_worker.catch_up()
    row = await service.row("SELECT * FROM subscriptions WHERE id = $1", paid["id"])
    assert (row["stripe_status"], row["status"]) == ("trialing", "active")


async def test_a_strangers_trial_at_their_address_takes_none_from_a_vouched_customer(
    service: Service, strict_worker: InlineWorker
) -> None:
    ada = await service.pool.fetchval(
        """WITH u AS (INSERT INTO users (email, password_hash)
                      VALUES ('ada@example.com', 'x') RETURNING id)
           INSERT INTO customers (user_id) SELECT id::text::uuid FROM u RETURNING id::text"""
    )
    await service.buy(trial_of("ada+x@example.com"))
    await strict_worker.catch_up()
    body = trial_of("ada@example.com", customerId=ada)
    order = await service.order(body, **BACKEND)
    await pay(service, order["url"], cards=(AMEX,))
    await strict_worker.catch_up()
    assert [row["status"] for row in await subscriptions(service)] == ["active", "active"]


async def test_a_trial_is_remembered_when_mpanel_deletes_its_subscription(
    service: Service, worker: InlineWorker
) -> None:
    await service.buy(trial_of("ada@example.com"))
    await worker.catch_up()
    await service.pool.execute("DELETE FROM subscriptions")
    response = await service.client.post(CREATE_SESSION, json=trial_of("ada+2@example.com"))
    assert (response.status, (await response.json())["code"]) == (409, "offer_unavailable")
