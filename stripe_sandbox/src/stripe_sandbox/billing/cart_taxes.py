"""The taxes of a cart: by its tax rates, or automatically where its buyer is."""

from dataclasses import dataclass

from stripe_sandbox.billing.automatic_tax import behavior_of, due_at, rate_for
from stripe_sandbox.billing.buyers import Buyer, told
from stripe_sandbox.billing.line_taxes import automatic_taxes
from stripe_sandbox.billing.tax_ids import tax_ids_of
from stripe_sandbox.billing.tax_locations import locate
from stripe_sandbox.billing.taxes import EXEMPT, taxes_on
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.money import step_of
from stripe_sandbox.world import World

NOBODY: ReadOnly = {"id": "", "address": None, "shipping": None, "tax_exempt": "none"}
"""A buyer of whom nothing is known yet."""


@dataclass(frozen=True)
class Payer:
    """Who pays the taxes: a customer as far as they are known, and their tax ids."""

    customer: ReadOnly
    tax_ids: tuple[ReadOnly, ...] = ()


def payer_known(world: World, customer_id: str | None) -> Payer:
    """Return the payer that a session has before its page is filled in."""
    customer = world.store.peek("customer", customer_id) if customer_id else None
    if customer is None:
        return Payer(NOBODY)
    return Payer(customer, tuple(tax_ids_of(world, customer["id"])))


def payer_at_page(world: World, session: ReadOnly, buyer: Buyer, update: ReadOnly) -> Payer:
    """Return the payer with what the buyer has typed, as far as the session keeps it."""
    known = payer_known(world, session["customer"])
    typed = told(buyer, update, is_new=session["customer"] is None)
    own = (buyer.tax_id,) if buyer.tax_id else ()
    return Payer({**known.customer, **typed}, (*known.tax_ids, *own))


def is_located(world: World, payer: Payer) -> bool:
    """Return whether it is known well enough where the payer is."""
    return locate(world, payer.customer) is not None


def taxes_at(world: World, net: int, price: ReadOnly, payer: Payer) -> list[Document]:
    """Return the automatic taxes of an amount after discounts, in minor units."""
    location = locate(world, payer.customer)
    if location is None:
        return []
    due = due_at(world, location, payer.customer, payer.tax_ids)
    rate = rate_for(world, due, behavior_of(world, price, price["currency"]) or "exclusive")
    taxes = automatic_taxes(world, net, price, due, rate, currency=price["currency"])
    return [_shown(tax, rate) for tax in taxes]


def taxes_by_rates(
    net: int, rates: tuple[ReadOnly, ...], payer: Payer, currency: str
) -> list[Document]:
    """Return the taxes of an amount after discounts by tax rates, in minor units."""
    reason = EXEMPT.get(payer.customer["tax_exempt"])
    taxes = taxes_on(net, rates, reason, step_of(currency))
    return [_shown(tax, rate) for tax, rate in zip(taxes, rates, strict=True)]


def _shown(tax: ReadOnly, rate: ReadOnly) -> Document:
    facts = ("amount", "taxability_reason", "taxable_amount")
    return {**{name: tax[name] for name in facts}, "rate": dict(rate)}
