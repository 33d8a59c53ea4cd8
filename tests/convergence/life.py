"""One subscription's life at Stripe: its objects, and the events about them."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tests import stripe_objects as made

START = 1_790_000_000
MONTH = 2_592_000

PRICES: Mapping[str, tuple[str, int, str]] = {
    "price_1": ("prod_web", 799, "month"),
    "price_2": ("prod_shop", 1299, "month"),
    "price_disk": ("prod_disk", 300, "month"),
    "price_negotiated": ("prod_web", 599, "month"),
    "price_yearly": ("prod_web", 5990, "year"),
    "price_weekly": ("prod_web", 199, "week"),
    "price_unknown": ("prod_unknown", 499, "month"),
}
"""Product, amount and interval of each price; rows.py says which of them the catalogue has."""


@dataclass
class Life:
    """One customer's life at Stripe so far. Its names carry a prefix, so it can be relived.

    They have one subscription at a time: a customer who comes back gets another.
    """

    name: str
    order: UUID | None
    trial: bool
    classic: bool
    now: int = START
    returns: int = 0
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def customer(self) -> str:
        return f"cus_{self.name}"

    @property
    def subscription(self) -> dict[str, Any]:
        return self.objects[self.subscription_id]

    @property
    def subscription_id(self) -> str:
        return f"sub_{self.name}" + (f"_{self.returns}" if self.returns else "")

    @property
    def has_ended(self) -> bool:
        return bool(self.subscription["status"] == "canceled")

    def emit(self, type_: str, about: dict[str, Any], was: Mapping[str, Any] | None = None) -> None:
        """Record an event about an object as it is now, and the object itself."""
        self.objects[about["id"]] = about
        previous = None
        if was is not None:
            previous = {key: was.get(key) for key in about if about[key] != was.get(key)}
        self.events.append(
            made.event(
                type_,
                deepcopy(about),
                id_=f"evt_{self.name}_{len(self.events)}",
                created=self.now,
                previous=deepcopy(previous),
                api_version=made.CLASSIC if self.classic else made.BASIL,
            )
        )

    def update(self, type_: str = "customer.subscription.updated", **changes: Any) -> None:
        was = deepcopy(self.subscription)
        now = deepcopy(self.subscription) | changes
        if now != was:
            self.emit(type_, now, was)

    def begin(self, *, recovered: bool) -> None:
        """Buy it: the session, the first invoice and its payment, the subscription."""
        metadata = {"subscriptionId": str(self.order)} if self.order else {}
        if self.order and recovered:
            self._emit_session(1, status="expired", payment_status="unpaid", subscription=None)
            self.now += 60
        self.settle(self.bill(0 if self.trial else 799))
        self._subscribe("trialing" if self.trial else "active", metadata)
        if self.order:
            self._emit_session(2 if recovered else 1)

    def come_back(self) -> None:
        """Buy again after the end."""
        self.returns += 1
        self.settle(self.bill())
        self._subscribe("active", {})

    def _subscribe(self, status: str, metadata: dict[str, str]) -> None:
        about = made.subscription(
            self.subscription_id,
            customer=self.customer,
            status=status,
            metadata=metadata,
            start=self.now,
            end=self.now + MONTH,
            classic=self.classic,
            status_details=None,
        )
        about["items"]["data"][0]["price"]["product"] = PRICES["price_1"][0]
        self.emit("customer.subscription.created", about)

    def _emit_session(self, number: int, **more: Any) -> None:
        session = made.session(
            f"cs_{self.name}_{number}",
            **{"subscription": f"sub_{self.name}"} | more,
            customer=self.customer,
            order=str(self.order),
        )
        status = "expired" if session["status"] == "expired" else "completed"
        self.emit(f"checkout.session.{status}", session)

    def bill(self, amount: int = 799, **more: Any) -> dict[str, Any]:
        """Make an invoice and finalize it."""
        invoice = made.invoice(
            f"in_{self.name}_{len(self.objects)}",
            subscription=self.subscription_id,
            customer=self.customer,
            status="open",
            total=amount,
            created=self.now,
            classic=self.classic,
            **{
                "billing_reason": "subscription_cycle",
                "collection_method": "charge_automatically",
                "status_transitions": {"finalized_at": self.now, "paid_at": None},
            }
            | more,
        )
        self.emit("invoice.finalized", invoice)
        return invoice

    def settle(self, invoice: dict[str, Any]) -> None:
        """Pay an open or uncollectible invoice."""
        amount = invoice["total"]
        self.emit(
            "invoice.paid",
            invoice
            | {
                "status": "paid",
                "amount_paid": amount,
                "amount_remaining": 0,
                "attempt_count": invoice["attempt_count"] + (1 if amount else 0),
                "next_payment_attempt": None,
                "status_transitions": invoice["status_transitions"] | {"paid_at": self.now},
            },
        )
        if amount:
            number = invoice["id"].removeprefix("in_")
            payment = made.invoice_payment(
                f"inpay_{number}",
                invoice=invoice["id"],
                payment_intent=f"pi_{number}",
                amount=amount,
                created=self.now,
            )
            self.emit("invoice_payment.paid", payment)

    def fail_payment(self, invoice: dict[str, Any]) -> None:
        """Try to charge an open invoice, in vain."""
        attempts = invoice["attempt_count"] + 1
        retried = {"attempt_count": attempts, "next_payment_attempt": self.now + 3 * 86_400}
        self.emit("invoice.payment_failed", invoice | retried)

    def invoices(self, *statuses: str) -> list[dict[str, Any]]:
        """Return its invoices with these statuses, the oldest first."""
        bills = (found for found in self.objects.values() if found["object"] == "invoice")
        return [bill for bill in bills if bill["status"] in statuses]

    def items(self) -> list[dict[str, Any]]:
        return deepcopy(self.subscription["items"]["data"])

    def set_items(self, items: list[dict[str, Any]], **more: Any) -> None:
        self.update(items={"object": "list", "has_more": False, "data": items}, **more)

    def next_period(self) -> dict[str, int]:
        return {"current_period_start": self.now, "current_period_end": self.now + MONTH}
