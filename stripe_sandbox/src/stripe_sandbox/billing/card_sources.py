"""Cards as the older API has them: tokens, sources, and the cards of a customer.

A card of that kind is also a payment method with the same id, by which it is charged.
"""

from dataclasses import dataclass
from typing import Any

from stripe_sandbox.billing.bank_sources import KIND as BANK_ACCOUNT
from stripe_sandbox.billing.bank_sources import add_account, is_bank_token
from stripe_sandbox.billing.customers import (
    CARD,
    attach_payment_method,
    create_payment_method,
    detach_payment_method,
)
from stripe_sandbox.billing.method_shapes import EXPIRY, Holder
from stripe_sandbox.cards import TestCard, find_card, find_token
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid, no_such
from stripe_sandbox.world import World

TOKEN, SOURCE, OLD_CARD = "token", "source", "card"
OF_CUSTOMERS = (OLD_CARD, SOURCE, BANK_ACCOUNT)
SAME = ("brand", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4")


@dataclass(frozen=True)
class NewCard:
    """A test card, with what is said about it; `expiry` is (month, year)."""

    card: TestCard
    expiry: tuple[int, int] = EXPIRY
    said: ReadOnly | None = None


def make_card(world: World, new: NewCard) -> Document:
    """Store a card, and the payment method of the same id; it belongs to nobody yet."""
    said = dict(new.said or {})
    holder = Holder(name=said.get("name"), expiry=new.expiry)
    method = create_payment_method(world, new.card, holder, prefix="card")
    shown: Document = {name: method["card"][name] for name in SAME}
    return world.add(
        {
            "id": method["id"],
            "object": OLD_CARD,
            "address_line1_check": method["card"]["checks"]["address_line1_check"],
            "address_zip_check": method["card"]["checks"]["address_postal_code_check"],
            "customer": None,
            "cvc_check": method["card"]["checks"]["cvc_check"],
            "metadata": {},
            **shown,
            **said,
        }
    )


def make_token(world: World, new: NewCard) -> Document:
    """Store a token of a card."""
    card = make_card(world, new)
    token = world.add(
        {
            "id": world.ids.next("tok"),
            "object": TOKEN,
            "card": card,
            "client_ip": "127.0.0.1",
            "created": world.now(),
            "livemode": False,
            "type": "card",
            "used": False,
        }
    )
    world.store.put(CARD, {"id": token["id"], "number": new.card.number})
    return token


def card_of_token(world: World, reference: str) -> TestCard | None:
    """Return the test card of a token: one that was made, or one of Stripe's such as `tok_visa`."""
    if world.store.peek(TOKEN, reference):
        return find_card(str((world.store.peek(CARD, reference) or {})["number"]))
    return find_token(reference)


def use_token(world: World, reference: str, param: str) -> Document:
    """Return the card of a token, which can be used once."""
    token = world.store.get(TOKEN, reference)
    if token is None:
        card = find_token(reference)
        if card is None:
            raise no_such("token", reference, param)
        return make_card(world, NewCard(card))
    if token["used"]:
        message = f"You cannot use a Stripe token more than once: {reference}."
        raise invalid(message, param=param, code="token_already_used")
    world.save(token | {"used": True})
    return world.find(OLD_CARD, token["card"]["id"])


def same_card(world: World, card_id: str, param: str) -> NewCard:
    """Return what a new card needs to be the same as an existing one."""
    card = world.find(OLD_CARD, card_id, param)
    number = str((world.store.peek(CARD, card_id) or {})["number"])
    return NewCard(find_card(number), (card["exp_month"], card["exp_year"]))


def make_source(world: World, values: Document, card: Document) -> Document:
    """Store a source of a card; it is charged by its id."""
    number = str((world.store.peek(CARD, card["id"]) or {})["number"])
    holder = Holder(expiry=(card["exp_month"], card["exp_year"]))
    method = create_payment_method(world, find_card(number), holder, prefix="src")
    shown: Document = {name: card[name] for name in SAME}
    return world.add(
        {
            "id": method["id"],
            "object": SOURCE,
            "card": {**shown, "three_d_secure": "optional"},
            "client_secret": f"src_client_secret_{world.ids.letters(24)}",
            "created": world.now(),
            "flow": "none",
            "livemode": False,
            "metadata": {},
            "owner": {},
            "status": "chargeable",
            "type": "card",
            "usage": "reusable",
            **values,
        }
    )


def add_source(
    world: World, customer: Document, reference: str, *, metadata: ReadOnly, as_default: bool
) -> Document:
    """Give a customer a card or a bank account by its token, or a source.

    The first one is their default, but for bank accounts.
    """
    if is_bank_token(world, reference):
        return add_account(world, customer, reference, metadata)
    kind = SOURCE if world.store.peek(SOURCE, reference) else OLD_CARD
    added = (
        world.find(SOURCE, reference) if kind == SOURCE else use_token(world, reference, "source")
    )
    attach_payment_method(world, added["id"], customer, "source")
    added |= {"customer": customer["id"]}
    if metadata:
        added["metadata"] = dict(metadata)
    added = world.save(added)
    world.announce("customer.source.created", added)
    if as_default or customer["default_source"] is None:
        customer = world.find("customer", customer["id"])
        world.change(customer | {"default_source": added["id"]})
    return added


def find_source(world: World, customer_id: str, source_id: str) -> Document:
    """Return a customer's card, account or source; raises ApiError if it is not theirs."""
    kept = (world.store.get(kind, source_id) for kind in OF_CUSTOMERS)
    found: Any = next((one for one in kept if one), None)
    if found is None or found["customer"] != customer_id:
        raise no_such("source", source_id)
    return dict(found)


def sources_of(world: World, customer_id: str) -> list[ReadOnly]:
    """Return a customer's cards, sources and bank accounts, each newest first."""
    found = (one for kind in OF_CUSTOMERS for one in world.store.newest_first(kind))
    return [one for one in found if one["customer"] == customer_id]


def remove_source(world: World, customer_id: str, source: Document) -> Document:
    """Take a card or source from its customer; it cannot be used again."""
    if source.get("status") != "new":  # an account that is not verified was never attached
        detach_payment_method(world, source["id"])
    if source["object"] == SOURCE:
        removed = world.save(source | {"customer": None, "status": "consumed"})
    else:
        world.store.delete(source["object"], source["id"])
        removed = {"id": source["id"], "object": source["object"], "deleted": True}
    world.announce("customer.source.deleted", source)
    customer = world.find("customer", customer_id)
    if customer["default_source"] == source["id"]:
        left = sources_of(world, customer_id)
        world.change(customer | {"default_source": left[0]["id"] if left else None})
    return removed
