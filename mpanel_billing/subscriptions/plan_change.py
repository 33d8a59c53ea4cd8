"""What a change of plan means for a subscription's items: a function of values.

What is sold, and for how much, is for the catalogue to say, as at checkout. Two rules of ours:
an item that stays what it is, for the same term, keeps its price, be the catalogue's another by
now; and the plan is changed in place, so that Stripe weighs the old one against the new one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.catalogue.order import Order, OrderLine, PricedOrder
from mpanel_billing.catalogue.pricing import price_order
from mpanel_billing.checkout.session_params import LONGEST_METADATA_VALUE, CatalogueNotPushedError
from mpanel_billing.errors import ConflictError, InvalidRequestError
from mpanel_billing.subscriptions.holdings import Item, Subscription

Proration = Literal["always_invoice", "create_prorations", "none"]
"""Stripe's words: charge the difference now, with the next invoice, or never."""


@dataclass(frozen=True, slots=True)
class PlanWish:
    """What a subscription is to be. `addon_codes` None leaves the add-ons as they are."""

    plan_code: str
    billing_cycle: str
    addon_codes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """What to ask Stripe for: empty `items` when the subscription is all that already.

    `setup_prices` (at Stripe) are charged once, for what is new. `begins_new_term`: the term itself
    changes, so a new one begins at once, unless there is still a trial. `ends_trial`: the plan is
    sold without one, so what is left of it is over. `recurring` is what each term costs
    afterwards: minor units, before discounts. `metadata` is for Stripe's dashboard; our rows take
    theirs from the mirrored items.
    """

    items: tuple[dict[str, Any], ...]
    setup_prices: tuple[str, ...]
    metadata: Mapping[str, str]
    begins_new_term: bool
    ends_trial: bool
    recurring: int


@dataclass(frozen=True, slots=True)
class _Piece:
    """An item as it will be: what Stripe is told (None: nothing), the product, the sum a term."""

    params: dict[str, Any] | None
    code: str | None
    amount: int


def plan_change(held: Subscription, wish: PlanWish, catalogue: Catalogue) -> PlannedChange:
    """Work out the change; the subscription's currency stays what it is.

    InvalidRequestError for what is not sold (see `price_order`), or would have to change a price
    that is not of the catalogue; ConflictError when the subscription is none that has a plan.
    """
    plan = _the_plan(held)
    _refuse_foreign_terms(held, wish)
    priced = price_order(catalogue, _order(held, wish))
    pieces = [*_pieces(held, wish, {line.code: line for line in priced.lines if line.recurring})]
    return PlannedChange(
        items=tuple(piece.params for piece in pieces if piece.params),
        setup_prices=_setup_prices(held, priced),
        metadata=_metadata(wish, pieces, catalogue),
        begins_new_term=plan.billing_cycle != wish.billing_cycle,
        ends_trial=held.stripe_status == "trialing" and not priced.plan.trial_days,
        recurring=sum(piece.amount for piece in pieces),
    )


def _the_plan(held: Subscription) -> Item:
    plans = [item for item in held.items if item.kind == "plan"]
    if len(plans) != 1:
        raise ConflictError(
            "This subscription does not have exactly one plan of the catalogue, so it cannot be "
            "changed here.",
            code="no_plan_to_change",
        )
    return plans[0]


def _refuse_foreign_terms(held: Subscription, wish: PlanWish) -> None:
    """All items share a term, and what is not of the catalogue has no price for another one."""
    foreign = [item for item in held.items if item.kind not in {"plan", "addon"}]
    if any(item.billing_cycle != wish.billing_cycle for item in foreign):
        raise InvalidRequestError(
            "This subscription has something on it that is not of the catalogue, so its term "
            "cannot change.",
            code="term_cannot_change",
            fields={"billingCycle": "must stay as it is"},
        )


def _order(held: Subscription, wish: PlanWish) -> Order:
    """Return the order that has to be priced: the plan, and the add-ons that keep no price.

    It has no trial: one that is running is Stripe's to know.
    """
    kept = {item.code for item in held.addons if item.billing_cycle == wish.billing_cycle}
    codes = wish.addon_codes
    if codes is None:
        codes = tuple(item.code for item in held.addons if item.code)
    return Order(
        plan_code=wish.plan_code,
        billing_cycle=wish.billing_cycle,
        currency=held.currency,
        addon_codes=tuple(code for code in codes if code not in kept),
    )


def _pieces(held: Subscription, wish: PlanWish, wanted: dict[str, OrderLine]) -> Iterator[_Piece]:
    """Say what becomes of each item, then what is new; takes off `wanted` what is provided for."""
    for item in held.items:
        code = wish.plan_code if item.kind == "plan" else item.code
        line = wanted.pop(code, None) if code else None
        same = item.code == code and item.billing_cycle == wish.billing_cycle
        if same and _stays(item, wish):
            yield _Piece(None, code, (item.unit_amount or 0) * (item.quantity or 0))
        elif line is not None:
            params = {"id": item.stripe_id, "price": _stripe_price(line)}
            yield _Piece(params, code, line.price.unit_amount * (item.quantity or 1))
        else:
            yield _Piece({"id": item.stripe_id, "deleted": True}, None, 0)
    for line in wanted.values():
        yield _Piece({"price": _stripe_price(line), "quantity": 1}, line.code, line.amount)


def _stays(item: Item, wish: PlanWish) -> bool:
    return item.kind != "addon" or wish.addon_codes is None or item.code in wish.addon_codes


def _stripe_price(line: OrderLine) -> str:
    if line.price.stripe_price_id is None:
        raise CatalogueNotPushedError(line.price.lookup_key)
    return line.price.stripe_price_id


def _setup_prices(held: Subscription, priced: PricedOrder) -> tuple[str, ...]:
    """Return the setup fees of what the subscription did not have before."""
    had = {item.code for item in held.items}
    fees = (line for line in priced.lines if line.kind == "fee")
    return tuple(_stripe_price(line) for line in fees if line.code not in had)


def _metadata(wish: PlanWish, pieces: list[_Piece], catalogue: Catalogue) -> Mapping[str, str]:
    codes = [piece.code for piece in pieces if piece.code and piece.code != wish.plan_code]
    products = [catalogue.plans[wish.plan_code]]
    products += [catalogue.addons[code] for code in codes if code in catalogue.addons]
    types = dict.fromkeys(kind for product in products for kind in product.product_types)
    return {
        "planId": wish.plan_code,
        "billingCycle": wish.billing_cycle,
        "addonIds": ",".join(codes)[:LONGEST_METADATA_VALUE],
        "productTypes": ",".join(types)[:LONGEST_METADATA_VALUE],
    }
