"""Checkout sessions."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from mpanel_billing.mirror.facts import State
from mpanel_billing.mirror.mirrored_type import LockKey, MirroredType, Row
from mpanel_billing.mirror.reading import (
    ATTEMPT_METADATA_KEY,
    ORDER_METADATA_KEY,
    Fields,
    as_uuid,
    one_of,
    small_number,
)
from mpanel_billing.stripe_gateway.objects import Resource


class SessionFacts(NamedTuple):
    """A Checkout session. `order_id` and `attempt` are what our metadata on it says."""

    object_id: str
    livemode: bool
    mode: str
    status: str
    payment_status: str | None
    stripe_subscription_id: str | None
    stripe_customer_id: str | None
    order_id: UUID | None
    attempt: int | None
    url: str | None
    recovery_url: str | None
    recovered_from: str | None
    expires_at: datetime | None

    @property
    def state(self) -> State:
        """How far it has come."""
        return _state(self.status, self.payment_status)


_STATUSES = frozenset({"open", "complete", "expired"})


def _state(status: str, payment_status: str | None) -> State:
    """A complete session may be paid days later."""
    unpaid = payment_status == "unpaid"
    final = status == "expired" or (status == "complete" and not unpaid)
    return State(final, (int(status != "open"), int(not unpaid)))


def _read(fields: Fields, livemode: bool) -> SessionFacts:
    reference = as_uuid(fields.text("client_reference_id"))
    recovery = fields.child("after_expiration", "recovery")
    return SessionFacts(
        object_id=fields.require_id(),
        livemode=livemode,
        mode=fields.text("mode") or "payment",
        status=one_of(fields, "status", _STATUSES),
        payment_status=fields.text("payment_status"),
        stripe_subscription_id=fields.reference("subscription"),
        stripe_customer_id=fields.reference("customer"),
        order_id=fields.metadata_uuid(ORDER_METADATA_KEY) or reference,
        attempt=small_number(fields.child("metadata").values.get(ATTEMPT_METADATA_KEY)),
        url=fields.text("url"),
        recovery_url=recovery.text("url"),
        recovered_from=fields.reference("recovered_from"),
        expires_at=fields.moment("expires_at"),
    )


def _lock_keys(facts: SessionFacts) -> Iterable[LockKey]:
    yield ("order", _batch_key(facts))
    if facts.stripe_subscription_id:
        yield ("sub", facts.stripe_subscription_id)


def _batch_key(facts: SessionFacts) -> str:
    return str(facts.order_id or facts.object_id)


def _place(_: SessionFacts, stored: Row | None, __: dict[str, UUID]) -> Mapping[str, Any]:
    if stored is None:
        return {}
    return {"subscription_id": stored["subscription_id"], "attempt": stored["attempt"]}


CHECKOUT_SESSION = MirroredType(
    object_type="checkout.session",
    id_prefixes=("cs",),
    event_types=frozenset(
        {
            "checkout.session.completed",
            "checkout.session.expired",
            "checkout.session.async_payment_succeeded",
            "checkout.session.async_payment_failed",
        }
    ),
    read=_read,
    stored_state=lambda row: _state(row["status"], row["payment_status"]),
    lock_keys=_lock_keys,
    query_file="checkout_sessions",
    resource=Resource("/v1/checkout/sessions"),
    comparison=None,  # a session lives for a day; its subscription and invoice are compared
    batch_key=_batch_key,
    place=_place,
)
