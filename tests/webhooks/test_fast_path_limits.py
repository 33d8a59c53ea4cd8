"""What the fast path must not accept, lose or hide from provisioning."""

import asyncio
from typing import Any

import pytest

from mpanel_billing.webhooks.batching import EventBatcher
from tests import stripe_objects as made
from tests.webhooks.pair import LATER, NOW, Pair, bill, renewal


async def test_two_fast_path_events_of_one_object_never_share_a_batch(
    pair: Pair,
) -> None:
    """Of two rows for one object a statement uses either: the later one could be lost."""
    batcher = EventBatcher(pair.inbox.pool)
    renewals = [renewal(created=LATER + second) for second in range(10)]
    outcomes = await asyncio.gather(*(batcher.receive(event) for event in renewals))
    assert {outcome.status for outcome in outcomes} == {"applied"}
    assert batcher.fast_path_events == 10
    assert (await pair.inbox.subscription())["stripe_as_of"].timestamp() == LATER + 9


async def test_an_invoice_whose_payment_is_known_keeps_it(
    pair: Pair,
) -> None:
    deliver = pair.inbox.deliver
    await deliver("invoice.paid", made.invoice("in_2", payment_intent="pi_2"), created=NOW)
    event = bill()
    assert await pair.receive_on_fast_path(event) == {event.id}
    payment = "SELECT stripe_payment_intent_id FROM invoices WHERE stripe_invoice_id = 'in_2'"
    assert await pair.inbox.pool.fetchval(payment) == "pi_2"


CHANGES: dict[str, dict[str, Any]] = {
    "stripeStatus": {"status": "trialing"},
    "items": {"quantity": 3},
    "collectionPaused": {"pause_collection": {"behavior": "void"}},
    "ending": {"cancel_at_period_end": True},
    "trialEnd": {"trial_end": NOW + 1000},
}


@pytest.mark.parametrize(("what", "change"), CHANGES.items(), ids=CHANGES)
async def test_what_provisioning_goes_by_reaches_it(pair: Pair, what: str, change: Any) -> None:
    inputs = (
        "SELECT w.inputs FROM provisioning_work AS w JOIN subscriptions AS s"
        " ON s.id = w.subscription_id WHERE s.stripe_subscription_id = 'sub_1'"
    )
    before = (await pair.inbox.row(inputs))["inputs"]
    changed = made.subscription(**change)
    await pair.inbox.deliver("customer.subscription.updated", changed, created=LATER)
    after = (await pair.inbox.row(inputs))["inputs"]
    assert [key for key in before if before[key] != after[key]] == [what]


async def test_what_a_past_due_subscription_owes_reaches_provisioning(
    pair: Pair,
) -> None:
    late = made.subscription(status="past_due")
    await pair.inbox.deliver("customer.subscription.updated", late, created=NOW + 1)
    unpaid = made.invoice("in_2", status="open", created=LATER, attempt_count=1)
    await pair.inbox.deliver("invoice.payment_failed", unpaid, created=LATER)
    inputs = (
        "SELECT w.inputs ->> 'owedSince' AS since FROM provisioning_work AS w"
        " JOIN subscriptions AS s ON s.id = w.subscription_id"
        " WHERE s.stripe_subscription_id = 'sub_1'"
    )
    assert (await pair.inbox.row(inputs))["since"] is not None


async def test_an_invoice_is_linked_at_once_although_it_affects_nothing_derived(
    pair: Pair,
) -> None:
    await pair.inbox.deliver("invoice.paid", made.invoice("in_2"), created=LATER)
    linked = (
        "SELECT s.stripe_subscription_id FROM invoices AS i JOIN subscriptions AS s"
        " ON s.id = i.subscription_id WHERE i.stripe_invoice_id = 'in_2'"
    )
    assert (await pair.inbox.row(linked))["stripe_subscription_id"] == "sub_1"
