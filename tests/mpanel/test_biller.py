"""mPanel's own biller next to Stripe's: no customer pays twice, no invoice number is used twice."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mpanel_billing.database.pool import Pool
from mpanel_billing.mirror.rows import rows_of
from mpanel_billing.mirror.snapshot import snapshot_of_event
from tests import stripe_objects as made
from tests.inbox import Inbox
from tests.mpanel.mpanel_code import DUE_TO_BILLER, NEXT_INVOICE

MPANELS_OWN = UUID("50000000-0000-4000-8000-000000000001")
TENANT = UUID("10000000-0000-4000-8000-000000000001")
CUSTOMER = UUID("40000000-0000-4000-8000-000000000001")
LONG_AGO, FAR_AHEAD = 1_600_000_000, 2_000_000_000

on_one_database = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

STRIPE_STATUSES = (
    "incomplete",
    "incomplete_expired",
    "trialing",
    "active",
    "past_due",
    "unpaid",
    "paused",
    "canceled",
)
SESSION_EVENTS = {
    "complete": "checkout.session.completed",
    "expired": "checkout.session.expired",
}
moments = st.none() | st.integers(LONG_AGO, FAR_AHEAD)

told = st.tuples(
    st.just("subscription"),
    st.fixed_dictionaries(
        {
            "status": st.sampled_from(STRIPE_STATUSES),
            "end": st.integers(LONG_AGO, FAR_AHEAD),
            "trial_end": moments,
            "cancel_at": moments,
            "canceled_at": moments,
            "cancel_at_period_end": st.booleans(),
            "classic": st.booleans(),
        }
    ),
)
billed = st.tuples(
    st.just("invoice"),
    st.fixed_dictionaries({"status": st.sampled_from(("draft", "open", "paid", "uncollectible"))}),
)
closed = st.tuples(
    st.just("session"),
    st.fixed_dictionaries({"status": st.sampled_from(tuple(SESSION_EVENTS))}),
)
provisioned = st.tuples(
    st.just("word"), st.fixed_dictionaries({"word": st.sampled_from(("active", "suspended"))})
)
lives = st.lists(
    st.tuples(told | billed | closed | provisioned, st.integers(0, 20)), min_size=1, max_size=12
)

_numbers = iter(range(1_000_000))


async def _step(inbox: Inbox, number: int, order: UUID, kind: str, values: dict[str, Any]) -> None:
    """Let one thing happen to the order: an event, or what provisioning says of it."""
    at = values.pop("at")
    subscription, customer = f"sub_{number}", f"cus_{number}"
    match kind:
        case "subscription":
            stripe_object = made.subscription(
                subscription,
                customer=customer,
                metadata={"subscriptionId": str(order)},
                **values,
            )
            outcome = await inbox.deliver(
                "customer.subscription.updated", stripe_object, created=at
            )
        case "invoice":
            stripe_object = made.invoice(
                f"in_{number}", subscription=subscription, customer=customer, **values
            )
            outcome = await inbox.deliver("invoice.updated", stripe_object, created=at)
        case "session":
            complete = values["status"] == "complete"
            stripe_object = made.session(
                f"cs_{number}",
                subscription=subscription if complete else None,
                customer=customer,
                order=str(order),
                payment_status="paid" if complete else "unpaid",
                **values,
            )
            outcome = await inbox.deliver(
                SESSION_EVENTS[values["status"]], stripe_object, created=at
            )
        case _:
            await inbox.pool.execute(WORKERS_WORD, order, values["word"])
            outcome = "applied"
    assert outcome in {"applied", "stale"}


WORKERS_WORD = """
UPDATE subscriptions
SET status = $2
WHERE id = $1
  AND status IN ('pending', 'active', 'suspended')
"""
"""The statuses that a finished run of the worker sets; the others come from the mirror."""

BOUGHT_LONG_AGO: list[Any] = [
    (("subscription", {"status": "active", "end": LONG_AGO}), 0),
    (("invoice", {"status": "paid"}), 0),
    (("word", {"word": "active"}), 1),
]


@given(life=lives)
@example(life=BOUGHT_LONG_AGO)
@on_one_database
async def test_mpanels_biller_never_sees_what_stripe_bills(inbox: Inbox, life: Any) -> None:
    number = next(_numbers)
    order = await inbox.order(customer=f"cus_{number}", session=f"cs_{number}")
    for (kind, values), second in life:
        await _step(inbox, number, order, kind, values | {"at": 1_790_000_000 + second})
        due = [row["id"] for row in await inbox.pool.fetch(DUE_TO_BILLER)]
        assert due == [MPANELS_OWN]


@pytest.mark.parametrize(
    "change", ["auto_renew = TRUE", "auto_renew = NULL", "next_billing_date = CURRENT_DATE"]
)
async def test_it_cannot_be_made_due_by_hand(inbox: Inbox, change: str) -> None:
    order = await inbox.order()
    with pytest.raises(asyncpg.CheckViolationError, match="not_due_in_mpanel"):
        await inbox.pool.execute(f"UPDATE subscriptions SET {change} WHERE id = $1", order)


@given(turns=st.lists(st.sampled_from(("mpanel", "stripe", "stripe again")), max_size=15))
@on_one_database
async def test_the_two_kinds_of_invoices_never_use_each_others_numbers(
    inbox: Inbox, turns: list[str]
) -> None:
    tenant = await inbox.pool.fetchval(
        "INSERT INTO tenants (name, domain) VALUES ('t', gen_random_uuid()::text) RETURNING id"
    )
    for table in ("invoice_items", "payments", "invoices"):
        await inbox.pool.execute(f"DELETE FROM {table}")
    ours = 0
    for turn in turns:
        if turn == "mpanel":
            await inbox.pool.fetchval(NEXT_INVOICE, tenant, CUSTOMER)
            continue
        ours += turn == "stripe"
        await inbox.deliver("invoice.paid", made.invoice(f"in_{ours}", subscription=None))
        await inbox.pool.execute(
            "UPDATE invoices SET tenant_id = $1 WHERE stripe_invoice_id IS NOT NULL", tenant
        )
    numbers = [row[0] for row in await inbox.pool.fetch("SELECT invoice_number FROM invoices")]
    assert len(set(numbers)) == len(numbers)


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=255))
def test_no_stripe_id_looks_like_a_number_of_mpanels(stripe_id: str) -> None:
    snapshot = snapshot_of_event(
        made.invoice(stripe_id),
        event_id="evt_1",
        event_type="invoice.paid",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        livemode=False,
        previous=None,
    )
    number = rows_of([snapshot], {})[0]["invoice_number"]
    assert number.startswith("in_")
    assert len(number) <= 50


async def test_the_database_refuses_a_number_of_mpanels_for_an_invoice_of_stripes(
    inbox: Inbox, pool: Pool
) -> None:
    await inbox.deliver("invoice.paid", made.invoice())
    with pytest.raises(asyncpg.CheckViolationError, match="billing_invoices_number_check"):
        await pool.execute(
            "UPDATE invoices SET invoice_number = 'INV-2026-000009' WHERE stripe_status IS NOT NULL"
        )
