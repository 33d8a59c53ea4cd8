"""Announce another price to those who have a product already, or find out what that would do.

Each is told at once, and pays the new price from their own renewal on: the first one that is
neither before the day nor within their notice. `price_changes` makes it then. Left alone are those
at other prices, those that end, and those with a schedule at Stripe.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from mpanel_billing import money
from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError, InvalidRequestError, NotFoundError
from mpanel_billing.subscriptions.price_changes import LEAD_DAYS
from mpanel_billing.subscriptions.repository import price_changes as repository
from mpanel_billing.subscriptions.repository.price_changes import SoldPrice

PAGE = 500
"""So many subscriptions are announced in one transaction."""

_FIRST = UUID(int=0)


@dataclass(frozen=True, slots=True)
class PriceMigration:
    """Which price of a product becomes which; named by Stripe's id or ours.

    It counts from the first renewal at `starts_at` or later that leaves `notice_days`.
    """

    product: str
    old: str
    new: str
    starts_at: datetime
    notice_days: int


@dataclass(slots=True)
class Announced:
    """What a run has announced, or would: to how many, and from when it counts for them.

    `revenue` is what they add to the monthly recurring revenue in minor units, before and after;
    None unless it was asked for. `left` are those left alone, by why.
    """

    old: SoldPrice
    new: SoldPrice
    subscriptions: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    revenue: tuple[Decimal, Decimal] | None = None
    left: Mapping[str, int] = field(default_factory=dict)

    def add(self, moments: Sequence[datetime]) -> None:
        """Count a page."""
        self.subscriptions += len(moments)
        known = [one for one in (self.first_at, self.last_at, *moments) if one]
        self.first_at, self.last_at = min(known, default=None), max(known, default=None)


class _PreviewedError(Exception):
    """Ends the transaction of a preview."""


async def preview_migration(pool: Pool, wanted: PriceMigration) -> Announced:
    """Return what `announce_migration` would do, and its effect on revenue; raises as it.

    Each page is announced and taken back.
    """
    found = await _find(pool, wanted)
    _require_on_sale(found.new)
    before = after = Decimal(0)
    last = _FIRST
    while True:
        with suppress(_PreviewedError):
            async with transaction(pool) as conn:
                page = await repository.list_candidates(conn, found.old.id, last, PAGE)
                old, new = await _measured(conn, wanted, found, page)
                raise _PreviewedError
        if not page:
            break
        before, after, last = before + old, after + new, page[-1]
    found.revenue = before, after
    return found


async def _measured(
    conn: Connection, wanted: PriceMigration, found: Announced, page: Sequence[UUID]
) -> tuple[Decimal, Decimal]:
    before = await repository.get_revenue(conn, page)
    found.add(await _announce(conn, wanted, found, page))
    await repository.take_effect(conn, page, found.old.id)
    return before, await repository.get_revenue(conn, page)


async def announce_migration(
    pool: Pool,
    wanted: PriceMigration,
    by: Actor,
    *,
    untold: bool = False,
    show: Callable[[int], None] = lambda _: None,
) -> Announced:
    """Announce the price to each subscription that has the old one, in pages.

    Safe to repeat, also after a crash: it goes on with those that were not told. `show` gets how
    many were announced after each page. NotFoundError for a price that the product has not;
    InvalidRequestError for prices that differ in more than the amount, or bill usage; ConflictError
    if no receiver gets the messages, unless `untold`.
    """
    found = await _find(pool, wanted)
    _require_on_sale(found.new)
    if not untold:
        await _require_receiver(pool, found.old)
    last: UUID | None = _FIRST
    while last is not None:
        last = await _announce_page(pool, wanted, found, last, by)
        show(found.subscriptions)
    return found


async def _announce_page(
    pool: Pool, wanted: PriceMigration, found: Announced, after: UUID, by: Actor
) -> UUID | None:
    """Announce a page; return the last of it, None if there was none."""
    async with transaction(pool) as conn:
        page = await repository.list_candidates(conn, found.old.id, after, PAGE)
        if not page:
            return None
        moments = await _announce(conn, wanted, found, page)
        details = _details(wanted, found) | {"subscriptions": len(moments)}
        await audit.record(conn, by, "catalogue.migrate_prices", None, details)
    found.add(moments)
    return page[-1]


async def withdraw_migration(pool: Pool, wanted: PriceMigration, by: Actor) -> tuple[int, int]:
    """Call off what is announced and not made yet, also if the new price is off sale.

    Returns of how many subscriptions, and of how many it is under way: Stripe has been asked.
    """
    found = await _find(pool, wanted)
    async with transaction(pool) as conn:
        standing = await repository.lock_standing(conn, found.old.id, found.new.id)
        count = await repository.withdraw(conn, standing)
        details = _details(wanted, found) | {"subscriptions": count}
        await audit.record(conn, by, "catalogue.withdraw_prices", None, details)
    return count, len(standing) - count


def _details(wanted: PriceMigration, found: Announced) -> dict[str, object]:
    return {
        "product": wanted.product,
        "from": found.old.stripe_price_id,
        "to": found.new.stripe_price_id,
        "on": wanted.starts_at.isoformat(),
        "noticeDays": wanted.notice_days,
    }


async def _announce(
    conn: Connection, wanted: PriceMigration, found: Announced, page: Sequence[UUID]
) -> list[datetime]:
    return await repository.announce(
        conn,
        page,
        found.old.id,
        found.new.id,
        starts_at=wanted.starts_at,
        notice_days=wanted.notice_days,
        lead_days=LEAD_DAYS,
    )


async def _find(pool: Pool, wanted: PriceMigration) -> Announced:
    async with acquired(pool) as conn:
        prices = await repository.list_prices(conn, wanted.product)
        old, new = (_named(prices, name, wanted.product) for name in (wanted.old, wanted.new))
        _require_alike(old, new)
        left = await repository.count_left(conn, wanted.product, old.id, new.id)
    return Announced(old, new, left=left)


def _named(prices: Sequence[SoldPrice], name: str, product: str) -> SoldPrice:
    for price in prices:
        if name in {price.stripe_price_id, str(price.id)}:
            return price
    known = "; ".join(map(describe_price, prices)) or "none that Stripe has"
    raise NotFoundError(f"{product} has no price {name!r}. Its prices: {known}.")


def describe_price(price: SoldPrice) -> str:
    """Return a price in words: what it costs, whether it is on sale, how many have it."""
    amount = "by usage" if price.meter else money.format_money(price.unit_amount, price.currency)
    state = "on sale" if price.active else "no longer sold"
    return (
        f"{price.stripe_price_id} {price.billing_cycle} {amount}, {state},"
        f" {price.subscriptions} subscriptions"
    )


def _require_alike(old: SoldPrice, new: SoldPrice) -> None:
    if old.id == new.id:
        raise InvalidRequestError("This is the price that they have.")
    if old.meter or new.meter:
        raise InvalidRequestError(
            "A price that is billed by usage cannot be migrated: its customers were told what a"
            " unit costs when they ordered, and keep that until they order the add-on again."
        )
    for what in ("currency", "billing_cycle", "livemode"):
        if getattr(old, what) != getattr(new, what):
            raise InvalidRequestError(
                f"The prices differ in more than the amount: {describe_price(old)};"
                f" {describe_price(new)}."
            )


def _require_on_sale(new: SoldPrice) -> None:
    if not new.active:
        raise InvalidRequestError(f"The new price is not on sale: {describe_price(new)}.")


async def _require_receiver(pool: Pool, price: SoldPrice) -> None:
    async with acquired(pool) as conn:
        if await repository.is_anyone_told(conn, livemode=price.livemode):
            return
    raise ConflictError(
        "No receiver gets price.changing, so no customer would be told. Add one with"
        " `mpanel-billing receivers add`, or pass --untold if you tell them yourself."
    )
