"""What an order would cost, and whether its domains are available; nothing is recorded.

A quote depends on no e-mail address: what a buyer has had before is checked when they order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID, uuid4

from mpanel_billing.catalogue.currencies import choose_currency
from mpanel_billing.catalogue.model import Catalogue, Product, TaxBehavior
from mpanel_billing.catalogue.order import Order, OrderedDomain, PricedOrder
from mpanel_billing.catalogue.pricing import price_order
from mpanel_billing.checkout.buyer import Place
from mpanel_billing.checkout.cart import Selection, read_domain, read_order
from mpanel_billing.checkout.checkout import Checkout, load_offers
from mpanel_billing.checkout.currencies import find_usual_currency
from mpanel_billing.checkout.ordered_domains import with_owned
from mpanel_billing.checkout.promotion_codes import with_codes
from mpanel_billing.checkout.repository.redemptions import Asking, count_taken
from mpanel_billing.checkout.session_params import PaymentTerms, first_invoice_params
from mpanel_billing.checkout.tax_ids import REFUSED, TaxId, tax_id_refused
from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.domains.names import DomainName
from mpanel_billing.domains.repository.names import BUYERS_OWN, list_owned, list_taken
from mpanel_billing.domains.reserved import ReservedNames
from mpanel_billing.errors import InvalidRequestError, StripeError
from mpanel_billing.stripe_gateway.invoices import UNKNOWN_PLACE, TaxedTotal, preview_first

Availability = Literal["available", "taken", "unknown"]
"""`taken`: another customer has the name, or nobody can order it, or it is registered for the
customer already. `unknown`: nobody has it here,
and only its registry knows whether it can be registered."""


@dataclass(frozen=True, slots=True)
class QuotedTax:
    """Whether the prices contain the taxes; and what they come to, if it is known where.

    `taxed` is the first invoice that is paid.
    """

    behavior: TaxBehavior | None
    taxed: TaxedTotal | None


@dataclass(frozen=True, slots=True)
class Quote:
    """A priced order, and the availability of each of its domains; `tax`: None without TAX."""

    priced: PricedOrder
    domains: Sequence[tuple[OrderedDomain, Availability]]
    tax: QuotedTax | None = None


@dataclass(frozen=True, slots=True)
class CheckedDomain:
    """A domain, its availability, and the product as which it is sold, None if it is not."""

    domain: OrderedDomain
    availability: Availability
    product: Product | None
    currency: str


async def quote_order(
    checkout: Checkout,
    selection: Selection,
    customer_id: UUID | None = None,
    place: Place | None = None,
    tax_id: TaxId | None = None,
) -> Quote:
    """Price what was selected, as `create_session` would; without any effect.

    `customer_id`: mPanel vouches for this customer, whose names are not taken, and what they have
    kept is not charged again. `place`: where they are taxed, with their `tax_id`. Raises
    InvalidRequestError for what is not sold, for a place that does not say enough, and for a tax id
    that Stripe refuses. A coupon that has been used up reads as unknown.
    """
    catalogue = await with_codes(
        checkout, await _load(checkout, selection), selection.coupon_code, customer_id
    )
    usual = await find_usual_currency(checkout, catalogue, customer_id)
    order = read_order(selection, catalogue, usual)
    async with acquired(checkout.mirror.pool) as conn:
        if customer_id is not None:
            order = await with_owned(conn, order, customer_id)
        offered = await _without_used_up(conn, checkout, catalogue, order)
        priced = price_order(offered, order)
        found = await find_availability(conn, checkout.reserved, order.domains, customer_id)
    tax = await _tax_of(checkout, priced, place, tax_id) if checkout.terms.taxed else None
    return Quote(priced, [(domain, found[domain.ascii]) for domain in order.domains], tax)


async def _tax_of(
    checkout: Checkout, priced: PricedOrder, place: Place | None, tax_id: TaxId | None
) -> QuotedTax:
    """Ask Stripe what the taxes come to at a place, as its page would."""
    behavior = priced.lines[0].price.tax_behavior
    if place is None:
        return QuotedTax(behavior, None)
    params = first_invoice_params(priced, place, tax_id)
    try:
        return QuotedTax(behavior, await preview_first(checkout.mirror.stripe, params))
    except StripeError as error:
        if error.stripe_code == REFUSED:
            raise tax_id_refused("taxId") from error
        if error.stripe_code != UNKNOWN_PLACE:
            raise
        raise InvalidRequestError(
            "Taxes cannot be computed for this place. Send its postcode and state, too.",
            code="unknown_place",
            fields={"place": "needs its postcode and state"},
        ) from error


def refuse_unquoted(terms: PaymentTerms, priced: PricedOrder, *, has_place: bool) -> None:
    """Refuse an order to whose prices taxes are added and that does not say where: it was not told.

    InvalidRequestError.
    """
    behaviors = {line.price.tax_behavior for line in priced.lines}
    if terms.taxed and "exclusive" in behaviors and not has_place:
        raise InvalidRequestError(
            "Taxes are added to these prices. Say where you are, to see what you pay.",
            code="place_missing",
            fields={"place": "is needed for the taxes"},
        )


async def check_domain(checkout: Checkout, text: str, currency: str | None) -> CheckedDomain:
    """Say whether a name can be ordered, and as what; InvalidRequestError if it is none.

    The same for a currency in which nothing is sold; None: the catalogue's own.
    """
    domain = read_domain(text, "new-or-transfer", field="name")
    catalogue = await checkout.catalogue.get_catalogue()
    chosen = choose_currency(catalogue, currency)
    async with acquired(checkout.mirror.pool) as conn:
        found = await find_availability(conn, checkout.reserved, [domain], None)
    product = catalogue.domains.get(domain.ascii.partition(".")[2])
    return CheckedDomain(domain, found[domain.ascii], product, chosen)


async def _load(checkout: Checkout, selection: Selection) -> Catalogue:
    """Return the offers; which coupons there are depends on time, so they are read again."""
    if selection.coupon_code:
        return await load_offers(checkout)
    return await checkout.catalogue.get_catalogue()


async def _without_used_up(
    conn: Connection, checkout: Checkout, catalogue: Catalogue, order: Order
) -> Catalogue:
    """Leave the order's coupon out if as many orders have it as may."""
    coupon = catalogue.find_coupon(order.coupon_code)
    if coupon is None or coupon.max_redemptions is None:
        return catalogue
    nobody = Asking(uuid4(), uuid4(), b"", vouched=False, livemode=checkout.mirror.livemode)
    taken = await count_taken(conn, nobody, None, coupon.code)
    if taken.coupons < coupon.max_redemptions:
        return catalogue
    return replace(
        catalogue, coupons=tuple(each for each in catalogue.coupons if each is not coupon)
    )


async def find_availability(
    conn: Connection,
    reserved: ReservedNames,
    domains: Sequence[OrderedDomain],
    customer_id: UUID | None,
) -> Mapping[str, Availability]:
    """Return the availability of each domain by its name in ASCII."""
    if not domains:
        return {}
    names = [DomainName(domain.ascii, domain.unicode) for domain in domains]
    taken = await list_taken(conn, names, vouched_customer=customer_id)
    taken |= {name.ascii for name in names if reserved.reserve(name)}
    if customer_id is not None:
        owned = await list_owned(conn, names, customer_id)
        taken |= {each.ascii for each in domains if each.mode not in BUYERS_OWN} & owned.keys()
    return {domain.ascii: _availability(domain, taken) for domain in domains}


def _availability(domain: OrderedDomain, taken: set[str]) -> Availability:
    if domain.ascii in taken:
        return "taken"
    return "available" if domain.mode in BUYERS_OWN else "unknown"
