"""What the outside world has to be: told again, simply, from what Stripe and the operators said.

Nothing of the service decides here but the catalogue's file, which says what a product gives.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from mpanel_billing.catalogue.file import read_catalogue_file
from mpanel_billing.resources import DEFAULT_CATALOGUE

PLANS = ("starter", "premium", "business")
ADDONS = ("addon-backups-daily", "addon-storage-100gb")
TYPES = ("hosting", "email", "backup", "storage")

TERM = timedelta(days=30)
TAKEN = frozenset({"needs_response", "under_review", "lost"})
"""The statuses of a dispute in which the bank has the money."""

State = Literal["active", "suspended", "gone"]

_FILE = read_catalogue_file(DEFAULT_CATALOGUE)
_PRODUCTS = {product.code: product for product in (*_FILE.plans, *_FILE.addons)}


@dataclass
class Pause:
    """A pause to a date: what was paid for is served to its end (`since`), and then nothing.

    Until a term begins at `until` or later, which is paid for again.
    """

    since: datetime
    until: datetime
    begun: bool = False


@dataclass
class Bought:
    """A subscription as its owner, Stripe and the operators know it; moments are UTC."""

    plan: str
    term_start: datetime
    term_end: datetime
    addons: Counter[str] = field(default_factory=Counter)
    status: str = "incomplete"
    settled: bool = False
    receipts: dict[str, int] = field(default_factory=dict)
    """What the host has of each invoice that was paid with money; the first of a trial is $0."""
    disputes: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The invoice and the status of each dispute."""
    waived: set[str] = field(default_factory=set)
    dispute_suspends: bool = False
    """Whether a bank that takes its money back suspends: the host's choice."""
    collection_paused: bool = False
    pause_suspends: bool = False
    """Whether a paused collection suspends, if it was not paused here: the host's choice."""
    pause: Pause | None = None
    planned: str | None = None
    """The plan that a schedule gives it."""
    debts: list[datetime] = field(default_factory=list)
    """When each unpaid invoice of its terms was finalized."""
    written_off: set[datetime] = field(default_factory=set)
    """Those that Stripe has marked uncollectible; they are owed until a later one is paid."""
    last_paid: datetime | None = None
    """When the latest invoice was finalized that was paid before an older debt."""
    negotiated: bool = False
    """Whether it pays prices that the catalogue does not have, of the products that it has."""
    has_unknown_item: bool = False
    """Whether it has an item of a product that the catalogue does not have."""
    had_unknown_item_throughout: bool = False
    """Since before the latest rest."""
    choice: Literal["open", "paid"] | None = None
    """Whether a name was chosen in place of its lost one, and paid for."""
    ended_at: datetime | None = None
    payable: list[datetime] = field(default_factory=list)
    """When each invoice was finalized that could still be paid when it ended."""
    paid_late: dict[str, int] = field(default_factory=dict)
    """What the host has of invoices that were paid after the end, unless that is settled."""
    paid_late_throughout: bool = False
    """Since before the latest rest."""
    returned_from: str | None = None
    """The ended subscription of the same customer whose accounts it is to have."""
    returned_at: datetime | None = None
    """When that was asked for."""
    revives: UUID | None = None
    """Our id, if an operator has revived the customer: the first payment is that of the ended."""
    makes_up_for: set[str] = field(default_factory=set)
    """The late payments of the ended one that the revival makes up for."""
    exchanged: dict[str, datetime] = field(default_factory=dict)
    """When accounts were seen first that came from another subscription, by product type."""
    held: bool = False
    held_throughout: bool = False
    """Since before the latest rest."""
    removals: dict[str, list[datetime]] = field(default_factory=dict)
    """When Stripe told that a type was taken out; as far back as the worker may not have seen it
    return."""
    noticed: dict[str, datetime] = field(default_factory=dict)
    """When the worker has seen it removed at the latest."""

    @property
    def paid(self) -> bool:
        """Whether money was ever paid for it."""
        return bool(self.receipts)

    @property
    def is_disputed(self) -> bool:
        """Whether a bank has taken its money, and nobody has waived that."""
        return any(
            status in TAKEN and name not in self.waived
            for name, (_, status) in self.disputes.items()
        )

    def give_back(self, invoice: str, amount: int) -> None:
        """Note what was refunded or credited; what was paid late may be settled by it."""
        self.receipts[invoice] -= amount
        if invoice in self.paid_late:
            self.paid_late[invoice] -= amount
            if self.paid_late[invoice] == 0:
                del self.paid_late[invoice]
                self.paid_late_throughout &= bool(self.paid_late)

    def begin_term(self, start: datetime, end: datetime) -> None:
        """Begin a term, which may begin or end a pause."""
        self.term_start, self.term_end = start, end
        if self.pause is not None and start >= self.pause.until:
            self.pause = None
        elif self.pause is not None and start >= self.pause.since:
            self.pause.begun = True

    @property
    def owed_since(self) -> datetime | None:
        return min(self.debts, default=None)

    def included(self) -> dict[str, dict[str, Any]]:
        """Return the resources that its products add up to, by product type."""
        given: dict[str, dict[str, Any]] = {}
        for code, quantity in {self.plan: 1, **self.addons}.items():
            for product_type in _PRODUCTS[code].product_types if quantity else ():
                total = given.setdefault(product_type, {})
                for name, number in _PRODUCTS[code].resources.items():
                    total[name] = total.get(name, 0) + number * quantity
        return given

    def change(self, plan: str, addons: Counter[str], now: datetime) -> None:
        """Sell something else; note what is no longer in it."""
        before = self.included().keys()
        self.plan, self.addons = plan, addons
        for product_type in before - self.included().keys():
            self.removals.setdefault(product_type, []).append(now)
            self.noticed.pop(product_type, None)

    def word(self, now: datetime, grace: timedelta) -> str:
        """Say in mPanel's word how it is with the subscription."""
        if self.ended_at is not None:
            return "cancelled"
        if not self.settled:
            return "provisional"
        return "active" if self.entitled(now, grace) else "suspended"

    def entitled(self, now: datetime, grace: timedelta) -> bool:
        if self.held or self.ended_at is not None or not self.settled:
            return False
        if self.dispute_suspends and self.is_disputed:
            return False
        if self.pause is not None and self.pause.begun:
            return False
        if self.collection_paused and self.pause_suspends and self.pause is None:
            return False
        if self.status == "past_due" and self.owed_since is not None:
            return now < self.owed_since + grace
        return self.status in {"trialing", "active", "past_due"}

    def allowed(
        self, product_type: str, now: datetime, grace: timedelta, retention: timedelta
    ) -> set[State]:
        """Return the states that the account may be in at a rest.

        A removal is counted from when it was noticed: between the two ends of retention both
        are right. What was never made, or has gone with its time, need not be there.
        """
        if not self.settled:
            return {"gone"}
        is_included = product_type in self.included()
        if is_included and self.entitled(now, grace):
            return {"active"}
        if self.has_unknown_item and self.entitled(now, grace):
            return {"active", "suspended", "gone"}  # it may be what the unknown item gives
        return {"gone"} if self._time_is_up(product_type, now, retention) else {"suspended", "gone"}

    def _time_is_up(self, product_type: str, now: datetime, retention: timedelta) -> bool:
        """Say whether the retention period has ended, and nobody holds the account."""
        if self.held or self.paid_late:
            return False
        came = self.exchanged.get(product_type)
        if self.ended_at is not None and _later(self.ended_at, came) + retention <= now:
            return True
        noticed = self.noticed.get(product_type)
        if noticed is None or self.has_unknown_item or product_type in self.included():
            return False
        return _later(noticed, came) + retention <= now

    def may_be_terminated(
        self, product_type: str, at: datetime, retention: timedelta, came: datetime | None
    ) -> bool:
        """Say whether the account's time had come; `came`: when it may have come from another."""
        if self.held_throughout or self.paid_late_throughout:
            return False
        ends = [self.ended_at] if self.ended_at is not None else []
        if not self.had_unknown_item_throughout:
            ends += self.removals.get(product_type, [])
        return any(_later(gone, came) + retention <= at for gone in ends)

    def deadlines(self, grace: timedelta, retention: timedelta) -> list[datetime]:
        """Return the moments at which time alone changes what the accounts should be."""
        ends = [*self.noticed.values(), *([self.ended_at] if self.ended_at else [])]
        ends += self.exchanged.values()
        overdue = [self.owed_since + grace] if self.owed_since else []
        return [*overdue, *(end + retention for end in ends)]

    def note_rest(self, now: datetime) -> None:
        """Note that the worker has seen everything up to now."""
        self.held_throughout = self.held
        self.paid_late_throughout = bool(self.paid_late)
        self.had_unknown_item_throughout = self.has_unknown_item
        for product_type in TYPES:
            if not self.settled:
                continue
            if product_type in self.included():
                self.removals.pop(product_type, None)
                self.noticed.pop(product_type, None)
            elif product_type in self.removals and not self.has_unknown_item:
                self.noticed.setdefault(product_type, now)

    def take_over(self, types: Iterable[str], now: datetime) -> None:
        """Note that accounts have come from another subscription; some may not be included."""
        self.settled = True
        for product_type in types:
            self.exchanged[product_type] = now
            if self.ended_at is None and product_type not in self.included():
                self.removals[product_type] = [self.returned_at or now]
                self.noticed.pop(product_type, None)


def _later(moment: datetime, other: datetime | None) -> datetime:
    return moment if other is None else max(moment, other)
