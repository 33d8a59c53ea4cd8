"""The catalogue in PostgreSQL. Functions run in the caller's transaction, if there is one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import asyncpg

from mpanel_billing.catalogue.cycles import BILLING_CYCLES
from mpanel_billing.catalogue.model import (
    Catalogue,
    Coupon,
    CouponDuration,
    Price,
    Product,
    TaxBehavior,
)
from mpanel_billing.catalogue.rows import Row
from mpanel_billing.catalogue.usage import Aggregation, Tier, Usage, read_tiers
from mpanel_billing.database.queries import Connection, load_queries

DEFAULT_CURRENCY = "usd"
"""The currency of an empty catalogue, where it does not matter."""

_queries = load_queries("catalogue")
_CYCLE_POSITION: Mapping[str | None, int] = {
    cycle: position for position, cycle in enumerate((*BILLING_CYCLES, None))
}


@dataclass(frozen=True, slots=True)
class Upserted:
    """The codes of rows that were created, and of those that existed and changed."""

    created: tuple[str, ...]
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProductToPush:
    """A product that Stripe should have, on sale or not."""

    id: UUID
    code: str
    name: str
    description: str
    tax_code: str | None
    active: bool
    stripe_product_id: str | None


@dataclass(frozen=True, slots=True)
class PriceToPush:
    """A price that Stripe should have, on sale or not.

    `in_use`: a subscription that lives has it. One with `tiers` is billed by usage.
    """

    id: UUID
    product_id: UUID
    billing_cycle: str | None
    currency: str
    unit_amount: int
    tiers: tuple[Tier, ...]
    stripe_meter_id: str | None
    tax_behavior: TaxBehavior | None
    lookup_key: str
    active: bool
    in_use: bool
    stripe_price_id: str | None


@dataclass(frozen=True, slots=True)
class MeterToPush:
    """A meter that Stripe should have; `name` is that of what is sold by it."""

    event_name: str
    aggregation: Aggregation
    name: str


@dataclass(frozen=True, slots=True)
class CouponToPush:
    """A coupon that Stripe should have."""

    code: str
    name: str
    percent_off: Decimal | None
    amount_off: int | None
    currency: str | None
    amount_off_in: Mapping[str, int]
    duration: CouponDuration
    duration_in_months: int | None
    max_redemptions: int | None
    expires_at: datetime | None
    products: tuple[str, ...]


async def load_catalogue(conn: Connection, livemode: bool) -> Catalogue:
    """Read everything on sale, with the Stripe ids of one mode, in one round trip."""
    [row] = await _queries.get_catalogue.fetch(conn, livemode=livemode)
    return build_catalogue(row["products"], row["coupons"])


def build_catalogue(products: Sequence[Row], coupons: Sequence[Row]) -> Catalogue:
    """Build a catalogue from the rows of `get_catalogue`."""
    currencies = [str(row["currency"]) for row in products]
    return Catalogue(
        products=tuple(_product(row) for row in products),
        coupons=tuple(_coupon(row) for row in coupons),
        currency=currencies[0] if currencies else DEFAULT_CURRENCY,
    )


async def lock_catalogue(conn: Connection) -> None:
    """Wait for the lock on the catalogue, and hold it until the transaction ends."""
    await _queries.lock_catalogue.execute(conn)


async def note_edits(conn: Connection, rows: Sequence[Row]) -> None:
    """Record products whose types or resources change: the sweep finds their subscriptions."""
    await _queries.note_edits.execute(conn, products=rows)


async def upsert_products(conn: Connection, rows: Sequence[Row]) -> Upserted:
    """Create or update products, and put them on sale."""
    return _upserted(await _queries.upsert_products.fetch(conn, products=rows))


async def retire_products(conn: Connection, kept: Iterable[str]) -> tuple[str, ...]:
    """Take all products but `kept` off sale; return their codes."""
    rows = await _queries.retire_products.fetch(conn, codes=list(kept))
    return tuple(row["code"] for row in rows)


async def find_changed_meters(conn: Connection, rows: Sequence[Row]) -> dict[str, str]:
    """Return the meters that add up another way by now, with that."""
    changed = await _queries.find_changed_meters.fetch(conn, meters=rows)
    return {row["event_name"]: row["aggregation"] for row in changed}


async def insert_meters(conn: Connection, rows: Sequence[Row]) -> None:
    """Note what is metered."""
    await _queries.insert_meters.execute(conn, meters=rows)


async def replace_prices(
    conn: Connection, rows: Sequence[Row]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Put exactly these prices on sale; return the lookup keys (inserted, retired).

    A price whose amount differs is retired and inserted again, so its key is in both.
    """
    retired = await _queries.retire_prices.fetch(conn, prices=rows)
    inserted = await _queries.insert_prices.fetch(conn, prices=rows)
    await _queries.say_tax_behaviors.execute(conn, prices=rows)
    return (
        tuple(row["lookup_key"] for row in inserted),
        tuple(row["lookup_key"] for row in retired),
    )


async def upsert_coupons(conn: Connection, rows: Sequence[Row]) -> Upserted:
    """Create or update coupons; one that changes has no Stripe id until it is pushed."""
    return _upserted(await _queries.upsert_coupons.fetch(conn, coupons=rows))


async def retire_coupons(conn: Connection, kept: Iterable[str]) -> tuple[str, ...]:
    """Withdraw all coupons but `kept`; return their codes."""
    rows = await _queries.retire_coupons.fetch(conn, codes=list(kept))
    return tuple(row["code"] for row in rows)


async def try_push_lock(conn: Connection) -> bool:
    """Take the session's lock for pushes; False if another session holds it."""
    return bool(await _queries.try_push_lock.fetch_value(conn))


async def release_push_lock(conn: Connection) -> None:
    """Release the lock for pushes."""
    await _queries.release_push_lock.execute(conn)


async def list_products_to_push(conn: Connection, livemode: bool) -> tuple[ProductToPush, ...]:
    """Return the products on sale, and those off sale that Stripe has in this mode."""
    rows = await _queries.list_products_to_push.fetch(conn, livemode=livemode)
    return tuple(ProductToPush(**row) for row in rows)


async def list_prices_to_push(conn: Connection, livemode: bool) -> tuple[PriceToPush, ...]:
    """Return the prices on sale, and those off sale that Stripe has in this mode."""
    rows = await _queries.list_prices_to_push.fetch(conn, livemode=livemode)
    return tuple(PriceToPush(**{**row, "tiers": read_tiers(row["tiers"])}) for row in rows)


async def list_meters_to_push(conn: Connection) -> tuple[MeterToPush, ...]:
    """Return the meters of what is on sale."""
    return tuple(MeterToPush(**row) for row in await _queries.list_meters_to_push.fetch(conn))


async def list_coupons_to_push(conn: Connection) -> tuple[CouponToPush, ...]:
    """Return the coupons on offer; Stripe creates none that has expired."""
    rows = await _queries.list_coupons_to_push.fetch(conn)
    return tuple(CouponToPush(**{**row, "products": tuple(row["products"])}) for row in rows)


async def set_stripe_product_ids(
    conn: Connection, stripe_ids: Mapping[UUID, str], livemode: bool
) -> None:
    """Store the prod_... of each of our products."""
    await _queries.set_stripe_product_ids.execute(
        conn, ids=list(stripe_ids), stripe_ids=list(stripe_ids.values()), livemode=livemode
    )


async def set_stripe_meter_ids(
    conn: Connection, stripe_ids: Mapping[str, str], livemode: bool
) -> None:
    """Store the mtr_... of each of our meters."""
    await _queries.set_stripe_meter_ids.execute(
        conn, event_names=list(stripe_ids), stripe_ids=list(stripe_ids.values()), livemode=livemode
    )


async def set_stripe_price_ids(
    conn: Connection, stripe_ids: Mapping[UUID, str], livemode: bool
) -> None:
    """Store the price_... of each of our prices."""
    await _queries.set_stripe_price_ids.execute(
        conn, ids=list(stripe_ids), stripe_ids=list(stripe_ids.values()), livemode=livemode
    )


async def set_stripe_coupon_ids(conn: Connection, codes: Iterable[str], livemode: bool) -> None:
    """Record that Stripe has these coupons, under their codes."""
    await _queries.set_stripe_coupon_ids.execute(conn, codes=list(codes), livemode=livemode)


def _upserted(rows: Sequence[asyncpg.Record]) -> Upserted:
    return Upserted(
        created=tuple(row["code"] for row in rows if row["created"]),
        changed=tuple(row["code"] for row in rows if not row["created"]),
    )


def _product(row: Row) -> Product:
    prices = sorted((_price(price) for price in row["prices"]), key=_position)
    allowed = row["allowed_changes"]
    return Product(
        id=UUID(row["id"]),
        code=row["code"],
        kind=row["kind"],
        name=row["name"],
        description=row["description"],
        category=row["category"],
        product_types=tuple(row["product_types"]),
        trial_days=row["trial_days"],
        features=tuple(row["features"]),
        resources=row["resources"],
        display_order=row["display_order"],
        stripe_product_id=row["stripe_product_id"],
        prices=tuple(prices),
        max_per_customer=row["max_per_customer"],
        card_required=row["card_required"],
        free_domain=row["free_domain"],
        allowed_changes=None if allowed is None else tuple(allowed),
        max_quantity=row["max_quantity"],
        usage=_usage(row["usage"]),
        tax_code=row.get("tax_code"),
    )


def _usage(row: Row | None) -> Usage | None:
    return Usage(**{**row, "notify_at": tuple(row["notify_at"])}) if row else None


def _position(price: Price) -> tuple[str, int, str]:
    return price.currency, _CYCLE_POSITION[price.billing_cycle], price.purpose or ""


def _price(row: Row) -> Price:
    return Price(
        id=UUID(row["id"]),
        lookup_key=row["lookup_key"],
        stripe_price_id=row["stripe_price_id"],
        billing_cycle=row["billing_cycle"],
        currency=row["currency"],
        unit_amount=row["unit_amount"],
        purpose=row["purpose"],
        tiers=read_tiers(row["tiers"]),
        tax_behavior=row.get("tax_behavior"),
        version=row.get("version", ""),
    )


def _coupon(row: Row) -> Coupon:
    percent, expires_at = row["percent_off"], row["expires_at"]
    return Coupon(
        code=row["code"],
        name=row["name"],
        percent_off=None if percent is None else Decimal(percent),
        amount_off=row["amount_off"],
        currency=row["currency"],
        duration=row["duration"],
        duration_in_months=row["duration_in_months"],
        stripe_coupon_id=row["stripe_coupon_id"],
        max_redemptions=row["max_redemptions"],
        max_per_customer=row["max_per_customer"],
        expires_at=datetime.fromisoformat(expires_at) if expires_at else None,
        products=tuple(row["products"]),
        first_order_only=row["first_order_only"],
        retention=row["retention"],
        minimum_amount=row["minimum_amount"],
        amount_off_in=row["amount_off_in"],
        minimum_amount_in=row["minimum_amount_in"],
    )
