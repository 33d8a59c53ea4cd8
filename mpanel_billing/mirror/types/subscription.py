"""Subscriptions."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from mpanel_billing.mirror.differences import (
    IDENTITY,
    Difference,
    as_text,
    compared_fields,
    differing_fields,
)
from mpanel_billing.mirror.facts import State
from mpanel_billing.mirror.mirrored_type import Comparison, LockKey, MirroredType, Person, Row
from mpanel_billing.mirror.reading import (
    ORDER_METADATA_KEY,
    Fields,
    currency_code,
    one_of,
    present,
    require,
)
from mpanel_billing.mirror.types.discount import (
    EXPANDED,
    DiscountFacts,
    discount_differences,
    read_discounts,
)
from mpanel_billing.mirror.types.lost_order import LostOrder, read_lost_order
from mpanel_billing.mirror.types.subscription_items import (
    ItemFacts,
    entitled_items,
    item_differences,
    read_items,
    with_all_items,
)
from mpanel_billing.money import to_decimal
from mpanel_billing.stripe_gateway.objects import Resource

_ROWS = UUID("5e2a4f0c-6d3b-5b0e-9a57-5d1b8c0f7e21")
"""Namespace of the ids of rows that are made for Stripe's objects.

Derived ids: a row that was lost with a backup comes back under its own id, by which the services
know its accounts.
"""


class SubscriptionFacts(NamedTuple):
    """A subscription and its items. `order_id` is the subscription of ours that it names.

    `lost_order` is what Stripe knows of the order; only a fetched object has it.
    """

    object_id: str
    stripe_customer_id: str
    livemode: bool
    stripe_status: str
    order_id: UUID | None
    currency: str
    amount: int
    current_period_start: datetime | None
    current_period_end: datetime | None
    started_at: datetime | None
    trial_end: datetime | None
    cancel_at_period_end: bool
    cancel_at: datetime | None
    canceled_at: datetime | None
    ended_at: datetime | None
    cancellation_reason: str | None
    cancellation_feedback: str | None
    collection_paused: bool
    collection_behavior: str | None
    stripe_schedule_id: str | None
    pending_update_expires_at: datetime | None
    paused_by: str | None
    paused_at: datetime | None
    items: tuple[ItemFacts, ...]
    items_complete: bool
    discounts: tuple[DiscountFacts, ...]
    lost_order: LostOrder | None = None

    @property
    def state(self) -> State:
        """How far it has come."""
        return _state(self.stripe_status)


_STATUSES = frozenset(
    {
        "incomplete",
        "incomplete_expired",
        "trialing",
        "active",
        "past_due",
        "unpaid",
        "paused",
        "canceled",
    }
)


def _state(stripe_status: str) -> State:
    return State(final=stripe_status in {"canceled", "incomplete_expired"})


def _read(fields: Fields, livemode: bool) -> SubscriptionFacts:
    items = tuple(read_items(fields))
    starts = present(item.current_period_start for item in items)
    ends = present(item.current_period_end for item in items)
    first = items[0] if items else None
    paused = fields.child("status_details", "paused")
    cancellation = fields.child("cancellation_details")
    return SubscriptionFacts(
        object_id=fields.require_id(),
        stripe_customer_id=require(fields.reference("customer"), "customer"),
        livemode=livemode,
        stripe_status=one_of(fields, "status", _STATUSES),
        order_id=fields.metadata_uuid(ORDER_METADATA_KEY),
        currency=currency_code(fields.text("currency") or (first.currency if first else None)),
        amount=sum((item.unit_amount or 0) * (item.quantity or 0) for item in items),
        current_period_start=min(starts) if starts else fields.moment("current_period_start"),
        current_period_end=min(ends) if ends else fields.moment("current_period_end"),
        started_at=fields.moment("start_date") or fields.moment("created"),
        trial_end=fields.moment("trial_end"),
        cancel_at_period_end=fields.flag("cancel_at_period_end"),
        cancel_at=fields.moment("cancel_at"),
        canceled_at=fields.moment("canceled_at"),
        ended_at=fields.moment("ended_at"),
        cancellation_reason=cancellation.text("reason"),
        cancellation_feedback=cancellation.text("feedback"),
        collection_paused=bool(fields.child("pause_collection").values),
        collection_behavior=fields.child("pause_collection").text("behavior"),
        stripe_schedule_id=fields.reference("schedule"),
        pending_update_expires_at=fields.child("pending_update").moment("expires_at"),
        paused_by=paused.child("subscription").text("type"),
        paused_at=paused.moment("transitioned_at"),
        items=items,
        items_complete=not fields.child("items").flag("has_more"),
        discounts=read_discounts(fields, fields.children("items")),
        lost_order=read_lost_order(fields),
    )


def _lock_keys(facts: SubscriptionFacts) -> Iterable[LockKey]:
    yield ("sub", facts.object_id)
    yield ("cus", facts.stripe_customer_id)


def _person(facts: SubscriptionFacts) -> Person | None:
    return Person(facts.stripe_customer_id) if facts.lost_order else None


def _anonymous(facts: SubscriptionFacts) -> SubscriptionFacts:
    return facts._replace(lost_order=facts.lost_order and facts.lost_order.anonymous())


def _columns(facts: SubscriptionFacts) -> Mapping[str, Any]:
    return {
        "items": [item._asdict() for item in facts.items],
        "entitled_items": entitled_items(facts.items),
        "discounts": [discount._asdict() for discount in facts.discounts],
        "price": to_decimal(facts.amount, facts.currency),
        "lost_order": None,
    }


def _place(
    facts: SubscriptionFacts, stored: Row | None, new_customers: dict[str, UUID]
) -> Mapping[str, Any]:
    """Two new subscriptions of one unknown customer get the same new customer record.

    A lost order comes back under its own id, if its Stripe customer agrees.
    """
    new_id = facts.order_id if is_lost_order(facts, stored) else uuid5(_ROWS, facts.object_id)
    new_customer = facts.lost_order.customer_id if facts.lost_order else None
    return {
        "subscription_id": (stored and stored["subscription_id"]) or new_id,
        "customer_id": (stored and stored["customer_id"])
        or new_customers.setdefault(
            facts.stripe_customer_id, new_customer or uuid5(_ROWS, facts.stripe_customer_id)
        ),
    }


def _new_ids(facts: SubscriptionFacts) -> Mapping[str, Any]:
    return {
        "new_subscription_id": uuid5(_ROWS, facts.object_id),
        "new_customer_id": uuid5(_ROWS, facts.stripe_customer_id),
    }


def is_lost_order(facts: SubscriptionFacts, stored: Row | None) -> bool:
    """Whether it is an order of ours whose row is missing, on the Stripe customer of its buyer."""
    if stored is None or facts.lost_order is None or not stored["order_is_missing"]:
        return False
    named, known = facts.lost_order.customer_id, stored["customer_id"]
    return (named or known) is not None and (None in {named, known} or named == known)


_LEFT_OUT = IDENTITY | {
    "order_id": "decides where a new row goes, and is not stored",
    "paused_at": "part of the entitlement, and compared while it is paused",
    "items": "compared one by one",
    "items_complete": "says whether items can be missing here",
    "discounts": "compared one by one",
    "lost_order": "what an order is restored from",
}
_COMPARED = compared_fields(SubscriptionFacts, _LEFT_OUT)


def _differences(facts: SubscriptionFacts, row: Row) -> Iterable[Difference]:
    yield from differing_fields(facts, row, _COMPARED)
    yield from _pause_differences(facts, row["paused_since"])
    yield from item_differences(
        facts.items, row["items"] or [], items_complete=facts.items_complete
    )
    yield from discount_differences(
        facts.discounts, row["discounts"] or [], items_complete=facts.items_complete
    )


def _pause_differences(facts: SubscriptionFacts, ours: datetime | None) -> Iterator[Difference]:
    if facts.stripe_status != "paused":
        return
    found = facts.paused_at or facts.current_period_start
    if ours != found:
        yield Difference("paused_at", as_text(ours), as_text(found))


SUBSCRIPTION = MirroredType(
    object_type="subscription",
    id_prefixes=("sub",),
    event_types=frozenset(
        {
            "customer.subscription.created",
            "customer.subscription.updated",
            "customer.subscription.deleted",
            "customer.subscription.pending_update_applied",
            "customer.subscription.pending_update_expired",
            "customer.subscription.paused",
            "customer.subscription.resumed",
        }
    ),
    read=_read,
    stored_state=lambda row: _state(row["stripe_status"]),
    lock_keys=_lock_keys,
    query_file="subscriptions",
    resource=Resource(
        "/v1/subscriptions", expand=("customer", EXPANDED), list_params={"status": "all"}
    ),
    comparison=Comparison(
        table="subscriptions",
        left_out=_LEFT_OUT,
        differences=_differences,
        summary=lambda facts: facts.stripe_status,
    ),
    person=_person,
    anonymous=_anonymous,
    columns=_columns,
    place=_place,
    new_ids=_new_ids,
    complete=with_all_items,
)
