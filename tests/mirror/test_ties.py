"""What Stripe is asked about snapshots of one second: as little and as late as does no harm."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.mirror.snapshot import snapshot_of_answer
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.objects import Fetched, Resource
from tests import stripe_objects as made
from tests.inbox import Inbox
from tests.mirror.test_service import T

ASKED = "SELECT count(*) FROM stripe_refetches WHERE object_id = $1"
JOBS = """
SELECT extract(epoch FROM execute_after - created)::float8 AS delay
FROM pgqueuer
WHERE payload = convert_to($1, 'UTF8')
"""


def at(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


class Stripe:
    """Answers with one object, as of a second, and counts the questions."""

    def __init__(self, answer: dict[str, Any], second: int) -> None:
        self.asked = 0
        self._fetched = Fetched(answer, at(second), at(second))

    async def fetch(self, _: Resource, __: str) -> Fetched:
        self.asked += 1
        return self._fetched


def asking(inbox: Inbox, stripe: Stripe) -> Mirror:
    return Mirror(inbox.pool, cast("StripeGateway", stripe), livemode=False)


async def fetch(inbox: Inbox, answer: dict[str, Any], second: int) -> None:
    """Apply an object as Stripe has it in a second."""
    snapshot = snapshot_of_answer(
        answer, since=at(second), as_of=at(second), livemode=False, read_after=None
    )
    await inbox.mirror.apply([snapshot])


async def sold(inbox: Inbox, status: str = "active") -> None:
    """Have a subscription with a status of ours, older than all that follows."""
    subscription = made.subscription(amount=1)
    await inbox.deliver("customer.subscription.created", subscription, created=T - 60)
    await inbox.pool.execute("UPDATE subscriptions SET status = $1", status)


async def update(inbox: Inbox, amount: int, second: int = T) -> str:
    """Deliver an update that changes the amount."""
    return await inbox.deliver(
        "customer.subscription.updated",
        made.subscription(amount=amount),
        created=second,
        previous={"n": amount},
    )


async def test_all_ties_of_an_object_are_one_question_once_their_second_is_over(
    inbox: Inbox,
) -> None:
    await sold(inbox)
    for amount in (5, 6, 7):
        await update(inbox, amount)
    jobs = await inbox.pool.fetch(JOBS, "sub_1")
    assert [job["delay"] for job in jobs] == [2]
    stripe = Stripe(made.subscription(amount=6), T + 2)
    await asking(inbox, stripe).refetch("sub_1")
    assert stripe.asked == 1
    assert (await inbox.subscription())["amount"] == 6
    assert await inbox.pool.fetchval(ASKED, "sub_1") == 0


@pytest.mark.parametrize("status", ["provisional", "pending", "suspended"])
async def test_a_tie_is_asked_at_once_if_somebody_waits_for_the_answer(
    inbox: Inbox, status: str
) -> None:
    await sold(inbox, status)
    for amount in (5, 6, 7):
        await update(inbox, amount)
    jobs = await inbox.pool.fetch(JOBS, "sub_1")
    assert [job["delay"] for job in jobs] == [0]


async def test_a_row_of_a_later_second_leaves_nothing_to_ask(inbox: Inbox) -> None:
    await sold(inbox)
    for amount, second in ((5, T), (6, T), (7, T + 1)):
        await update(inbox, amount, second)
    assert await inbox.pool.fetchval(ASKED, "sub_1") == 1
    stripe = Stripe(made.subscription(amount=9), T + 2)
    await asking(inbox, stripe).refetch("sub_1")
    assert (stripe.asked, (await inbox.subscription())["amount"]) == (0, 7)
    assert await inbox.pool.fetchval(ASKED, "sub_1") == 0


async def test_what_is_asked_in_any_case_is_asked_although_a_tie_is_settled(inbox: Inbox) -> None:
    await sold(inbox)
    await inbox.pool.execute(
        "INSERT INTO stripe_refetches (object_id, object_type, reason, next_attempt_at)"
        " VALUES ('sub_1', 'subscription', 'test', now())"
    )
    for amount, second in ((5, T), (6, T), (7, T + 1)):
        await update(inbox, amount, second)
    stripe = Stripe(made.subscription(amount=9), T + 2)
    await asking(inbox, stripe).refetch("sub_1")
    assert stripe.asked == 1


async def test_a_tie_during_a_fetch_is_asked_again(inbox: Inbox) -> None:
    await sold(inbox)
    await update(inbox, 5)
    await update(inbox, 6)
    before = await inbox.pool.fetchval("SELECT version FROM stripe_refetches WHERE tied_at NOTNULL")
    await inbox.pool.execute("UPDATE stripe_refetches SET leased_until = now() + interval '1 hour'")
    await update(inbox, 7)
    after = await inbox.pool.fetchval("SELECT version FROM stripe_refetches WHERE tied_at NOTNULL")
    assert after > before
    assert len(await inbox.pool.fetch(JOBS, "sub_1")) == 2


async def test_an_event_that_says_what_its_row_says_asks_nothing(inbox: Inbox) -> None:
    await sold(inbox)
    said = made.subscription(amount=5)
    for unread in ("a", "b"):
        more = {"created": T, "previous": {"default_source": unread}}
        event = said | {"default_source": unread}
        await inbox.deliver("customer.subscription.updated", event, **more)
    assert await inbox.pool.fetchval(ASKED, "sub_1") == 0


@pytest.mark.parametrize(
    ("type_", "stripe_object"),
    [
        ("customer.subscription.updated", made.subscription(amount=5)),
        ("invoice.paid", made.invoice()),
        ("invoice_payment.paid", made.invoice_payment()),
    ],
)
async def test_an_event_that_says_what_was_fetched_asks_nothing(
    inbox: Inbox, type_: str, stripe_object: dict[str, Any]
) -> None:
    await sold(inbox)
    await fetch(inbox, stripe_object, T)
    assert await inbox.deliver(type_, stripe_object, created=T) == "stale"
    assert await inbox.pool.fetchval(ASKED, stripe_object["id"]) == 0


async def test_an_event_that_says_otherwise_than_what_was_fetched_is_asked(inbox: Inbox) -> None:
    await sold(inbox)
    await fetch(inbox, made.subscription(amount=5), T)
    await update(inbox, 6)
    assert await inbox.pool.fetchval(ASKED, "sub_1") == 1


async def test_several_reasons_to_ask_about_one_object_are_one_request(inbox: Inbox) -> None:
    await sold(inbox)
    many = made.subscription(amount=6)
    many["items"] = many["items"] | {"has_more": True}
    await update(inbox, 5)
    await inbox.deliver("customer.subscription.updated", many, created=T, previous={"n": 1})
    assert await inbox.pool.fetchval(ASKED, "sub_1") == 1
