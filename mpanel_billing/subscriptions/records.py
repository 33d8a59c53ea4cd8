"""Subscriptions with their items, as our rows have them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

import asyncpg

from mpanel_billing.catalogue.cycles import cycle_of_interval

_OVER = frozenset({"canceled", "incomplete_expired"})
_READ_APART = frozenset(
    {"stripe_id", "tenant", "discounts", "items", "planned", "dunning", "pending_update"}
)
_RENEWING = frozenset({"trialing", "active", "past_due"})


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a subscription; `unit_amount` is in minor units of `currency` per term.

    `code`, `kind` and `name` are those of the catalogue product, None for a price outside the
    catalogue. `billing_cycle` is None for a term that we do not sell. From `coming_at` on it costs
    `coming_unit_amount`, Stripe's `coming_price`, which was announced; None: the price stays.
    A `metered` one is billed by usage, and has no quantity.
    """

    id: UUID
    stripe_id: str | None
    code: str | None
    kind: str | None
    name: str | None
    quantity: int | None
    unit_amount: int | None
    currency: str
    billing_cycle: str | None
    current_period_end: datetime | None
    coming_price: str | None = None
    coming_unit_amount: int | None = None
    coming_at: datetime | None = None
    metered: bool = False

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """Read an item from a row of `list_subscriptions`."""
        return cls(
            id=UUID(fields["id"]),
            stripe_id=fields["stripe_id"],
            code=fields["code"],
            kind=fields["kind"],
            name=fields["name"],
            quantity=fields["quantity"],
            unit_amount=fields["unit_amount"],
            currency=fields["currency"],
            billing_cycle=_cycle(fields["recurring_interval"], fields["interval_count"]),
            current_period_end=_moment(fields["current_period_end"]),
            coming_price=fields["coming_price"],
            coming_unit_amount=fields["coming_unit_amount"],
            coming_at=_moment(fields["coming_at"]),
            metered=fields["metered"],
        )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _cycle(interval: str | None, count: int | None) -> str | None:
    return cycle_of_interval(interval, count) if interval and count else None


@dataclass(frozen=True, slots=True)
class Discount:
    """A discount of a subscription, or of its item `item_id`; `amount_off` is in minor units.

    It applies until `ends_at`, or to one invoice if `duration` is `once`. Its coupon and terms are
    None until Stripe has been asked for them. `stripe_id` and `stripe_item_id` are Stripe's ids.
    """

    stripe_id: str
    stripe_item_id: str | None
    coupon: str | None
    name: str | None
    percent_off: float | None
    amount_off: int | None
    currency: str | None
    duration: str | None
    ends_at: datetime | None
    item_id: UUID | None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """Read a discount from a row of `list_subscriptions`."""
        ends_at, item_id = fields["ends_at"], fields["item_id"]
        read = {
            "ends_at": datetime.fromisoformat(ends_at) if ends_at else None,
            "item_id": UUID(item_id) if item_id else None,
        }
        return cls(**{**fields, **read})


@dataclass(frozen=True, slots=True)
class Balance:
    """What Stripe applies to a customer's next invoice in a currency, in minor units.

    Negative is a credit that is taken off, positive is owed and added.
    """

    stripe_customer_id: str
    currency: str
    balance: int


@dataclass(frozen=True, slots=True)
class NextCharge:
    """The next charge of a subscription, in minor units, before taxes and what is charged once.

    `amount` is the `subtotal` of the items that are due then, less the `discount`. Of the
    customer's balance, `balance` is added to it (negative: taken off) if no other invoice is first.
    """

    at: datetime
    subtotal: int
    amount: int
    balance: int

    @property
    def discount(self) -> int:
        """What discounts take off."""
        return self.subtotal - self.amount

    @property
    def amount_due(self) -> int:
        """What is charged after the balance, if nothing else is on the invoice."""
        return self.amount + self.balance


@dataclass(frozen=True, slots=True)
class Planned:
    """A change at the end of a term, which our schedule makes.

    `subtotal` and `amount` are those of the first invoice afterwards, in minor units: before
    discounts, and after them as previewed. `quantities` are those of more than one, by code.
    `is_pending`: it is still to come.
    """

    schedule_id: str
    plan_code: str
    plan_name: str | None
    billing_cycle: str
    addon_codes: tuple[str, ...]
    quantities: Mapping[str, int]
    effective_at: datetime
    subtotal: int
    amount: int
    is_pending: bool

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """Read a planned change from a row of `list_subscriptions`."""
        read = {
            "effective_at": datetime.fromisoformat(fields["effective_at"]),
            "addon_codes": tuple(fields["addon_codes"]),
        }
        return cls(**{**fields, **read})


@dataclass(frozen=True, slots=True)
class Dunning:
    """The attempts to collect the oldest unpaid invoice: `attempt_count` have failed.

    `amount_remaining` is in minor units of `currency`. `next_attempt_at` None: Stripe plans no
    further one. `last_reason` says in words why the last one failed.
    """

    invoice_id: UUID
    amount_remaining: int
    currency: str
    attempt_count: int
    next_attempt_at: datetime | None
    last_reason: str | None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """Read it from a row of `list_subscriptions`."""
        next_at = fields["next_attempt_at"]
        read = {
            "invoice_id": UUID(fields["invoice_id"]),
            "next_attempt_at": datetime.fromisoformat(next_at) if next_at else None,
        }
        return cls(**{**fields, **read})


@dataclass(frozen=True, slots=True)
class WaitingUpdate:
    """A change that waits until `expires_at` for the customer to pay it at `url`.

    `amount` is in minor units; it and `url` are None until the webhook of its invoice has come.
    """

    expires_at: datetime
    url: str | None
    amount: int | None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """Read it from a row of `list_subscriptions`."""
        return cls(**{**fields, "expires_at": datetime.fromisoformat(fields["expires_at"])})


@dataclass(frozen=True, slots=True)
class Tenant:
    """The tenant of a subscription."""

    id: UUID
    domain: str
    status: str | None


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription that Stripe bills; `amount` is in minor units a term, before discounts.

    Items may have different terms: `billing_cycle` is that of the plan, `amount` has each item
    once, and `due_at`, `due_subtotal` and `due_net` (after discounts) are of those that end first.
    `balance` is that of its Stripe customer in its currency, as in `Balance`. `planned` is what our
    schedule makes, or has made, of it. While its collection is paused, services are held for the
    terms from `held_from` to `held_until`.

    `status` is mPanel's, `stripe_status` Stripe's; `stripe_status` and `stripe_id` are None for an
    unpaid order. Times are UTC.
    """

    id: UUID
    customer_id: UUID | None
    created_at: datetime
    status: str
    stripe_status: str | None
    stripe_id: str | None
    stripe_customer_id: str | None
    billing_cycle: str | None
    currency: str
    amount: int
    current_period_start: datetime | None
    current_period_end: datetime | None
    trial_end: datetime | None
    cancel_at_period_end: bool
    cancel_at: datetime | None
    canceled_at: datetime | None
    ended_at: datetime | None
    collection_paused: bool
    due_at: datetime | None
    due_subtotal: int | None
    due_net: int | None
    balance: int
    tenant: Tenant | None
    discounts: Sequence[Discount]
    items: Sequence[Item]
    planned: Planned | None = None
    held_from: datetime | None = None
    held_until: datetime | None = None
    dunning: Dunning | None = None
    pending_update: WaitingUpdate | None = None

    @classmethod
    def of(cls, row: asyncpg.Record) -> Self:
        """Read a row of `list_subscriptions`."""
        same = {name: row[name] for name in cls.__slots__ if name not in _READ_APART}
        tenant = (
            Tenant(row["tenant_id"], row["tenant_domain"], row["tenant_status"])
            if row["tenant_id"]
            else None
        )
        return cls(
            **same,
            stripe_id=row["stripe_subscription_id"],
            tenant=tenant,
            discounts=tuple(Discount.of(fields) for fields in row["discounts"]),
            items=tuple(Item.of(fields) for fields in row["items"]),
            planned=Planned.of(row["planned"]) if row["planned"] else None,
            dunning=Dunning.of(row["dunning"]) if row["dunning"] else None,
            pending_update=(waits := row["pending_update"]) and WaitingUpdate.of(waits),
        )

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.stripe_status in _OVER

    @property
    def will_end(self) -> bool:
        """Whether it is set to end: at the end of its period, or on a set date."""
        return not self.is_over and (self.cancel_at_period_end or self.cancel_at is not None)

    @property
    def to_come(self) -> Planned | None:
        """The change that is planned for the end of the term."""
        return self.planned if self.planned and self.planned.is_pending else None

    @property
    def plan(self) -> Item | None:
        """The item that is a plan of the catalogue."""
        return next((item for item in self.items if item.kind == "plan"), None)

    @property
    def addons(self) -> tuple[Item, ...]:
        """The items that are add-ons of the catalogue."""
        return tuple(item for item in self.items if item.kind == "addon")

    @property
    def next_charge_at(self) -> datetime | None:
        """When the next term is charged; None: never, as it stands."""
        due_at = self.due_at or self.current_period_end
        renews = self.stripe_status in _RENEWING and not self.collection_paused
        ends_first = self.cancel_at_period_end or (
            self.cancel_at is not None and due_at is not None and self.cancel_at <= due_at
        )
        return due_at if renews and not ends_first else None

    @property
    def next_charge(self) -> NextCharge | None:
        """The next charge; None: there is none, as it stands."""
        if self.next_charge_at is None:
            return None
        subtotal, amount = self.due_subtotal or 0, self.due_net or 0
        if self.to_come and self.to_come.effective_at <= self.next_charge_at:
            subtotal, amount = self.to_come.subtotal, self.to_come.amount
        return NextCharge(
            at=self.next_charge_at,
            subtotal=subtotal,
            amount=amount,
            balance=max(self.balance, -amount),
        )
