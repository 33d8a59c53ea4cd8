"""Payments of invoices: their payment intent, and the invoice payment that links the two."""

from stripe_sandbox.billing.account_checks import BLANK_OPTIONS
from stripe_sandbox.billing.payment_intents import cancel_intent, charge_intent, open_intent
from stripe_sandbox.cards import AUTHENTICATION, Decline
from stripe_sandbox.documents import Document, ReadOnly, id_of
from stripe_sandbox.errors import ApiError
from stripe_sandbox.world import World


def open_payment(world: World, invoice: ReadOnly) -> Document:
    """Create the payment intent and the invoice payment of a finalized invoice."""
    intent = open_intent(
        world,
        {
            "amount": invoice["amount_due"],
            "currency": invoice["currency"],
            "customer": invoice["customer"],
            "description": _reason(invoice),
            "setup_future_usage": "off_session",
            **_settings(invoice["payment_settings"]),
        },
    )
    return link(world, invoice, intent, invoice["amount_due"], is_default=True)


def link(
    world: World, invoice: ReadOnly, intent: ReadOnly, amount: int, *, is_default: bool
) -> Document:
    """Create the invoice payment by which an intent pays an amount (minor units)."""
    return world.add(
        {
            "id": world.ids.next("inpay"),
            "object": "invoice_payment",
            "amount_paid": None,
            "amount_requested": amount,
            "created": world.time_of(invoice),
            "currency": invoice["currency"],
            "invoice": invoice["id"],
            "is_default": is_default,
            "livemode": False,
            "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
            "status": "open",
            "status_transitions": {"canceled_at": None, "paid_at": None},
        }
    )


def _settings(settings: ReadOnly) -> Document:
    """Return which payment methods the intent of an invoice takes, and their options."""
    types, options = settings.get("payment_method_types"), settings.get("payment_method_options")
    listed = {"allowed_payment_method_types": types, "payment_method_types": types} if types else {}
    told = {name: one for name, one in (options or {}).items() if one}
    return {**listed, "payment_method_options": {**BLANK_OPTIONS, **told}}


def allows(world: World, invoice: ReadOnly, method_id: str) -> bool:
    """Return whether an invoice may be paid with a payment method of this type."""
    types = invoice["payment_settings"].get("payment_method_types")
    method = world.store.peek("payment_method", method_id)
    return not types or method is None or method["type"] in types


def _reason(invoice: ReadOnly) -> str:
    reasons = {
        "subscription_create": "Subscription creation",
        "subscription_update": "Subscription update",
    }
    return reasons.get(invoice["billing_reason"], f"Payment for Invoice {invoice['number']}")


def payment_of(world: World, invoice_id: str) -> Document | None:
    """Return the invoice's default payment; None if nothing was due."""
    found = next(world.store.where("invoice_payment", "invoice", invoice_id), None)
    return world.find("invoice_payment", found["id"]) if found else None


def charge_card(
    world: World, invoice: ReadOnly, method_id: str, *, buyer_present: bool
) -> Decline | None:
    """Charge the invoice's remaining amount; return the decline, if any.

    A bank debit is under way afterwards.
    A buyer who is present has authenticated the payment already, if the card requires it. Creates
    a charge and updates the payment intent; the caller updates the invoice.
    """
    payment = payment_of(world, invoice["id"]) or open_payment(world, invoice)
    intent = intent_of(world, payment)
    decline = charge_intent(
        world, intent, method_id, buyer_present=buyer_present, authenticated=buyer_present
    )
    if decline is None and intent["status"] == "succeeded":
        note_paid(world, payment, intent["amount"])
    return decline


def is_under_way(world: World, invoice: ReadOnly) -> bool:
    """Return whether a bank debit for the invoice has neither succeeded nor failed yet."""
    payment = payment_of(world, invoice["id"])
    if payment is None or payment["status"] != "open":
        return False
    return bool(intent_of(world, payment)["status"] == "processing")


def intent_of(world: World, payment: ReadOnly) -> Document:
    """Return the payment intent of an invoice payment."""
    return world.find("payment_intent", str(id_of(payment["payment"]["payment_intent"])))


def note_paid(world: World, payment: Document, amount: int) -> None:
    """Note that an invoice payment has been made; `amount` is in minor units."""
    payment |= {"amount_paid": amount, "status": "paid"}
    payment["status_transitions"]["paid_at"] = world.time_of(intent_of(world, payment))
    world.keep(payment)


def payment_with(world: World, intent_id: str) -> Document | None:
    """Return the invoice payment of a payment intent, if it is an invoice's."""
    found = [*world.store.where("invoice_payment", "payment_intent", intent_id)]
    return world.find("invoice_payment", found[-1]["id"]) if found else None


def lower_payment(world: World, invoice: ReadOnly, amount: int) -> None:
    """Set what the open payment of an invoice asks for, in minor units."""
    payment = payment_of(world, invoice["id"])
    if payment is None or payment["status"] != "open" or not amount:
        return
    world.save(payment | {"amount_requested": amount})
    world.save(intent_of(world, payment) | {"amount": amount})


def cancel_payment(world: World, invoice: ReadOnly) -> None:
    """Cancel the open payment of an invoice that is void, or needs none any more."""
    payment = payment_of(world, invoice["id"])
    if payment is None or payment["status"] != "open":
        return
    now = world.time_of(invoice)
    payment["status"] = "canceled"
    payment["status_transitions"]["canceled_at"] = now
    world.save(payment)
    cancel_intent(world, intent_of(world, payment), "void_invoice")


def as_api_error(world: World, decline: Decline, invoice: ReadOnly) -> ApiError:
    """Return the 402 for a decline."""
    payment = payment_of(world, invoice["id"])
    intent = payment and world.store.get("payment_intent", payment["payment"]["payment_intent"])
    return ApiError(
        402,
        decline.message,
        kind="card_error",
        code="invoice_payment_intent_requires_action"
        if decline is AUTHENTICATION
        else decline.code,
        decline_code=decline.decline_code,
        payment_intent=intent,
        keeps_changes=True,
    )
