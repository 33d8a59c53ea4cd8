"""Push the catalogue from the database to Stripe.

Everything is looked up before it is created: a product by its id, a meter by its event name, a
price by its id or lookup key, a coupon by its code. So a push that failed
halfway is simply run again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from uuid import UUID, uuid4

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor
from mpanel_billing.catalogue import repository
from mpanel_billing.catalogue.cycles import BILLING_CYCLES
from mpanel_billing.catalogue.model import stripe_coupon_id_in
from mpanel_billing.catalogue.offers import (
    CatalogueGateway,
    PriceTerms,
    StripeCoupon,
    StripeMeter,
    StripePrice,
    StripeProduct,
)
from mpanel_billing.catalogue.repository import (
    CouponToPush,
    MeterToPush,
    PriceToPush,
    ProductToPush,
)
from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError

REDEEMABLE_AFTER_EXPIRY = timedelta(hours=25)
"""An order placed just before a coupon expires can be paid for a day, with what its page shows."""


@dataclass(slots=True)
class Pushed:
    """What a push changed in Stripe: ids or codes of products, meters, prices and coupons."""

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    retired: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Push:
    """One run: `conn` holds its lock, `run` is part of its idempotency keys."""

    conn: Connection
    gateway: CatalogueGateway
    livemode: bool
    done: Pushed
    run: str

    def key(self, verb: str, row: UUID | str) -> str:
        """Return the idempotency key of an action on a row in this run.

        Within a run the SDK retries a request with the same key. The next run needs a new key: it
        looks up what exists, and must not get the response of an earlier try.
        """
        return f"catalogue-{verb}-{row}-{self.run}"


async def push_catalogue(
    pool: Pool, gateway: CatalogueGateway, livemode: bool, *, by: Actor | None = None
) -> Pushed:
    """Make Stripe offer what our database sells, and store Stripe's ids.

    Safe to repeat, also after a crash. Raises ConflictError while another push runs, and
    StripeError; the next push finds what this one has done. `by` is for the audit log; None is
    the service itself.
    """
    async with audit.attempt(pool, by, "catalogue.push") as entry:
        done = Pushed()
        try:
            await _push_all(pool, gateway, livemode, done)
        finally:
            entry.note(**asdict(done))
    return done


async def _push_all(pool: Pool, gateway: CatalogueGateway, livemode: bool, done: Pushed) -> None:
    async with acquired(pool) as conn:
        if not await repository.try_push_lock(conn):
            raise ConflictError("Another push of the catalogue is running.")
        try:
            push = _Push(conn, gateway, livemode, done, uuid4().hex)
            products = await _push_products(push)
            await _push_meters(push)
            await _push_prices(push, {one.id: wanted_product(one).id for one in products})
            await _push_coupons(push, stripe_ids(products))
        finally:
            await repository.release_push_lock(conn)


async def _push_products(push: _Push) -> Sequence[ProductToPush]:
    """Push the products and return them."""
    products = await repository.list_products_to_push(push.conn, push.livemode)
    wanted = {product.id: wanted_product(product) for product in products}
    ids = {row_id: product.id for row_id, product in wanted.items()}
    found = {product.id: product for product in await push.gateway.list_products([*ids.values()])}
    for product in products:
        await _push_product(push, product, wanted[product.id], found)
    await repository.set_stripe_product_ids(push.conn, ids, push.livemode)
    return products


def stripe_ids(products: Iterable[ProductToPush]) -> Mapping[str, str]:
    """Return what the products are called in Stripe, by code."""
    return {product.code: wanted_product(product).id for product in products}


def wanted_product(product: ProductToPush) -> StripeProduct:
    """Return what Stripe should have; a new product's id is the same in every database."""
    return StripeProduct(
        id=product.stripe_product_id or f"mpanel_{product.code}",
        name=product.name,
        description=product.description,
        active=product.active,
        tax_code=product.tax_code,
    )


def known_product(found: StripeProduct, wanted: StripeProduct) -> StripeProduct:
    """Return what Stripe has, without a tax code if our catalogue says none."""
    return found if wanted.tax_code else replace(found, tax_code=None)


def known_terms(found: PriceTerms, wanted: PriceTerms) -> PriceTerms:
    """Return what Stripe has, without what our catalogue does not say of taxes."""
    return found if wanted.tax_behavior else replace(found, tax_behavior=None)


async def _push_product(
    push: _Push,
    product: ProductToPush,
    wanted: StripeProduct,
    found: Mapping[str, StripeProduct],
) -> None:
    if wanted.id not in found:
        key = push.key("create-product", product.id)
        await push.gateway.create_product(wanted, product.code, key)
        push.done.created.append(product.code)
    elif known_product(found[wanted.id], wanted) != wanted:
        await push.gateway.update_product(wanted, push.key("update-product", product.id))
        push.done.updated.append(product.code)


async def _push_meters(push: _Push) -> None:
    wanted = await repository.list_meters_to_push(push.conn)
    if not wanted:
        return
    found = {meter.event_name: meter for meter in await push.gateway.list_active_meters()}
    pushed = {meter.event_name: await _push_meter(push, meter, found) for meter in wanted}
    await repository.set_stripe_meter_ids(push.conn, pushed, push.livemode)


async def _push_meter(push: _Push, meter: MeterToPush, found: Mapping[str, StripeMeter]) -> str:
    """Find or create a meter and return its id."""
    name = meter.event_name
    current = found.get(name)
    if current is None:
        key = push.key("create-meter", name)
        current = await push.gateway.create_meter(name, meter.aggregation, meter.name, key)
        push.done.created.append(name)
    elif current.aggregation != meter.aggregation:
        raise ConflictError(
            f"Stripe has an active meter {name} ({current.id}) whose aggregation is "
            f"{current.aggregation}: name another meter in the catalogue, or deactivate that one."
        )
    return current.id


async def _push_prices(push: _Push, product_ids: Mapping[UUID, str]) -> None:
    prices = await repository.list_prices_to_push(push.conn, push.livemode)
    offered = Offered(await push.gateway.list_active_prices(), prices)
    pushed: dict[UUID, str] = {}
    for price in prices:
        if price.active:
            terms = wanted_terms(price, product_ids[price.product_id])
            pushed[price.id] = await _push_price(push, price, terms, offered)
    await repository.set_stripe_price_ids(push.conn, pushed, push.livemode)
    for price in prices:
        current = offered.by_id.get(price.stripe_price_id or "")
        if current is not None and not price.active and current.id in offered.retirable:
            await _retire_price(push, price.id, current)


class Offered:
    """Stripe's active prices by id and by lookup key, and the rows that own them.

    One that a subscription has stays active, though we no longer sell it: Stripe takes no schedule
    with an inactive price, so nothing could be planned for that subscription.
    """

    def __init__(self, found: Iterable[StripePrice], prices: Iterable[PriceToPush]) -> None:
        self.by_id = {price.id: price for price in found}
        self.by_lookup_key = {price.terms.lookup_key: price for price in self.by_id.values()}
        self.owners = {price.stripe_price_id: price.id for price in prices}
        self._in_use = {price.stripe_price_id for price in prices if price.in_use}

    @property
    def retirable(self) -> Set[str]:
        """The ids of those that may become inactive."""
        return self.by_id.keys() - self._in_use

    def for_row(self, price: PriceToPush) -> StripePrice | None:
        """Find the price of a row, even if a push failed before storing its id."""
        known = self.by_id.get(price.stripe_price_id or "")
        if known is not None:
            return known
        candidate = self.by_lookup_key.get(price.lookup_key)
        if candidate is None or self.owners.get(candidate.id, price.id) != price.id:
            return None
        return candidate


async def _push_price(push: _Push, price: PriceToPush, terms: PriceTerms, offered: Offered) -> str:
    """Find or create the Stripe price of a row and return its id."""
    current = offered.for_row(price)
    if current is not None and known_terms(current.terms, terms) == terms:
        return current.id
    if current is not None and current.terms == replace(terms, tax_behavior=None):
        key = push.key("say-tax-behavior", price.id)
        await push.gateway.say_tax_behavior(current.id, terms.tax_behavior or "", key)
        push.done.updated.append(price.lookup_key)
        return current.id
    created = await push.gateway.create_price(terms, push.key("create-price", price.id))
    push.done.created.append(price.lookup_key)
    former = offered.by_lookup_key.get(price.lookup_key)
    if former is not None and former.id in offered.retirable:
        await _retire_price(push, price.id, former)
        del offered.by_id[former.id]
    return created.id


async def _retire_price(push: _Push, row_id: UUID, price: StripePrice) -> None:
    await push.gateway.retire_price(price.id, push.key("retire-price", row_id))
    push.done.retired.append(price.id)


def wanted_terms(price: PriceToPush, product_id: str) -> PriceTerms:
    cycle = BILLING_CYCLES[price.billing_cycle] if price.billing_cycle else None
    return PriceTerms(
        product_id=product_id,
        lookup_key=price.lookup_key,
        currency=price.currency,
        unit_amount=None if price.tiers else price.unit_amount,
        interval=cycle.interval if cycle else None,
        interval_count=cycle.interval_count if cycle else None,
        meter_id=price.stripe_meter_id,
        tiers=price.tiers,
        tax_behavior=price.tax_behavior,
    )


async def _push_coupons(push: _Push, product_ids: Mapping[str, str]) -> None:
    coupons = await repository.list_coupons_to_push(push.conn)
    for coupon in coupons:
        for wanted in wanted_coupons(coupon, product_ids):
            await _push_coupon(push, wanted)
    codes = [coupon.code for coupon in coupons]
    await repository.set_stripe_coupon_ids(push.conn, codes, push.livemode)


async def _push_coupon(push: _Push, wanted: StripeCoupon) -> None:
    """Create a coupon; one that differs is deleted first, since coupons are immutable."""
    found = await push.gateway.find_coupon(wanted.id)
    if found == wanted:
        return
    if found is not None:
        await push.gateway.delete_coupon(wanted.id, push.key("delete-coupon", wanted.id))
    await push.gateway.create_coupon(wanted, push.key("create-coupon", wanted.id))
    (push.done.created if found is None else push.done.updated).append(wanted.id)


def wanted_coupons(coupon: CouponToPush, product_ids: Mapping[str, str]) -> Iterator[StripeCoupon]:
    """Yield what Stripe should have: a coupon for each currency in which it takes off an amount.

    Each has the limits that Stripe knows: they are the second line.
    """
    own = _wanted_coupon(coupon, product_ids)
    yield own
    for currency, amount in coupon.amount_off_in.items():
        id_ = stripe_coupon_id_in(own.id, currency)
        yield replace(own, id=id_, amount_off=amount, currency=currency)


def _wanted_coupon(coupon: CouponToPush, product_ids: Mapping[str, str]) -> StripeCoupon:
    until = coupon.expires_at and coupon.expires_at + REDEEMABLE_AFTER_EXPIRY
    return StripeCoupon(
        id=coupon.code,
        name=coupon.name,
        percent_off=coupon.percent_off,
        amount_off=coupon.amount_off,
        currency=None if coupon.amount_off is None else coupon.currency,
        duration=coupon.duration,
        duration_in_months=coupon.duration_in_months,
        max_redemptions=coupon.max_redemptions,
        redeem_by=int(until.timestamp()) if until else None,
        product_ids=tuple(sorted(product_ids[code] for code in coupon.products)),
    )
