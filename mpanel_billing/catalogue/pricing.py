"""The price of an order: a pure function of the catalogue and the order.

The buyer is charged what the marketing site shows (rule 10): with a trial, nothing today and the
full amount after it; the site's domain is free with a term of twelve months or more of a plan
that includes one; a coupon applies to everything, unless it names products.
"""

from collections.abc import Iterable, Iterator, Sequence

from mpanel_billing.catalogue.coupon_pricing import (
    check_coupon,
    discount_of,
    find_coupon,
    net_domains,
)
from mpanel_billing.catalogue.domain_pricing import (
    domain_line,
    price_ordered_domain,
    refuse_domain_for_nothing,
    split_domains,
)
from mpanel_billing.catalogue.model import Catalogue, Product
from mpanel_billing.catalogue.not_sold import refuse_cycle, refuse_unknown
from mpanel_billing.catalogue.order import (
    Order,
    OrderLine,
    PricedOrder,
    When,
)
from mpanel_billing.catalogue.quantities import refuse_quantity, refuse_unordered
from mpanel_billing.errors import InvalidRequestError


def price_order(catalogue: Catalogue, order: Order) -> PricedOrder:
    """Price an order; InvalidRequestError says what is not sold.

    Its `code` is unknown_plan, unknown_addon, unknown_tld, unknown_coupon, cycle_not_sold,
    currency_not_sold, quantity_not_sold, trial_not_offered, domain_not_included,
    coupon_not_in_currency, coupon_below_minimum or coupon_not_for_order; `fields` names the field.
    """
    plan = _find_plan(catalogue, order)
    addons = _find_addons(catalogue, order)
    _check_quantities((plan, *addons), order)
    coupon = find_coupon(catalogue, order)
    when: When = "after_trial" if order.trial else "at_checkout"
    refuse_domain_for_nothing(catalogue, plan, order)
    free, charged = split_domains(order, plan)
    lines = (
        *_recurring_lines((plan, *addons), order, when),
        *_setup_lines((plan, *addons), order, when),
        *(domain_line(catalogue, domain, order, when) for domain in charged),
    )
    check_coupon(catalogue, coupon, lines)
    discount = discount_of(coupon, lines, order.currency)
    nets = net_domains(coupon, lines, discount)
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
            price_ordered_domain(catalogue, domain, order, nets)
            for domain in (*((free,) if free else ()), *charged)
        ),
    )


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    """Drop repeats, keep the order."""
    return tuple(dict.fromkeys(names))


def _find_plan(catalogue: Catalogue, order: Order) -> Product:
    plan = catalogue.plans.get(order.plan_code)
    if plan is None:
        refuse_unknown(
            "plan", order.plan_code, catalogue.plans, field="planId", code="unknown_plan"
        )
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
            refuse_unknown("add-on", code, catalogue.addons, field="addonIds", code="unknown_addon")
    return tuple(catalogue.addons[code] for code in codes)


def _check_quantities(products: Sequence[Product], order: Order) -> None:
    refuse_unordered(order.quantities, {product.code for product in products})
    for product in products:
        refuse_quantity(product, order.quantities.get(product.code, 1))


def _recurring_lines(products: Iterable[Product], order: Order, when: When) -> Iterator[OrderLine]:
    for product in products:
        price = product.price_for(order.billing_cycle, order.currency)
        if price is None:
            refuse_cycle(product, order)
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
