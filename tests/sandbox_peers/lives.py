"""Twenty lives of customers, each on a test clock of its own, for mirrors to follow.

What is paid back is so a day later: of several events of one second, Supabase's sync engine keeps
the first that changes a charge.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import stripe

START = 1_800_000_000
DAY = 86_400
FAILING = "pm_card_chargeCustomerFail"


@dataclass
class Life:
    """A customer with a subscription; `step` moves their clock."""

    api: Any
    prices: dict[str, str]
    customer: str = ""
    clock: str = ""
    subscription: str = ""
    now: int = START
    details: dict[str, Any] = field(default_factory=dict)

    def begin(self, card: str = "pm_card_visa", price: str = "monthly", **more: Any) -> "Life":
        self.clock = self.api.test_helpers.test_clocks.create({"frozen_time": START}).id
        self.customer = self.api.customers.create(
            {
                "email": "ada@example.com",
                "name": "Ada",
                "test_clock": self.clock,
                "payment_method": card,
                "invoice_settings": {"default_payment_method": card},
            }
        ).id
        items = [{"price": self.prices[price]}]
        made = self.api.subscriptions.create({"customer": self.customer, "items": items, **more})
        self.subscription = made.id
        return self

    def step(self, days: int) -> "Life":
        self.now += days * DAY
        self.api.test_helpers.test_clocks.advance(self.clock, {"frozen_time": self.now})
        return self

    def change(self, **params: Any) -> "Life":
        self.api.subscriptions.update(self.subscription, params)
        return self

    def use(self, card: str) -> "Life":
        method = self.api.payment_methods.attach(card, {"customer": self.customer}).id
        settings = {"default_payment_method": method}
        self.api.customers.update(self.customer, {"invoice_settings": settings})
        return self

    def move_to(self, price: str, **params: Any) -> "Life":
        item = self.api.subscription_items.list({"subscription": self.subscription}).data[0].id
        return self.change(items=[{"id": item, "price": self.prices[price]}], **params)

    def invoice(self) -> str:
        found = self.api.invoices.list({"subscription": self.subscription, "limit": 1})
        return str(found.data[0].id)

    def refund(self, **params: Any) -> "Life":
        charges = self.api.charges.list({"customer": self.customer, "limit": 1})
        self.api.refunds.create({"charge": charges.data[0].id, **params})
        return self

    def cancel(self) -> "Life":
        self.api.subscriptions.cancel(self.subscription)
        return self


def _credited(life: Life) -> None:
    life.begin().step(1)
    note = {"invoice": life.invoice(), "amount": 200, "refund_amount": 200}
    life.api.credit_notes.create(note)


def _scheduled(life: Life) -> None:
    life.begin()
    schedule = life.api.subscription_schedules.create({"from_subscription": life.subscription})
    phase = {"items": [{"price": life.prices["bigger"]}], "duration": {"interval": "month"}}
    first = schedule.phases[0]
    now = {
        "items": [{"price": life.prices["monthly"]}],
        "start_date": first.start_date,
        "end_date": first.end_date,
    }
    life.api.subscription_schedules.update(schedule.id, {"phases": [now, phase]})
    life.step(35)


def _billed_by_hand(life: Life) -> None:
    life.begin()
    item = {"customer": life.customer, "amount": 700, "currency": "usd"}
    life.api.invoice_items.create(item)
    made = life.api.invoices.create(
        {"customer": life.customer, "pending_invoice_items_behavior": "include"}
    )
    life.api.invoices.finalize_invoice(made.id)
    life.api.invoices.pay(made.id)


def _voided(life: Life) -> None:
    life.begin().use(FAILING).step(32)
    life.api.invoices.void_invoice(life.invoice())


def _paid_late(life: Life) -> None:
    life.begin().use(FAILING).step(32).use("pm_card_mastercard")
    life.api.invoices.pay(life.invoice())


def _deleted(life: Life) -> None:
    life.begin()
    life.api.customers.delete(life.customer)


LIVES: dict[str, Callable[[Life], object]] = {
    "buys": lambda life: life.begin(),
    "renews": lambda life: life.begin().step(32).step(31),
    "buys a year": lambda life: life.begin(price="yearly").step(400),
    "fails once and recovers": _paid_late,
    "fails for good": lambda life: life.begin().use(FAILING).step(32).step(30),
    "cancels at once": lambda life: life.begin().step(5).cancel(),
    "cancels at the end": lambda life: life.begin().change(cancel_at_period_end=True).step(32),
    "changes their mind": lambda life: (
        life.begin().change(cancel_at_period_end=True).step(1).change(cancel_at_period_end=False)
    ),
    "upgrades": lambda life: life.begin().step(10).move_to("bigger").step(25),
    "upgrades and pays at once": lambda life: (
        life.begin().step(10).move_to("bigger", proration_behavior="always_invoice")
    ),
    "downgrades": lambda life: life.begin(price="bigger").step(10).move_to("monthly").step(25),
    "tries it out": lambda life: life.begin(trial_period_days=7).step(8),
    "is refunded": lambda life: life.begin().step(1).refund(),
    "is refunded in part": lambda life: life.begin().step(1).refund(amount=300),
    "gets a credit note": _credited,
    "has a schedule": _scheduled,
    "pays an invoice by hand": _billed_by_hand,
    "has an invoice voided": _voided,
    "is deleted": _deleted,
    "is sent invoices": lambda life: life.begin(
        collection_method="send_invoice", days_until_due=10
    ).step(32),
}


def live(url: str) -> None:
    """Play all lives on a sandbox."""
    client = stripe.StripeClient("sk_test_peers", base_addresses={"api": url})  # type: ignore[arg-type]
    product = client.v1.products.create({"name": "Plan"}).id
    prices = {
        name: client.v1.prices.create(
            {
                "product": product,
                "currency": "usd",
                "unit_amount": amount,
                "recurring": {"interval": every},  # type: ignore[typeddict-item]
            }
        ).id
        for name, amount, every in (
            ("monthly", 1000, "month"),
            ("bigger", 3000, "month"),
            ("yearly", 9000, "year"),
        )
    }
    for play in LIVES.values():
        play(Life(client.v1, prices))
