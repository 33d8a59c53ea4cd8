"""What the domains of an order cost: the one that the term includes, the others, later years."""

from collections.abc import Mapping
from dataclasses import replace

from mpanel_billing.catalogue.cycles import BILLING_CYCLES
from mpanel_billing.catalogue.model import Catalogue, Price, PricePurpose, Product
from mpanel_billing.catalogue.not_sold import refuse_currency, shown
from mpanel_billing.catalogue.order import Order, OrderedDomain, OrderLine, PricedDomain, When
from mpanel_billing.errors import InvalidRequestError

FREE_DOMAIN_MONTHS = 12
"""With this term or longer, a plan may include the site's domain in its first year."""

CHARGED_DOMAIN_MODES = frozenset({"new-or-transfer", "register", "transfer"})
"""The domain modes that are charged, each for one year of registration."""


def refuse_domain_for_nothing(catalogue: Catalogue, plan: Product, order: Order) -> None:
    """Refuse to register or transfer a domain with a plan that costs nothing.

    Nobody pays for what comes with it, so such an order could be repeated for every domain.
    """
    price = plan.price_for(order.billing_cycle, order.currency)
    if price is None or price.unit_amount:
        return
    if all(domain.mode not in CHARGED_DOMAIN_MODES for domain in order.domains):
        return
    others = ", ".join(other.name for other in catalogue.plans.values() if other.free_domain)
    msg = (
        f"{plan.name} does not include the registration or transfer of a domain. Please choose "
        "one later, or use one that you already have"
        + (f"; or order one of the plans with a domain: {others}." if others else ".")
    )
    raise InvalidRequestError(
        msg,
        code="domain_not_included",
        fields={"domain.mode": "must be existing, subdomain or later with this plan"},
    )


def split_domains(
    order: Order, plan: Product
) -> tuple[OrderedDomain | None, tuple[OrderedDomain, ...]]:
    """Split the domains into the one that the term includes, if any, and those charged.

    Only the first domain of an order can be free: if the buyer already owns that one, the others
    are still charged.
    """
    named: dict[str, OrderedDomain] = {}
    for domain in order.domains:
        named.setdefault(domain.ascii, domain)
    charged = tuple(domain for domain in named.values() if domain.mode in CHARGED_DOMAIN_MODES)
    is_long = BILLING_CYCLES[order.billing_cycle].months >= FREE_DOMAIN_MONTHS
    if plan.free_domain and is_long and charged and charged[0] is order.domains[0]:
        return charged[0], charged[1:]
    return None, charged


def domain_line(catalogue: Catalogue, domain: OrderedDomain, order: Order, when: When) -> OrderLine:
    product = _find_domain_product(catalogue, domain)
    return OrderLine(
        product.code,
        "domain",
        f"{product.name}: {domain.unicode}",
        _first_year(product, domain, order.currency),
        recurring=False,
        when=when,
        domain=domain.ascii,
    )


def price_ordered_domain(
    catalogue: Catalogue, domain: OrderedDomain, order: Order, nets: Mapping[str, int]
) -> PricedDomain:
    """Return what a domain of an order costs, less its share of the discount."""
    is_charged = domain.ascii in nets
    priced = price_domain(catalogue, domain, order.currency, is_included=not is_charged)
    return replace(priced, net=nets.get(domain.ascii, 0))


def price_domain(
    catalogue: Catalogue, domain: OrderedDomain, currency: str, *, is_included: bool = False
) -> PricedDomain:
    """Return what a domain costs by itself; InvalidRequestError if it is not sold.

    Without a price of their own, further years cost as much as the first. `is_included`: the first
    one is part of a term.
    """
    product = _find_domain_product(catalogue, domain)
    first = 0 if is_included else _first_year(product, domain, currency).unit_amount
    return PricedDomain(
        domain.ascii,
        domain.unicode,
        domain.mode,
        first_year=first,
        net=first,
        renewal=domain_amount(product, currency, "renewal"),
        redemption=domain_amount(product, currency, "redemption"),
    )


def domain_amount(
    product: Product, currency: str, purpose: PricePurpose | None = None
) -> int | None:
    """Return what a domain costs in minor units: its first year, or the `purpose`; None: not sold.

    Without a price of their own, a transfer and each further year cost what the first one does.
    """
    price = product.price_for(None, currency, purpose)
    if price is None and purpose != "redemption":
        price = product.price_for(None, currency)
    return price.unit_amount if price else None


def _first_year(product: Product, domain: OrderedDomain, currency: str) -> Price:
    if domain.mode == "transfer":
        transfer = product.price_for(None, currency, "transfer")
        if transfer is not None:
            return transfer
    return _one_time_price(product, currency)


def _find_domain_product(catalogue: Catalogue, domain: OrderedDomain) -> Product:
    tld = domain.ascii.partition(".")[2]
    product = catalogue.domains.get(tld)
    if product is None:
        sold = ", ".join(f".{known}" for known in catalogue.domains)
        msg = f"{shown(domain.unicode)}: we do not sell .{shown(tld)} domains. Available: {sold}."
        raise InvalidRequestError(
            msg, code="unknown_tld", fields={"domain.value": f"must end in one of: {sold}"}
        )
    return product


def _one_time_price(product: Product, currency: str) -> Price:
    price = product.price_for(None, currency)
    if price is None:
        refuse_currency(product, currency)
    return price
