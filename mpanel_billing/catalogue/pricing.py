"""The price of an order: a pure function of the catalogue and the order.

The buyer is charged what the marketing site shows (rule 10): with a trial, nothing today and the
full amount after it; the site's domain is free with a term of twelve months or more of a plan
that includes one; a coupon applies to everything, unless it names products.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import NoReturn

from mpanel_billing import money
from mpanel_billing.catalogue.cycles import BILLING_CYCLES
from mpanel_billing.catalogue.model import Catalogue, Coupon, Price, PricePurpose, Product
from mpanel_billing.catalogue.order import (
    Order,
    OrderedDomain,
    OrderLine,
    PricedDomain,
    PricedOrder,
    When,
)
from mpanel_billing.catalogue.quantities import refuse_quantity, refuse_unordered
from mpanel_billing.errors import InvalidRequestError

FREE_DOMAIN_MONTHS = 12
"""With this term or longer, a plan may include the site's domain in its first year."""

CHARGED_DOMAIN_MODES = frozenset({"new-or-transfer", "register", "transfer"})
"""The domain modes that are charged, each for one year of registration."""

LONGEST_ECHO = 60


def price_order(catalogue: Catalogue, order: Order) -> PricedOrder:
    """Price an order; InvalidRequestError says what is not sold.

    Its `code` is unknown_plan, unknown_addon, unknown_tld, unknown_coupon, cycle_not_sold,
    currency_not_sold, quantity_not_sold, trial_not_offered, domain_not_included,
    coupon_not_in_currency, coupon_below_minimum or coupon_not_for_order; `fields` names the field.
    """
    plan = _find_plan(catalogue, order)
    addons = _find_addons(catalogue, order)
    _check_quantities((plan, *addons), order)
    coupon = _find_coupon(catalogue, order)
    when: When = "after_trial" if order.trial else "at_checkout"
    _refuse_domain_for_nothing(catalogue, plan, order)
    free, charged = _split_domains(order, plan)
    lines = (
        *_recurring_lines((plan, *addons), order, when),
        *_setup_lines((plan, *addons), order, when),
        *(_domain_line(catalogue, domain, order, when) for domain in charged),
    )
    _check_coupon(catalogue, coupon, lines)
    discount = _discount(coupon, lines, order.currency)
    nets = _nets(coupon, lines, discount)
    return PricedOrder(
        plan=plan,
        billing_cycle=order.billing_cycle,
        currency=order.currency,
        lines=lines,
        coupon=coupon,
        discount=discount,
        trial_days=plan.trial_days if order.trial else 0,
        product_types=_unique(
            kind for product in (plan, *addons) for kind in product.product_types
        ),
        free_domain=free.unicode if free else None,
        domains=tuple(
            _priced_domain(catalogue, domain, order, nets)
            for domain in (*((free,) if free else ()), *charged)
        ),
    )


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    """Drop repeats, keep the order."""
    return tuple(dict.fromkeys(names))


def _find_plan(catalogue: Catalogue, order: Order) -> Product:
    plan = catalogue.plans.get(order.plan_code)
    if plan is None:
        _refuse("plan", order.plan_code, catalogue.plans, field="planId", code="unknown_plan")
    if order.trial and not plan.trial_days:
        msg = f"{plan.name} has no free trial. Please order without one."
        raise InvalidRequestError(
            msg, code="trial_not_offered", fields={"trialActive": "not offered for this plan"}
        )
    return plan


def _find_addons(catalogue: Catalogue, order: Order) -> tuple[Product, ...]:
    codes = _unique(order.addon_codes)
    for code in codes:
        if code not in catalogue.addons:
            _refuse("add-on", code, catalogue.addons, field="addonIds", code="unknown_addon")
    return tuple(catalogue.addons[code] for code in codes)


def _check_quantities(products: Sequence[Product], order: Order) -> None:
    refuse_unordered(order.quantities, {product.code for product in products})
    for product in products:
        refuse_quantity(product, order.quantities.get(product.code, 1))


def _find_coupon(catalogue: Catalogue, order: Order) -> Coupon | None:
    """Find the order's coupon; the error does not list the coupons that exist."""
    if order.coupon_code is None:
        return None
    coupon = catalogue.find_coupon(order.coupon_code)
    if coupon is None or coupon.retention:
        msg = f'The coupon "{_shown(order.coupon_code)}" is not valid.'
        raise InvalidRequestError(
            msg, code="unknown_coupon", fields={"couponCode": "not a valid coupon"}
        )
    return coupon.in_currency(order.currency) or _refuse_coupon(coupon, order.currency)


def _check_coupon(catalogue: Catalogue, coupon: Coupon | None, lines: Sequence[OrderLine]) -> None:
    """Refuse a coupon for other products, or for larger orders."""
    if coupon is None:
        return
    if coupon.products and not {line.code for line in lines}.intersection(coupon.products):
        named = [product.name for product in catalogue.products if product.code in coupon.products]
        msg = f'The coupon "{coupon.code}" is only valid for: {", ".join(named)}.'
        raise InvalidRequestError(
            msg, code="coupon_not_for_order", fields={"couponCode": "not valid for this order"}
        )
    minimum = coupon.minimum_amount
    if minimum is not None and sum(line.amount for line in lines) < minimum:
        least = money.format_money(minimum, str(coupon.currency))
        msg = f'The coupon "{coupon.code}" is only valid for orders of {least} or more.'
        raise InvalidRequestError(
            msg, code="coupon_below_minimum", fields={"couponCode": f"needs an order of {least}"}
        )


def _refuse_domain_for_nothing(catalogue: Catalogue, plan: Product, order: Order) -> None:
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


def _split_domains(
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


def _recurring_lines(products: Iterable[Product], order: Order, when: When) -> Iterator[OrderLine]:
    for product in products:
        price = product.price_for(order.billing_cycle, order.currency)
        if price is None:
            _refuse_cycle(product, order)
        yield OrderLine(
            product.code,
            product.kind,
            product.name,
            price,
            recurring=True,
            when=when,
            quantity=order.quantities.get(product.code, 1),
            usage=product.usage,
        )


def _setup_lines(products: Iterable[Product], order: Order, when: When) -> Iterator[OrderLine]:
    for product in products:
        price = product.price_for(None, order.currency)
        if price is not None and price.unit_amount > 0:
            name = f"{product.name}: setup"
            yield OrderLine(product.code, "fee", name, price, recurring=False, when=when)


def _domain_line(
    catalogue: Catalogue, domain: OrderedDomain, order: Order, when: When
) -> OrderLine:
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


def _priced_domain(
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
        msg = f"{_shown(domain.unicode)}: we do not sell .{_shown(tld)} domains. Available: {sold}."
        raise InvalidRequestError(
            msg, code="unknown_tld", fields={"domain.value": f"must end in one of: {sold}"}
        )
    return product


def _one_time_price(product: Product, currency: str) -> Price:
    price = product.price_for(None, currency)
    if price is None:
        _refuse_currency(product, currency)
    return price


def _discount(coupon: Coupon | None, lines: Iterable[OrderLine], currency: str) -> int:
    """Return the coupon's discount; half a minor unit rounds in the buyer's favour.

    The percentage applies to a sum, not to each line, as Stripe discounts an invoice: a sum of
    rounded lines could differ by cents.
    """
    if coupon is None:
        return 0
    subtotal = sum(line.amount for line in lines if _is_discounted(coupon, line))
    if coupon.amount_off is not None:
        return min(coupon.amount_off, subtotal)
    percent = coupon.percent_off or Decimal(0)
    return money.round_to_step(subtotal * percent / 100, currency)


def _nets(coupon: Coupon | None, lines: Sequence[OrderLine], discount: int) -> dict[str, int]:
    """Return what each charged domain costs, less its share of the discount (rounded down)."""
    discounted = [line for line in lines if coupon and _is_discounted(coupon, line)]
    base = sum(line.amount for line in discounted) or 1

    def share_of(line: OrderLine) -> int:
        share = discount * line.amount // base if line in discounted else 0
        return money.floor_to_step(share, line.price.currency)

    return {line.domain: line.amount - share_of(line) for line in lines if line.domain is not None}


def _is_discounted(coupon: Coupon, line: OrderLine) -> bool:
    """Return whether Stripe takes the coupon off a line.

    What is charged once after a trial is an amount without a product there, which a coupon for
    certain products leaves out.
    """
    if not coupon.products:
        return True
    return line.code in coupon.products and (line.recurring or line.when == "at_checkout")


def _shown(given: str) -> str:
    """Quote the client's value, shortened if it is long."""
    return given if len(given) <= LONGEST_ECHO else f"{given[:LONGEST_ECHO]}..."


def _refuse(what: str, given: str, known: Iterable[str], *, field: str, code: str) -> NoReturn:
    available = ", ".join(known)
    msg = f'Unknown {what} "{_shown(given)}". Available: {available}.'
    raise InvalidRequestError(msg, code=code, fields={field: f"must be one of: {available}"})


def _refuse_coupon(coupon: Coupon, currency: str) -> NoReturn:
    valid = ", ".join(sorted(coupon.currencies)).upper()
    raise InvalidRequestError(
        f'The coupon "{coupon.code}" is not valid for payments in {_shown(currency).upper()}.',
        code="coupon_not_in_currency",
        fields={"couponCode": f"only valid in {valid}"},
    )


def _refuse_cycle(product: Product, order: Order) -> NoReturn:
    cycles = product.cycles_in(order.currency)
    if not cycles:
        _refuse_currency(product, order.currency)
    available = ", ".join(cycles)
    msg = f"{product.name} is not available {order.billing_cycle}. Available: {available}."
    raise InvalidRequestError(
        msg, code="cycle_not_sold", fields={"billingCycle": f"{product.code}: {available}"}
    )


def _refuse_currency(product: Product, currency: str) -> NoReturn:
    sold = ", ".join(dict.fromkeys(price.currency for price in product.prices))
    msg = (
        f"{product.name} is not available in {_shown(currency).upper()}. Available: {sold.upper()}."
    )
    raise InvalidRequestError(
        msg, code="currency_not_sold", fields={"currency": f"{product.code}: {sold}"}
    )
