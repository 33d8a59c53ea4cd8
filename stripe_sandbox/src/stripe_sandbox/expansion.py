"""`expand`: replaces ids by objects along dotted paths, and adds fields sent only on request.

What can be expanded follows from the declared type of the field in the SDK's classes.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from stripe import StripeObject

from stripe_sandbox.billing.automatic_tax import tax_of
from stripe_sandbox.billing.balance import KIND as BALANCE_TRANSACTION
from stripe_sandbox.billing.balance import aged
from stripe_sandbox.billing.cash_balance import BALANCE as CASH_BALANCE
from stripe_sandbox.billing.cash_balance import balance_of
from stripe_sandbox.billing.currencies import minimums_of, options_of
from stripe_sandbox.billing.tax_ids import tax_ids_of
from stripe_sandbox.documents import Document, ReadOnly, id_of, list_object
from stripe_sandbox.errors import ApiError, invalid
from stripe_sandbox.shapes import CLASSES, INLINE, as_sent, fields_of
from stripe_sandbox.world import World

MAX_DEPTH = 4
LISTS = frozenset({"list", "search_result"})


def expand(world: World, document: Document, paths: list[str]) -> Document:
    """Expand each path in place and return the object; raises ApiError if one cannot be."""
    for path in paths:
        steps = path.split(".")
        free = world.choices.expand_data == "free"
        if len([step for step in steps if not (free and step == "data")]) > MAX_DEPTH:
            message = (
                f"You cannot expand more than {MAX_DEPTH} levels of a property. Property: {path}"
            )
            raise invalid(message, param="expand")
        if document["object"] in LISTS and steps[0] != "data":
            raise _refusal(path, f" You may want to try expanding 'data.{path}' instead.")
        _walk(world, document, None, steps, path)
    return document


def _walk(
    world: World, node: Any, declared: type[StripeObject] | None, steps: Sequence[str], path: str
) -> None:
    """Expand below a node; `declared` is its class if it is not an object of its own."""
    if isinstance(node, list):
        for item in node:
            _walk(world, item, declared, steps, path)
    elif isinstance(node, dict) and steps:
        step, rest = steps[0], steps[1:]
        if node.get("object") in LISTS:
            if step != "data":
                raise _refusal(path)
            _walk(world, node["data"], None, rest, path)
        elif below := BELOW.get((node.get("object", ""), ".".join(steps))):
            node[step][rest[-1]] = below(world, node)
        elif not node.get("deleted"):
            nested = _expand_field(world, node, declared, step, path, is_last=not rest)
            _walk(world, node[step], nested, rest, path)


def _expand_field(
    world: World,
    node: Document,
    declared: type[StripeObject] | None,
    step: str,
    path: str,
    *,
    is_last: bool,
) -> type[StripeObject] | None:
    """Expand one field in place; return the declared class of its value."""
    on_request = ON_REQUEST.get((node.get("object", ""), step))
    if on_request:
        if node.get(step) is None:
            node[step] = on_request(world, node)
        return None
    cls = CLASSES.get(node.get("object", ""), declared)
    field = fields_of(cls).get(step) if cls else None
    if field is None:
        raise _refusal(path)
    if field.references:
        node[step] = _resolve(world, node.get(step), field.references)
    elif not _leads_on(node.get(step), is_last=is_last):
        raise _refusal(path)
    return field.nested


def _leads_on(value: Any, *, is_last: bool) -> bool:
    """Return whether a path may end at a value, or go on below it: it must be an object."""
    if is_last:
        return isinstance(value, dict) and "object" in value
    return value is None or isinstance(value, dict | list)


def _refusal(path: str, hint: str = "") -> ApiError:
    return invalid(f"This property cannot be expanded ({path}).{hint}", param="expand")


def _resolve(world: World, value: Any, kinds: Sequence[str]) -> Any:
    if isinstance(value, list):
        return [_resolve(world, item, kinds) for item in value]
    if not isinstance(value, str):
        return value
    found = (world.store.get(kind, value) for kind in (*kinds, *(f"_deleted_{k}" for k in kinds)))
    document = next((one for one in found if one), None)
    if world.choices.deleted_coupons == "stub" and world.store.peek("_deleted_coupon", value):
        document = None
    if document and document["object"] == BALANCE_TRANSACTION:
        document = aged(world, document)
    return as_sent(document or {"id": value, "object": kinds[0], "deleted": True})


def _included(found: Sequence[Any], url: str) -> Document:
    """Return the list in an object: of more than ten, the rest has to be listed."""
    included = list_object(deepcopy(list(found[:INLINE])), url)
    return {**included, "has_more": len(found) > INLINE}


def _invoice_payments(world: World, invoice: ReadOnly) -> Document:
    mine = list(world.store.where("invoice_payment", "invoice", invoice["id"]))
    return _included(mine, f"/v1/invoice_payments?invoice={invoice['id']}")


def _session_line_items(world: World, session: ReadOnly) -> Document:
    kept = world.store.get("_session_cart", session["id"]) or {"line_items": []}
    return _included(kept["line_items"], f"/v1/checkout/sessions/{session['id']}/line_items")


def _charge_refunds(world: World, charge: ReadOnly) -> Document:
    mine = [*world.store.where("refund", "charge", charge["id"])][::-1]
    return _included(mine, f"/v1/charges/{charge['id']}/refunds")


def _customer_subscriptions(world: World, customer: ReadOnly) -> Document:
    mine = [
        as_sent(deepcopy(dict(found)))
        for found in world.store.where("subscription", "customer", customer["id"])
        if found["status"] != "canceled"
    ]
    return _included(mine, f"/v1/customers/{customer['id']}/subscriptions")


def _customer_tax_ids(world: World, customer: ReadOnly) -> Document:
    return _included(tax_ids_of(world, customer["id"]), f"/v1/customers/{customer['id']}/tax_ids")


def _confirmation_secret(world: World, invoice: ReadOnly) -> Document | None:
    """Return what confirms the payment of a finalized invoice."""
    payment = next(world.store.where("invoice_payment", "invoice", invoice["id"]), None)
    if payment is None:
        return None
    intent = world.store.peek("payment_intent", str(id_of(payment["payment"]["payment_intent"])))
    secret = intent["client_secret"] if intent else None
    return {"client_secret": secret, "type": "payment_intent"}


def _empty_list(name: str) -> Callable[[World, ReadOnly], Document]:
    return lambda _, customer: list_object([], f"/v1/customers/{customer['id']}/{name}")


def _cash_balance(world: World, customer: ReadOnly) -> Document | None:
    """Return the cash balance of a customer who has ever sent a transfer."""
    kept = world.store.peek(CASH_BALANCE, customer["id"])
    return balance_of(world, customer["id"]) if kept else None


def _invoice_credit_balance(world: World, customer: ReadOnly) -> Document:
    """Return the balance by currency; unlike `balance`, a credit is positive."""
    sign = -1 if world.choices.credit_balance == "positive" else 1
    balance = sign * customer["balance"]
    return {customer["currency"]: balance} if balance and customer["currency"] else {}


def _applies_to(world: World, coupon: ReadOnly) -> Document | None:
    kept = world.store.peek("coupon", coupon["id"]) or {}
    return deepcopy(kept.get("applies_to"))


def _tiers(world: World, price: ReadOnly) -> list[Document] | None:
    """Return the tiers of a price, or of the plan of the same id."""
    kept = world.store.peek("price", price["id"]) or {}
    return deepcopy(kept.get("tiers"))


def _currency_options(world: World, price: ReadOnly) -> Document:
    kept = world.store.peek("price", price["id"])
    return options_of(world, kept or price)


def _coupon_options(world: World, coupon: ReadOnly) -> Document:
    """Return what a coupon takes off in each of its currencies."""
    kept = world.store.peek("coupon", coupon["id"]) or {}
    own = {} if coupon["amount_off"] is None else {coupon["currency"]: coupon["amount_off"]}
    options = {one: {"amount_off": amount} for one, amount in own.items()}
    return options | deepcopy(kept.get("currency_options") or {})


def _promotion_options(world: World, promotion: ReadOnly) -> Document:
    """Return what an order must come to for a promotion code, in each of its currencies."""
    minimums = minimums_of(world, promotion)
    return {currency: {"minimum_amount": amount} for currency, amount in minimums.items()}


ON_REQUEST: dict[tuple[str, str], Callable[[World, ReadOnly], Document | list[Document] | None]] = {
    ("charge", "refunds"): _charge_refunds,
    ("checkout.session", "line_items"): _session_line_items,
    ("coupon", "applies_to"): _applies_to,
    ("coupon", "currency_options"): _coupon_options,
    ("customer", "cash_balance"): _cash_balance,
    ("customer", "invoice_credit_balance"): _invoice_credit_balance,
    ("customer", "sources"): _empty_list("sources"),
    ("customer", "subscriptions"): _customer_subscriptions,
    ("customer", "tax"): tax_of,
    ("customer", "tax_ids"): _customer_tax_ids,
    ("invoice", "confirmation_secret"): _confirmation_secret,
    ("invoice", "payments"): _invoice_payments,
    ("plan", "tiers"): _tiers,
    ("price", "currency_options"): _currency_options,
    ("price", "tiers"): _tiers,
}

BELOW: dict[tuple[str, str], Callable[[World, ReadOnly], Document]] = {
    ("promotion_code", "restrictions.currency_options"): _promotion_options,
}
"""What is sent on request, and is in a part of an object."""
