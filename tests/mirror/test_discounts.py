"""Discounts are mirrored with their subscription, whatever an event carries of them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from mpanel_billing.mirror.reading import UnreadableObjectError
from mpanel_billing.mirror.snapshot import snapshot_of_answer
from mpanel_billing.mirror.types import normalise
from mpanel_billing.mirror.types.subscription import SubscriptionFacts
from mpanel_billing.reconciliation.compare import differences
from mpanel_billing.webhooks.inbox import retry_event
from mpanel_billing.webhooks.prepared import prepare_event
from tests import stripe_objects as made
from tests.inbox import Inbox
from tests.webhooks.pair import LATER, event_of

T = 1_790_000_000
MONTH = 2_592_000
UPDATED = "customer.subscription.updated"
COUPON = {
    "id": "TEN",
    "object": "coupon",
    "name": "Ten",
    "percent_off": 12.5,
    "duration": "forever",
}


def moment(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def discount(id_: str = "di_1", coupon: Any = COUPON, **more: Any) -> dict[str, Any]:
    """Return a discount in the shape since clover."""
    return {
        "id": id_,
        "object": "discount",
        "source": {"type": "coupon", "coupon": coupon},
        "start": T,
        "end": None,
        **more,
    }


def before_clover(id_: str = "di_1", coupon: Any = COUPON, **more: Any) -> dict[str, Any]:
    given = discount(id_, None, **more)
    del given["source"]
    return given | {"coupon": coupon}


def with_discounts(*discounts: Any, item: tuple[Any, ...] = (), **more: Any) -> dict[str, Any]:
    about = made.subscription(discounts=list(discounts), **more)
    about["items"]["data"][0]["discounts"] = list(item)
    return about


async def rows(inbox: Inbox) -> list[Mapping[str, Any]]:
    return await inbox.pool.fetch("SELECT * FROM subscription_discounts ORDER BY position")


async def asked(inbox: Inbox) -> list[tuple[str, str]]:
    found = await inbox.pool.fetch(
        "SELECT object_id, reason FROM stripe_refetches WHERE object_type = 'subscription'"
    )
    return [tuple(row) for row in found]


async def fetch(inbox: Inbox, stripe_object: Mapping[str, Any], at: int) -> None:
    """Apply a subscription as Stripe returned it."""
    read_at = moment(at)
    snapshot = snapshot_of_answer(
        stripe_object, since=read_at, as_of=read_at, livemode=False, read_after=None
    )
    await inbox.mirror.apply([snapshot])


@pytest.mark.parametrize(
    "shape",
    [
        {"discounts": [discount()]},
        {"discounts": [before_clover()]},
        {"discount": before_clover()},
        {"discounts": ["di_1"], "discount": before_clover()},
        {"discounts": None, "discount": before_clover()},
    ],
    ids=["expanded", "expanded, before clover", "before basil", "both", "null beside the old"],
)
async def test_a_discount_is_read_from_every_shape(inbox: Inbox, shape: dict[str, Any]) -> None:
    await inbox.deliver(UPDATED, made.subscription(**shape))
    (row,) = await rows(inbox)
    assert (row["stripe_discount_id"], row["stripe_subscription_item_id"]) == ("di_1", None)
    assert (row["stripe_coupon_id"], row["coupon_name"]) == ("TEN", "Ten")
    assert (row["percent_off"], row["amount_off"], row["duration"]) == (
        Decimal("12.5"),
        None,
        "forever",
    )
    assert (row["starts_at"], row["ends_at"]) == (moment(T), None)


async def test_an_event_with_ids_has_stripe_asked_for_the_coupons_once(inbox: Inbox) -> None:
    await inbox.deliver(UPDATED, with_discounts("di_1"), created=T)
    assert [(row["stripe_coupon_id"], row["fetched"]) for row in await rows(inbox)] == [
        (None, False)
    ]
    assert await asked(inbox) == [("sub_1", "has a new discount")]
    limited = COUPON | {"applies_to": {"products": ["prod_1"]}}
    await fetch(inbox, with_discounts(discount(coupon=limited)), T + 1)
    await inbox.pool.execute("DELETE FROM stripe_refetches")
    await inbox.deliver(UPDATED, with_discounts("di_1"), created=T + 60)
    await inbox.deliver(UPDATED, with_discounts(before_clover()), created=T + 120)
    (row,) = await rows(inbox)
    assert (row["percent_off"], row["stripe_product_ids"]) == (Decimal("12.5"), ["prod_1"])
    assert row["fetched"]
    assert await asked(inbox) == []


async def test_a_discount_of_an_item_is_told_from_one_of_the_subscription(inbox: Inbox) -> None:
    await fetch(inbox, with_discounts(discount("di_2"), item=(discount("di_1"),)), T)
    found = [
        (row["stripe_discount_id"], row["stripe_subscription_item_id"]) for row in await rows(inbox)
    ]
    assert found == [("di_1", "si_1"), ("di_2", None)]


async def test_an_amount_is_mirrored_with_its_currency_and_its_end(inbox: Inbox) -> None:
    coupon = {
        "id": "FIVE",
        "amount_off": 500,
        "currency": "usd",
        "duration": "repeating",
        "duration_in_months": 3,
    }
    await fetch(inbox, with_discounts(discount(coupon=coupon, end=T + 3 * MONTH)), T)
    (row,) = await rows(inbox)
    assert (row["amount_off"], row["currency"], row["percent_off"]) == (500, "usd", None)
    assert row["ends_at"] == moment(T + 3 * MONTH)


async def test_a_coupon_that_was_deleted_since_keeps_its_terms(inbox: Inbox) -> None:
    await fetch(inbox, with_discounts(discount()), T)
    stub = {"id": "TEN", "object": "coupon", "deleted": True}
    await fetch(inbox, with_discounts(discount(coupon=stub)), T + 60)
    (row,) = await rows(inbox)
    assert (row["percent_off"], row["duration"]) == (Decimal("12.5"), "forever")


async def test_a_discount_that_is_gone_goes(inbox: Inbox) -> None:
    await fetch(inbox, with_discounts(discount("di_1"), discount("di_2")), T)
    await inbox.deliver(UPDATED, with_discounts("di_2"), created=T + 60)
    assert [row["stripe_discount_id"] for row in await rows(inbox)] == ["di_2"]
    await inbox.deliver(UPDATED, with_discounts(), created=T + 30)
    assert [row["stripe_discount_id"] for row in await rows(inbox)] == ["di_2"]
    await inbox.deliver(UPDATED, with_discounts(), created=T + 90)
    assert await rows(inbox) == []


async def test_an_incomplete_list_of_items_takes_no_discount_of_an_item(inbox: Inbox) -> None:
    await fetch(inbox, with_discounts(discount("di_2"), item=(discount("di_1"),)), T)
    cut = with_discounts()
    cut["items"] = {"object": "list", "data": [], "has_more": True}
    await inbox.deliver(UPDATED, cut, created=T + 60)
    assert [row["stripe_discount_id"] for row in await rows(inbox)] == ["di_1"]


@pytest.mark.parametrize("kind", ["created", "updated", "deleted"])
@pytest.mark.parametrize(
    "owner",
    [
        {"subscription": "sub_1"},
        {"subscription": None, "subscription_item": "si_1"},
        {"subscription": {"id": "sub_1", "object": "subscription"}},
    ],
    ids=["of a subscription", "of an item", "expanded"],
)
async def test_an_event_of_a_discount_has_its_subscription_fetched(
    inbox: Inbox, owner: dict[str, Any], kind: str
) -> None:
    await inbox.deliver("customer.subscription.created", made.subscription(), created=T)
    about = discount(coupon="TEN", customer="cus_1", **owner)
    assert await inbox.deliver(f"customer.discount.{kind}", about, created=T) == "applied"
    assert await asked(inbox) == [("sub_1", "a discount has changed")]
    jobs = "SELECT count(*) FROM pgqueuer WHERE dedupe_key LIKE 'refetch:sub_1%'"
    assert await inbox.pool.fetchval(jobs) == 1


async def test_a_discount_of_no_subscription_is_ignored(inbox: Inbox) -> None:
    about = discount(coupon="TEN", customer="cus_1")
    assert await inbox.deliver("customer.discount.created", about) == "ignored"
    assert await inbox.deliver("customer.discount.created", about | {"subscription": 7}) == "failed"
    assert await asked(inbox) == []


async def test_a_failed_event_of_a_discount_is_applied_when_it_is_retried(inbox: Inbox) -> None:
    about = discount(coupon="TEN", subscription="sub_1")
    await inbox.receive(made.event("customer.discount.created", about, id_="evt_1"))
    await inbox.pool.execute("DELETE FROM stripe_refetches")
    await inbox.pool.execute(
        "UPDATE stripe_events SET status = 'failed', last_error = 'x', applied_at = NULL"
    )
    outcome = await retry_event(inbox.mirror, "evt_1")
    assert outcome is not None
    assert outcome.status == "applied"
    assert await asked(inbox) == [("sub_1", "a discount has changed")]


@pytest.mark.parametrize("percent", [-1, 101, "ten", True])
def test_what_is_no_percentage_cannot_be_read(percent: Any) -> None:
    about = with_discounts(discount(coupon=COUPON | {"percent_off": percent}))
    with pytest.raises(UnreadableObjectError, match="percent_off"):
        normalise(about, livemode=False)


def test_a_discount_twice_in_one_payload_counts_once() -> None:
    facts = normalise(with_discounts("di_1", "di_1", item=("di_1", "di_1")), livemode=False)
    assert isinstance(facts, SubscriptionFacts)
    found = [
        (each.stripe_discount_id, each.stripe_subscription_item_id) for each in facts.discounts
    ]
    assert found == [("di_1", "si_1"), ("di_1", None)]


def test_a_subscription_with_discounts_is_not_written_as_a_renewal() -> None:
    discounted = event_of(UPDATED, with_discounts("di_1"), created=LATER)
    plain = event_of(UPDATED, with_discounts(), created=LATER)
    prepared = [prepare_event(event) for event in (discounted, plain)]
    assert [each and each.group for each in prepared] == ["subscriptions", "renewals"]


def test_what_differs_of_discounts_is_drift() -> None:
    facts = normalise(with_discounts(discount("di_1"), "di_2"), livemode=False)
    stored = {"stripe_subscription_item_id": None, "stripe_coupon_id": "TEN", "fetched": True}
    row = facts._asdict() | {"items": None, "paused_since": None}
    known = {**facts.discounts[0]._asdict(), "percent_off": "12.5", "starts_at": T}
    row["discounts"] = [
        {**known, **stored, "stripe_discount_id": "di_1", "ends_at": T},
        {**stored, "stripe_discount_id": "di_2", "ends_at": T, "fetched": False},
        {**stored, "stripe_discount_id": "di_3", "ends_at": None},
    ]
    found = {
        each.field: (each.ours, each.found)
        for each in differences("subscription", facts, row)
        if each.field.startswith("discounts.")
    }
    assert found == {
        "discounts.di_1.ends_at": ("2026-09-21T14:13:20Z", None),
        "discounts.di_2": (None, "unknown coupon"),
        "discounts.di_3": ("TEN", None),
    }
