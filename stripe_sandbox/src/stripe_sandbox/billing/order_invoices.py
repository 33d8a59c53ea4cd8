"""What Checkout sells once: its charges, its discounts, and its invoice."""

from collections.abc import Sequence

from stripe_sandbox.bank_accounts import TestAccount
from stripe_sandbox.billing.amounts import amount_of
from stripe_sandbox.billing.buyers import Buyer
from stripe_sandbox.billing.cart import Cart, cart_of
from stripe_sandbox.billing.discounts import Redemption, redeem
from stripe_sandbox.billing.invoices import (
    NewInvoice,
    draft_invoice,
    finalize_invoice,
    mark_paid,
)
from stripe_sandbox.billing.lines import (
    NewInvoiceItem,
    add_invoice_item,
    describe_price,
    item_line,
)
from stripe_sandbox.billing.payments import link, note_paid
from stripe_sandbox.billing.periods import Period
from stripe_sandbox.billing.subscriptions import PricedItem
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.world import World

KEPT = "_order_discounts"
"""Kind of the discounts of a session whose invoice is made once it is paid."""


def redeem_cart(
    world: World,
    session: ReadOnly,
    cart: Cart,
    customer: ReadOnly | None,
    subscription_id: str | None = None,
) -> list[str]:
    """Redeem the discounts of a session; return their ids."""
    redemption = Redemption(
        currency=cart.currency,
        at=world.time_of(customer or session),
        customer=customer["id"] if customer else None,
    )
    return [
        redeem(
            world,
            given,
            redemption,
            subscription=subscription_id,
            checkout_session=session["id"],
        )["id"]
        for given in cart.discounts
    ]


def one_time_charge(
    world: World, item: PricedItem, now: int, subscription_id: str | None = None
) -> NewInvoiceItem:
    """Return what is charged once for an item of a cart."""
    return NewInvoiceItem(
        amount=amount_of(item.price, item.quantity),
        currency=item.price["currency"],
        description=describe_price(world, item.price),
        period=Period(now, now),
        price=item.price,
        quantity=item.quantity,
        metadata=item.metadata,
        subscription=subscription_id,
        tax_rates=item.tax_rates,
    )


def draft_order(
    world: World, session: ReadOnly, cart: Cart, customer: Document, discounts: Sequence[str]
) -> Document:
    """Draft the invoice of what a session has sold once."""
    now = world.time_of(customer)
    items = [
        add_invoice_item(world, customer, one_time_charge(world, one, now))
        for one in cart.one_time()
    ]
    for item in items:
        world.announce("invoiceitem.created", item)
    bill = NewInvoice(
        customer=customer,
        currency=cart.currency,
        reason="manual",
        lines=[item_line(world, item) for item in items],
        period=(now, now),
        discounts=tuple(discounts),
        automatic_tax=cart.automatic_tax,
    )
    invoice = draft_invoice(world, bill)
    data = session["invoice_creation"]["invoice_data"] or {}
    told = {name: data.get(name) for name in ("description", "footer")}
    return world.save(invoice | told | {"metadata": data.get("metadata") or {}})


def is_billed_later(world: World, buyer: Buyer) -> bool:
    """Return whether an order has its invoice only once its payment has succeeded."""
    delayed = isinstance(buyer.instrument, TestAccount)
    return delayed and world.choices.delayed_order_invoice == "settled"


def keep_discounts(world: World, session: ReadOnly, discounts: Sequence[str]) -> None:
    """Keep what a session has redeemed for the invoice that comes later."""
    world.store.put(KEPT, {"id": session["id"], "discounts": list(discounts)})


def bill_settled(world: World, session: Document, intent: ReadOnly) -> Document:
    """Return a session with the invoice of its order, if that waited for this payment."""
    kept = world.store.peek(KEPT, session["id"])
    if kept is None or session["invoice"] is not None:
        return session
    customer = world.find("customer", session["customer"])
    cart = cart_of(world, session["id"])
    draft = draft_order(world, session, cart, customer, kept["discounts"])
    invoice = finalize_invoice(world, draft, opens_payment=False)
    if invoice["status"] == "open":
        payment = link(world, invoice, intent, intent["amount"], is_default=True)
        note_paid(world, payment, intent["amount_received"])
        mark_paid(world, invoice)
    return session | {"invoice": invoice["id"]}
