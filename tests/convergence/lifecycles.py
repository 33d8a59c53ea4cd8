"""Lifecycles of subscriptions: what happens at Stripe, and the events about it.

A lifecycle is a list of steps; `live` lets them happen to one subscription and records every event
with the snapshots of that moment. Names carry a prefix, so that the same life can be lived twice.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from tests import stripe_objects as made

START = 1_790_000_000
MONTH = 2_592_000

STEPS = (
    "renew",
    "fail",
    "recover",
    "change_plan",
    "add_item",
    "remove_item",
    "end_at_period_end",
    "keep",
    "pause",
    "unpause",
    "delete",
)

LIVES = st.lists(
    st.fixed_dictionaries(
        {
            "trial": st.booleans(),
            "ordered": st.booleans(),
            "classic": st.booleans(),
            "recovered": st.booleans(),
            "steps": st.lists(
                st.tuples(st.sampled_from(STEPS), st.sampled_from([0, 0, 0, 1, 5])), max_size=7
            ),
        }
    ),
    min_size=1,
    max_size=3,
)


@dataclass
class Life:
    """One subscription's life at Stripe so far."""

    name: str
    order: UUID | None
    trial: bool
    classic: bool
    now: int = START
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def customer(self) -> str:
        return f"cus_{self.name}"

    @property
    def subscription(self) -> dict[str, Any]:
        return self.objects[f"sub_{self.name}"]

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
        status = "trialing" if self.trial else "active"
        metadata = {"subscriptionId": str(self.order)} if self.order else {}
        if self.order and recovered:
            self._emit_session(1, status="expired", payment_status="unpaid", subscription=None)
            self.now += 60
        self.bill(0 if self.trial else 799, number=0)
        self.emit(
            "customer.subscription.created",
            made.subscription(
                f"sub_{self.name}",
                customer=self.customer,
                status=status,
                metadata=metadata,
                start=self.now,
                end=self.now + MONTH,
                classic=self.classic,
            ),
        )
        if self.order:
            self._emit_session(2 if recovered else 1)

    def _emit_session(self, number: int, **more: Any) -> None:
        session = made.session(
            f"cs_{self.name}_{number}",
            **{"subscription": f"sub_{self.name}"} | more,
            customer=self.customer,
            order=str(self.order),
        )
        status = "expired" if session["status"] == "expired" else "completed"
        self.emit(f"checkout.session.{status}", session)

    def bill(self, amount: int, *, number: int, paid: bool = True) -> None:
        """Make an invoice, and pay it or fail to."""
        invoice = made.invoice(
            f"in_{self.name}_{number}",
            subscription=f"sub_{self.name}",
            customer=self.customer,
            status="open",
            total=amount,
            created=self.now,
            classic=self.classic,
        )
        self.emit("invoice.finalized", invoice)
        if paid:
            self.settle(invoice)
        else:
            self.emit("invoice.payment_failed", invoice | {"attempt_count": 1})

    def settle(self, invoice: dict[str, Any]) -> None:
        """Pay an open invoice."""
        amount = invoice["total"]
        attempts = invoice["attempt_count"] + (1 if amount else 0)
        self.emit(
            "invoice.paid",
            invoice
            | {
                "status": "paid",
                "amount_paid": amount,
                "amount_remaining": 0,
                "attempt_count": attempts,
                "status_transitions": {"paid_at": self.now},
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

    def step(self, action: str, wait: int) -> None:
        """Let something happen, `wait` seconds after the last."""
        self.now += wait
        if self.subscription["status"] == "canceled":
            return
        getattr(self, f"_{action}")()

    def _renew(self) -> None:
        if self._open_invoice() is not None:
            return
        items = self._items()
        for item in items:
            item.update({} if self.classic else self._next_period())
        self.bill(799, number=len(self.objects))
        self.update(
            status="active",
            items=self._list(items),
            **(self._next_period() if self.classic else {}),
        )

    def _fail(self) -> None:
        if self._open_invoice() is None:
            self.bill(799, number=len(self.objects), paid=False)
            self.update(status="past_due")

    def _recover(self) -> None:
        invoice = self._open_invoice()
        if invoice is not None:
            self.settle(invoice)
            self.update(status="active")

    def _change_plan(self) -> None:
        items = self._items()
        price = items[0]["price"]
        other = {"price_1": ("price_2", 1299), "price_2": ("price_1", 799)}[price["id"]]
        price["id"], price["unit_amount"] = other
        self.update(items=self._list(items))

    def _add_item(self) -> None:
        items = self._items()
        number = len(self.events)
        added = deepcopy(items[0]) | {"id": f"si_{self.name}_{number}"}
        self.update(items=self._list([*items, added]))

    def _remove_item(self) -> None:
        items = self._items()
        if len(items) > 1:
            self.update(items=self._list(items[:-1]))

    def _end_at_period_end(self) -> None:
        self.update(cancel_at_period_end=True, canceled_at=self.now)

    def _keep(self) -> None:
        self.update(cancel_at_period_end=False, canceled_at=None)

    def _pause(self) -> None:
        self.update(pause_collection={"behavior": "void"})

    def _unpause(self) -> None:
        self.update(pause_collection=None)

    def _delete(self) -> None:
        self.update(
            "customer.subscription.deleted",
            status="canceled",
            ended_at=self.now,
            canceled_at=self.now,
        )

    def _open_invoice(self) -> dict[str, Any] | None:
        bills = (o for o in self.objects.values() if o["object"] == "invoice")
        return next((bill for bill in bills if bill["status"] == "open"), None)

    def _items(self) -> list[dict[str, Any]]:
        return deepcopy(self.subscription["items"]["data"])

    def _list(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        return {"object": "list", "has_more": False, "data": items}

    def _next_period(self) -> dict[str, int]:
        return {"current_period_start": self.now, "current_period_end": self.now + MONTH}


def live(plan: Mapping[str, Any], name: str, order: UUID | None) -> Life:
    """Run one life; return it with all its events in order."""
    life = Life(name, order, plan["trial"], plan["classic"])
    life.begin(recovered=plan["recovered"])
    for action, wait in plan["steps"]:
        life.step(action, wait)
    return life


def disordered(events: Sequence[dict[str, Any]], chance: Any) -> list[dict[str, Any]]:
    """Deliver events in a random order, some twice; the last few may never come."""
    delivered = [*events, *chance.sample(events, len(events) // 3)]
    chance.shuffle(delivered)
    return delivered
