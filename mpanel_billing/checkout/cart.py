"""Read an order from what the buyer has selected, in form fields and in a cart."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from pydantic import SecretStr

from mpanel_billing.catalogue.cycles import canonical_cycle
from mpanel_billing.catalogue.model import Catalogue, Product
from mpanel_billing.catalogue.order import DomainMode, Order, OrderedDomain
from mpanel_billing.catalogue.quantities import refuse_quantity
from mpanel_billing.domains.names import read_name
from mpanel_billing.errors import InvalidRequestError

_SHOWN = 60


@dataclass(frozen=True, slots=True)
class DomainChoice:
    """The order's domain as it was typed; `value` is ignored with mode `later`."""

    mode: DomainMode
    value: str
    auth_code: SecretStr | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class CartItem:
    """One line of a cart; its `type` says which of the other fields are used."""

    type: Literal["hosting", "domain", "simple", "addon", "email"]
    id: str | None = None
    quantity: int = 1
    plan: str | None = None
    term: str | None = None
    trial: bool | None = None
    price_id: str | None = None
    domain: str = ""
    auth_code: SecretStr | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Selection:
    """What the buyer has selected, as it was sent: form fields, a cart, or both."""

    plan_id: str | None = None
    billing_cycle: str | None = None
    currency: str | None = None
    trial: bool | None = None
    addon_ids: tuple[str, ...] = ()
    coupon_code: str | None = None
    domain: DomainChoice | None = None
    cart: tuple[CartItem, ...] = ()
    quantities: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Selected:
    """What has been selected so far; the same thing may be selected several times."""

    plans: list[str] = field(default_factory=list)
    cycles: list[str] = field(default_factory=list)
    trials: list[bool] = field(default_factory=list)
    addons: list[str] = field(default_factory=list)
    domains: list[OrderedDomain] = field(default_factory=list)
    currencies: list[str] = field(default_factory=list)
    quantities: dict[str, int] = field(default_factory=dict)

    def count(self, code: str, quantity: int) -> None:
        """Note how many of a product are selected: of the same one twice, the larger number."""
        self.quantities[code] = max(quantity, self.quantities.get(code, quantity))


def read_order(
    selection: Selection, catalogue: Catalogue, usual_currency: str | None = None
) -> Order:
    """Return the order that a selection describes; amounts in it are ignored.

    If it names no currency, nor a price that has one, it is in the usual one: that of the
    customer, else of the catalogue. Raises InvalidRequestError if it is incomplete or contradicts
    itself. Pricing checks whether the plan, add-ons, domains and coupon are on sale.
    """
    selected = _Selected(addons=list(selection.addon_ids), quantities=dict(selection.quantities))
    _read_fields(selection, selected)
    for index, item in enumerate(selection.cart):
        _read_item(item, f"cartItems[{index}]", catalogue, selected)
    plan = _the_plan(selected)
    return Order(
        plan_code=plan,
        billing_cycle=_the_cycle(selected),
        currency=_the_currency(selected) or usual_currency or catalogue.currency,
        trial=_the_trial(selected),
        addon_codes=tuple(dict.fromkeys(code for code in selected.addons if code != plan)),
        domains=_first_of_each(selected.domains),
        coupon_code=selection.coupon_code.upper() if selection.coupon_code else None,
        quantities={code: n for code, n in selected.quantities.items() if n != 1},
    )


def _read_fields(selection: Selection, selected: _Selected) -> None:
    if selection.plan_id:
        selected.plans.append(selection.plan_id)
    if selection.billing_cycle:
        selected.cycles.append(canonical_cycle(selection.billing_cycle))
    if selection.currency:
        selected.currencies.append(selection.currency.lower())
    if selection.trial is not None:
        selected.trials.append(selection.trial)
    if selection.domain and selection.domain.mode != "later":
        chosen = selection.domain
        domain = read_domain(chosen.value, chosen.mode, field="domain.value")
        selected.domains.append(replace(domain, auth_code=chosen.auth_code))


def _read_item(item: CartItem, path: str, catalogue: Catalogue, selected: _Selected) -> None:
    if item.quantity != 1:
        _read_quantity(item, path, catalogue, selected)
    match item.type:
        case "hosting":
            selected.plans += [item.plan] if item.plan else []
            selected.cycles += [canonical_cycle(item.term)] if item.term else []
            selected.trials += [item.trial] if item.trial is not None else []
        case "domain":
            field = f"{path}.domain"
            domain = read_domain(item.domain, "new-or-transfer", field=field)
            selected.domains.append(replace(domain, auth_code=item.auth_code))
        case "simple":
            _read_price(item, path, catalogue, selected)
        case "addon" | "email":
            selected.addons.append(_id_of(item, path))


def _read_quantity(item: CartItem, path: str, catalogue: Catalogue, selected: _Selected) -> None:
    """Read how many of a plan or add-on are ordered; of anything else there is one."""
    product = _sold(item, catalogue, selected)
    if product is None:
        what = item.id or item.type
        raise _refused(f'You can order "{what}" only once.', f"{path}.quantity", "must be 1")
    refuse_quantity(product, item.quantity, field=f"{path}.quantity")
    selected.count(product.code, item.quantity)


def _sold(item: CartItem, catalogue: Catalogue, selected: _Selected) -> Product | None:
    """Return the plan or add-on that an item is of."""
    match item.type:
        case "hosting":
            return catalogue.plans.get(item.plan or next(iter(selected.plans), ""))
        case "simple":
            found = catalogue.find_price(item.price_id) if item.price_id else None
            return found[0] if found and found[0].kind in {"plan", "addon"} else None
        case "addon" | "email":
            return catalogue.addons.get(item.id or "")
        case "domain":
            return None


def _id_of(item: CartItem, path: str) -> str:
    if item.id is None:
        raise _refused(
            "An add-on in your cart is incomplete. Please remove it and add it again.",
            f"{path}.id",
            "is missing",
        )
    return item.id


def _read_price(item: CartItem, path: str, catalogue: Catalogue, selected: _Selected) -> None:
    """Read an item that names a price, by any of its names."""
    found = catalogue.find_price(item.price_id) if item.price_id else None
    if found is None:
        shown = (item.price_id or "")[:_SHOWN]
        sentence = f'The offer "{shown}" is no longer available. Please choose again.'
        raise _refused(sentence, f"{path}.priceId", "is not on sale", code="unknown_price")
    product, price = found
    if price.billing_cycle is None or product.kind not in {"plan", "addon"}:
        sentence = f"{product.name} cannot be ordered on its own."
        raise _refused(sentence, f"{path}.priceId", "is not the price of a plan or add-on")
    selected.cycles.append(price.billing_cycle)
    selected.currencies.append(price.currency)
    (selected.plans if product.kind == "plan" else selected.addons).append(product.code)


def _the_plan(selected: _Selected) -> str:
    plans = tuple(dict.fromkeys(selected.plans))
    if not plans:
        raise _refused("Please choose a plan.", "planId", "is missing")
    if len(plans) > 1:
        named = ", ".join(plan[:_SHOWN] for plan in plans)
        sentence = f"You have selected several plans ({named}). Please choose one."
        raise _refused(sentence, "planId", "must agree with the cart", code="several_plans")
    return plans[0]


def _the_cycle(selected: _Selected) -> str:
    cycles = tuple(dict.fromkeys(selected.cycles))
    if not cycles:
        raise _refused("Please choose a billing cycle.", "billingCycle", "is missing")
    if len(cycles) > 1:
        named = ", ".join(cycles)
        sentence = f"You have selected several billing cycles ({named}). Please choose one."
        raise _refused(sentence, "billingCycle", "must agree with the cart", code="several_cycles")
    return cycles[0]


def _the_currency(selected: _Selected) -> str | None:
    currencies = tuple(dict.fromkeys(selected.currencies))
    if len(currencies) > 1:
        named = ", ".join(currency[:_SHOWN] for currency in currencies).upper()
        sentence = f"Your order has prices in several currencies ({named}). Please choose again."
        raise _refused(sentence, "currency", "must agree with the cart", code="several_currencies")
    return next(iter(currencies), None)


def _the_trial(selected: _Selected) -> bool:
    """Return whether a trial was selected; never guess what the buyer was shown (rule 10)."""
    if len(set(selected.trials)) > 1:
        sentence = "Your cart and your order disagree about the free trial. Please choose again."
        raise _refused(sentence, "trialActive", "must agree with the cart")
    return any(selected.trials)


def _first_of_each(domains: Iterable[OrderedDomain]) -> tuple[OrderedDomain, ...]:
    """Drop repeated names, keep the order: the first is the site's own domain."""
    named: dict[str, OrderedDomain] = {}
    for domain in domains:
        named.setdefault(domain.ascii, domain)
    return tuple(named.values())


def _refused(
    sentence: str, field: str, problem: str, code: str = "invalid_request"
) -> InvalidRequestError:
    return InvalidRequestError(sentence, code=code, fields={field: problem})


def read_domain(text: str, mode: DomainMode, *, field: str) -> OrderedDomain:
    """Read a domain name in ASCII or Unicode, in any case, with surrounding spaces.

    Raises InvalidRequestError, which names `field`, unless it is a domain below a top-level
    domain.
    """
    if not text.strip().strip("."):
        raise _invalid("Please enter your domain name.", field, "must not be empty")
    try:
        name = read_name(text)
    except ValueError:
        raise _not_a_domain(text, field) from None
    return OrderedDomain(mode, name.ascii, name.unicode)


def _not_a_domain(text: str, field: str) -> InvalidRequestError:
    shown = text.strip()[:_SHOWN]
    sentence = f'"{shown}" is not a valid domain name. Please enter one like example.com.'
    return _invalid(sentence, field, "must be a domain name, like example.com")


def _invalid(sentence: str, field: str, problem: str) -> InvalidRequestError:
    return InvalidRequestError(sentence, code="invalid_domain", fields={field: problem})
