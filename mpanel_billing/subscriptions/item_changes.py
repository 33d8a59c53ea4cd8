"""What a plan change means for a subscription's items: a pure function.

What is sold at what price is up to the catalogue, as at checkout. Three rules: an item that stays
the same, for the same term, keeps its price even if the catalogue's has changed; if the change
waits for a term from which another price was announced, it has that one; and the plan's item is
changed in place, so that Stripe prorates the old plan against the new one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.catalogue.order import Order, OrderLine, PricedOrder
from mpanel_billing.catalogue.pricing import price_order
from mpanel_billing.catalogue.quantities import refuse_quantity, refuse_unordered
from mpanel_billing.checkout.session_params import LONGEST_METADATA_VALUE, CatalogueNotPushedError
from mpanel_billing.errors import ConflictError, InvalidRequestError
from mpanel_billing.provisioning.product_resources import Included, Resources, resources_by_type
from mpanel_billing.subscriptions.records import Item, Subscription
from mpanel_billing.subscriptions.timing import When, end_of_term, waits

Proration = Literal["always_invoice", "create_prorations", "none"]
"""Stripe's values: charge the difference now, with the next invoice, or never."""


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """The plan, term and add-ons requested; `addon_codes` None keeps the add-ons.

    `when` None: a downgrade waits for the end of the term, anything else is made now. `quantities`
    are those of plan and add-ons by code: what is not named keeps its own, and new is one.
    """

    plan_code: str
    billing_cycle: str
    addon_codes: tuple[str, ...] | None = None
    proration: Proration = "always_invoice"
    when: When | None = None
    quantities: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class PlanChange:
    """The change for Stripe; `items` is empty if the subscription is already as requested.

    `setup_prices` (Stripe ids) are charged once, for what is new. `begins_new_term`: the term
    changes, so a new one begins immediately unless there is still a trial. `ends_trial`: the plan
    is sold without a trial, so the current one ends. `recurring` is the price of each term
    afterwards, in minor units, before discounts. `metadata` is for Stripe's dashboard; our rows
    take theirs from the mirrored items. `addon_codes` are the add-ons afterwards, sorted, and
    `quantities` those of more than one. `waits`: it is made at the end of the term.
    `resources` are those afterwards by product type; None if some of it is not sold any more.
    """

    items: tuple[dict[str, Any], ...]
    setup_prices: tuple[str, ...]
    metadata: Mapping[str, str]
    begins_new_term: bool
    ends_trial: bool
    recurring: int
    addon_codes: tuple[str, ...]
    quantities: Mapping[str, int]
    waits: bool
    resources: Mapping[str, Resources] | None = None


@dataclass(frozen=True, slots=True)
class _ItemChange:
    """An item after the change: its params for Stripe (None: unchanged), product and amount.

    `stays` is the item that keeps its price.
    """

    params: dict[str, Any] | None
    code: str | None
    amount: int
    quantity: int = 0
    stays: Item | None = None


def plan_change(held: Subscription, request: PlanRequest, catalogue: Catalogue) -> PlanChange:
    """Return the change; the subscription's currency stays the same.

    InvalidRequestError for what is not sold (see `price_order`), or if an item outside the
    catalogue would have to change its term; ConflictError unless the subscription has one plan,
    for a change that the catalogue does not allow, and as `waits`.
    """
    plan = _the_plan(held)
    _refuse_what_is_not_allowed(plan, request, catalogue)
    _refuse_foreign_terms(held, request)
    priced = price_order(catalogue, _order(held, request))
    changes = [
        *_item_changes(held, request, {line.code: line for line in priced.lines if line.recurring})
    ]
    _refuse_quantities(held, request, changes, catalogue)
    setup_prices = _setup_prices(held, priced)
    later = _waits(held, request, changes, catalogue, has_setup_fee=bool(setup_prices))
    if later:
        changes = [_at_coming_price(change, end_of_term(held)) for change in changes]
    return PlanChange(
        items=tuple(change.params for change in changes if change.params),
        setup_prices=setup_prices,
        metadata=_metadata(request, changes, catalogue),
        begins_new_term=plan.billing_cycle != request.billing_cycle,
        ends_trial=held.stripe_status == "trialing" and not priced.plan.trial_days,
        recurring=sum(change.amount for change in changes),
        addon_codes=_addon_codes(request, changes),
        quantities=_more_than_one(changes),
        waits=later,
        resources=_resources(changes, catalogue),
    )


def _waits(
    held: Subscription,
    request: PlanRequest,
    changes: list[_ItemChange],
    catalogue: Catalogue,
    *,
    has_setup_fee: bool,
) -> bool:
    """Return whether the change is made at the end of the term; none is, if nothing changes."""
    return any(change.params for change in changes) and waits(
        held,
        request.plan_code,
        request.billing_cycle,
        sum(change.amount for change in changes),
        catalogue,
        quantity=_more_than_one(changes).get(request.plan_code, 1),
        has_setup_fee=has_setup_fee,
        when=request.when,
    )


def _more_than_one(changes: list[_ItemChange]) -> dict[str, int]:
    """Return the quantities above 1 by code."""
    return {one.code: one.quantity for one in changes if one.code and one.quantity > 1}


def _resources(changes: list[_ItemChange], catalogue: Catalogue) -> Mapping[str, Resources] | None:
    """Return what the services have afterwards; None if the catalogue does not say."""
    sold = {**catalogue.plans, **catalogue.addons}
    kept = [change for change in changes if change.quantity or change.code]
    if any(change.code not in sold for change in kept):
        return None
    return resources_by_type(
        Included(sold[one.code].product_types, sold[one.code].resources, one.quantity)
        for one in kept
        if one.code
    )


def _the_plan(held: Subscription) -> Item:
    plans = [item for item in held.items if item.kind == "plan"]
    if len(plans) != 1:
        raise ConflictError(
            "This subscription does not have exactly one plan, so it cannot be changed here.",
            code="no_plan_to_change",
        )
    return plans[0]


def _refuse_what_is_not_allowed(plan: Item, request: PlanRequest, catalogue: Catalogue) -> None:
    """Keep to the catalogue's `allowed_changes` of the present plan, if it is still sold."""
    sold = catalogue.plans.get(plan.code or "")
    allowed = sold.allowed_changes if sold else None
    if allowed is None or request.plan_code in {plan.code, *allowed}:
        return
    raise ConflictError(
        f"{plan.name} cannot be changed to this plan.",
        code="change_not_allowed",
        fields={"planId": f"must be one of: {', '.join(allowed)}" if allowed else "cannot change"},
    )


def _refuse_foreign_terms(held: Subscription, request: PlanRequest) -> None:
    """All items share a term, and an item outside the catalogue has no price for another one."""
    foreign = [item for item in held.items if item.kind not in {"plan", "addon"}]
    if any(item.billing_cycle != request.billing_cycle for item in foreign):
        raise InvalidRequestError(
            "This subscription has a custom item, so its billing cycle cannot change.",
            code="term_cannot_change",
            fields={"billingCycle": "must stay as it is"},
        )


def _order(held: Subscription, request: PlanRequest) -> Order:
    """Return the order to be priced: the plan, and the add-ons that do not keep their price.

    It has no trial: Stripe knows about a running one.
    """
    kept = {item.code for item in held.addons if item.billing_cycle == request.billing_cycle}
    codes = request.addon_codes
    if codes is None:
        codes = tuple(item.code for item in held.addons if item.code)
    return Order(
        plan_code=request.plan_code,
        billing_cycle=request.billing_cycle,
        currency=held.currency,
        addon_codes=tuple(code for code in codes if code not in kept),
    )


def _item_changes(
    held: Subscription, request: PlanRequest, wanted: dict[str, OrderLine]
) -> Iterator[_ItemChange]:
    """Yield the change of each item, then the new items; removes from `wanted` what is covered."""
    quantities = dict(request.quantities)
    for item in held.items:
        code = request.plan_code if item.kind == "plan" else item.code
        line = wanted.pop(code, None) if code else None
        same = item.code == code and item.billing_cycle == request.billing_cycle
        had = 1 if item.metered else item.quantity
        quantity = quantities.get(code or "", had)
        more = {} if quantity == had else {"quantity": quantity}
        if same and _stays(item, request):
            params = {"id": item.stripe_id, **more} if more else None
            amount = (item.unit_amount or 0) * (quantity or 0)
            yield _ItemChange(params, code, amount, quantity or 0, item)
        elif line is not None:
            quantity = quantity or 1
            params = {"id": item.stripe_id, **_priced(line, quantity)}
            yield _ItemChange(params, code, line.price.unit_amount * quantity, quantity)
        else:
            yield _ItemChange({"id": item.stripe_id, "deleted": True}, None, 0)
    for line in wanted.values():
        quantity = quantities.get(line.code, 1)
        params = _priced(line, quantity)
        yield _ItemChange(params, line.code, line.price.unit_amount * quantity, quantity)


def _at_coming_price(change: _ItemChange, at: datetime) -> _ItemChange:
    """Return the change of an item with the price that was announced for a term from then on."""
    item = change.stays
    if item is None or item.coming_at is None or item.coming_at > at:
        return change
    # Stripe sets the quantity to 1 with a price, unless it is told another
    params = {"id": item.stripe_id, "price": item.coming_price, "quantity": change.quantity}
    amount = (item.coming_unit_amount or 0) * change.quantity
    return replace(change, params=params, amount=amount)


def _refuse_quantities(
    held: Subscription, request: PlanRequest, changes: list[_ItemChange], catalogue: Catalogue
) -> None:
    """Keep to the catalogue's `max_quantity`; what stays may be as many as it was."""
    refuse_unordered(dict(request.quantities), {one.code for one in changes if one.code})
    had = {item.code: item.quantity or 0 for item in held.items}
    for change in changes:
        product = catalogue.plans.get(change.code or "") or catalogue.addons.get(change.code or "")
        if change.params and product:
            refuse_quantity(product, change.quantity, had=had.get(change.code, 1))


def _stays(item: Item, request: PlanRequest) -> bool:
    return item.kind != "addon" or request.addon_codes is None or item.code in request.addon_codes


def _priced(line: OrderLine, quantity: int) -> dict[str, Any]:
    """Return price and quantity: Stripe sets that to 1 with a price, unless it is told another.

    What is billed by usage has none.
    """
    params = {"price": _stripe_price(line)}
    return params if line.metered else {**params, "quantity": quantity}


def _stripe_price(line: OrderLine) -> str:
    if line.price.stripe_price_id is None:
        raise CatalogueNotPushedError(line.price.lookup_key)
    return line.price.stripe_price_id


def _setup_prices(held: Subscription, priced: PricedOrder) -> tuple[str, ...]:
    """Return the setup fees of what is new to the subscription."""
    had = {item.code for item in held.items}
    fees = (line for line in priced.lines if line.kind == "fee")
    return tuple(_stripe_price(line) for line in fees if line.code not in had)


def _addon_codes(request: PlanRequest, changes: list[_ItemChange]) -> tuple[str, ...]:
    codes = [change.code for change in changes if change.code and change.code != request.plan_code]
    return tuple(sorted(codes))


def _metadata(
    request: PlanRequest, changes: list[_ItemChange], catalogue: Catalogue
) -> Mapping[str, str]:
    codes = [change.code for change in changes if change.code and change.code != request.plan_code]
    products = [catalogue.plans[request.plan_code]]
    products += [catalogue.addons[code] for code in codes if code in catalogue.addons]
    types = dict.fromkeys(kind for product in products for kind in product.product_types)
    return {
        "planId": request.plan_code,
        "billingCycle": request.billing_cycle,
        "addonIds": ",".join(codes)[:LONGEST_METADATA_VALUE],
        "productTypes": ",".join(types)[:LONGEST_METADATA_VALUE],
    }
