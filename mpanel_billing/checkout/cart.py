"""What a request asks for, from its fields and its cart, in the catalogue's words."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from mpanel_billing.catalogue.cycles import canonical_cycle
from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.catalogue.order import Order, OrderedDomain
from mpanel_billing.checkout.domains import read_domain
from mpanel_billing.checkout.request import CartItem, OrderFields
from mpanel_billing.errors import InvalidRequestError

_SHOWN = 60


@dataclass(slots=True)
class _Wishes:
    """What has been named so far; the same thing may be named several times."""

    plans: list[str] = field(default_factory=list)
    cycles: list[str] = field(default_factory=list)
    trials: list[bool] = field(default_factory=list)
    addons: list[str] = field(default_factory=list)
    domains: list[OrderedDomain] = field(default_factory=list)


def read_order(request: OrderFields, catalogue: Catalogue) -> Order:
    """Return the order that a request describes; its prices are not looked at.

    Raises InvalidRequestError for what names nothing, or contradicts itself. Whether plan,
    add-ons, domains and coupon are on sale is for pricing to say.
    """
    wishes = _Wishes(addons=list(request.addon_ids))
    _read_fields(request, wishes)
    for index, item in enumerate(request.cart_items):
        _read_item(item, f"cartItems[{index}]", catalogue, wishes)
    plan = _the_plan(wishes)
    return Order(
        plan_code=plan,
        billing_cycle=_the_cycle(wishes),
        currency=(request.currency or catalogue.currency).lower(),
        trial=_the_trial(wishes),
        addon_codes=tuple(dict.fromkeys(code for code in wishes.addons if code != plan)),
        domains=_first_of_each(wishes.domains),
        coupon_code=request.coupon_code.upper() if request.coupon_code else None,
    )


def _read_fields(request: OrderFields, wishes: _Wishes) -> None:
    if request.plan_id:
        wishes.plans.append(request.plan_id)
    if request.billing_cycle:
        wishes.cycles.append(canonical_cycle(request.billing_cycle))
    if request.trial_active is not None:
        wishes.trials.append(request.trial_active)
    if request.domain and request.domain.mode != "later":
        domain = read_domain(request.domain.value, request.domain.mode, field="domain.value")
        wishes.domains.append(domain)


def _read_item(item: CartItem, path: str, catalogue: Catalogue, wishes: _Wishes) -> None:
    if item.quantity != 1:
        what = item.id or item.type
        raise _refused(f'"{what}" can be ordered only once.', f"{path}.quantity", "must be 1")
    match item.type:
        case "hosting":
            wishes.plans += [item.plan] if item.plan else []
            wishes.cycles += [canonical_cycle(item.term)] if item.term else []
            wishes.trials += [item.trial] if item.trial is not None else []
        case "domain":
            field = f"{path}.domain"
            wishes.domains.append(read_domain(item.domain, "new-or-transfer", field=field))
        case "simple":
            _read_price(item, path, catalogue, wishes)
        case "addon" | "email":
            wishes.addons.append(_id_of(item, path))


def _id_of(item: CartItem, path: str) -> str:
    if item.id is None:
        raise _refused(
            "An add-on in the cart has no id, so we cannot tell which one it is.",
            f"{path}.id",
            "is missing",
        )
    return item.id


def _read_price(item: CartItem, path: str, catalogue: Catalogue, wishes: _Wishes) -> None:
    """Read an item that names a price, by whichever of its names."""
    found = catalogue.find_price(item.price_id) if item.price_id else None
    if found is None:
        shown = (item.price_id or "")[:_SHOWN]
        sentence = f'We have no price "{shown}". Please choose again from the current offers.'
        raise _refused(sentence, f"{path}.priceId", "is not on sale", code="unknown_price")
    product, price = found
    if price.billing_cycle is None or product.kind not in {"plan", "addon"}:
        sentence = f"{product.name} cannot be ordered by its price alone."
        raise _refused(sentence, f"{path}.priceId", "is not the price of a plan or add-on")
    wishes.cycles.append(price.billing_cycle)
    (wishes.plans if product.kind == "plan" else wishes.addons).append(product.code)


def _the_plan(wishes: _Wishes) -> str:
    plans = tuple(dict.fromkeys(wishes.plans))
    if not plans:
        raise _refused("Please choose a plan.", "planId", "is missing")
    if len(plans) > 1:
        named = " and ".join(plan[:_SHOWN] for plan in plans)
        sentence = f"An order has one base plan, and this one names {named}. Please choose one."
        raise _refused(sentence, "planId", "must agree with the cart", code="several_plans")
    return plans[0]


def _the_cycle(wishes: _Wishes) -> str:
    cycles = tuple(dict.fromkeys(wishes.cycles))
    if not cycles:
        raise _refused("Please choose how often to pay.", "billingCycle", "is missing")
    if len(cycles) > 1:
        named = " and ".join(cycles)
        sentence = f"An order has one billing cycle, and this one names {named}."
        raise _refused(sentence, "billingCycle", "must agree with the cart", code="several_cycles")
    return cycles[0]


def _the_trial(wishes: _Wishes) -> bool:
    """Return whether a trial is wished; what the buyer was shown must not be guessed (rule 10)."""
    if len(set(wishes.trials)) > 1:
        sentence = "The cart and the order do not agree on whether it starts with a free trial."
        raise _refused(sentence, "trialActive", "must agree with the cart")
    return any(wishes.trials)


def _first_of_each(domains: Iterable[OrderedDomain]) -> tuple[OrderedDomain, ...]:
    """Keep one of each name, in their order: the first is the order's own domain."""
    named: dict[str, OrderedDomain] = {}
    for domain in domains:
        named.setdefault(domain.ascii, domain)
    return tuple(named.values())


def _refused(
    sentence: str, field: str, problem: str, code: str = "invalid_request"
) -> InvalidRequestError:
    return InvalidRequestError(sentence, code=code, fields={field: problem})
