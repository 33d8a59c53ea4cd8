"""Read an order from what the buyer has selected, in fields of a form and in a cart."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from mpanel_billing.catalogue.cycles import canonical_cycle
from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.catalogue.order import DomainMode, Order, OrderedDomain
from mpanel_billing.checkout.domains import read_domain
from mpanel_billing.errors import InvalidRequestError

_SHOWN = 60


@dataclass(frozen=True, slots=True)
class DomainChoice:
    """The order's domain as it was typed; with mode `later`, `value` means nothing."""

    mode: DomainMode
    value: str


@dataclass(frozen=True, slots=True)
class CartItem:
    """One line of a cart; `type` decides which of the other fields mean anything."""

    type: Literal["hosting", "domain", "simple", "addon", "email"]
    id: str | None = None
    quantity: int = 1
    plan: str | None = None
    term: str | None = None
    trial: bool | None = None
    price_id: str | None = None
    domain: str = ""


@dataclass(frozen=True, slots=True)
class Selection:
    """What the buyer has selected, as it was sent: fields of a form, a cart, or both."""

    plan_id: str | None = None
    billing_cycle: str | None = None
    currency: str | None = None
    trial: bool | None = None
    addon_ids: tuple[str, ...] = ()
    coupon_code: str | None = None
    domain: DomainChoice | None = None
    cart: tuple[CartItem, ...] = ()


@dataclass(slots=True)
class _Wishes:
    """What has been named so far; the same thing may be named several times."""

    plans: list[str] = field(default_factory=list)
    cycles: list[str] = field(default_factory=list)
    trials: list[bool] = field(default_factory=list)
    addons: list[str] = field(default_factory=list)
    domains: list[OrderedDomain] = field(default_factory=list)


def read_order(selection: Selection, catalogue: Catalogue) -> Order:
    """Return the order that a selection means; prices in it are ignored.

    Raises InvalidRequestError for what names nothing, or contradicts itself. Whether plan,
    add-ons, domains and coupon are on sale is for pricing to say.
    """
    wishes = _Wishes(addons=list(selection.addon_ids))
    _read_fields(selection, wishes)
    for index, item in enumerate(selection.cart):
        _read_item(item, f"cartItems[{index}]", catalogue, wishes)
    plan = _the_plan(wishes)
    return Order(
        plan_code=plan,
        billing_cycle=_the_cycle(wishes),
        currency=(selection.currency or catalogue.currency).lower(),
        trial=_the_trial(wishes),
        addon_codes=tuple(dict.fromkeys(code for code in wishes.addons if code != plan)),
        domains=_first_of_each(wishes.domains),
        coupon_code=selection.coupon_code.upper() if selection.coupon_code else None,
    )


def _read_fields(selection: Selection, wishes: _Wishes) -> None:
    if selection.plan_id:
        wishes.plans.append(selection.plan_id)
    if selection.billing_cycle:
        wishes.cycles.append(canonical_cycle(selection.billing_cycle))
    if selection.trial is not None:
        wishes.trials.append(selection.trial)
    if selection.domain and selection.domain.mode != "later":
        domain = read_domain(selection.domain.value, selection.domain.mode, field="domain.value")
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
