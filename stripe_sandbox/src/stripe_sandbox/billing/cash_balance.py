"""Cash balances: what customers sent by bank transfer, and what of it is sent back."""

from dataclasses import dataclass, field

from stripe_sandbox import shapes
from stripe_sandbox.billing.later import drop_task, plan_task
from stripe_sandbox.billing.periods import DAY
from stripe_sandbox.billing.refunds import KIND as REFUND
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid
from stripe_sandbox.money import format_amount
from stripe_sandbox.world import World

KIND = "customer_cash_balance_transaction"
BALANCE = "_cash_balance"
"""Kind of what is available to a customer, by currency, and how it is reconciled."""

EXPIRES = "expire_return"
DAYS_TO_ANSWER = 45
"""How long a customer has to name a bank account: docs.stripe.com/payments/customer-balance."""

TRANSFERS: dict[str, Document] = {
    "eur": {"type": "eu_bank_transfer", "eu_bank_transfer": {"iban_last4": "3000"}},
    "gbp": {"type": "gb_bank_transfer", "gb_bank_transfer": {"account_number_last4": "2345"}},
    "jpy": {"type": "jp_bank_transfer", "jp_bank_transfer": {"sender_bank": "STRIPE TEST BANK"}},
    "mxn": {"type": "mx_bank_transfer"},
    "usd": {"type": "us_bank_transfer", "us_bank_transfer": {"network": "ach"}},
}
"""What a test transfer shows of its sender, by currency."""


def balance_of(world: World, customer_id: str) -> Document:
    """Return the cash balance of a customer; without any transfer yet, nothing is available."""
    kept = _kept(world, customer_id)
    return shapes.complete(
        {
            "object": "cash_balance",
            "available": kept["available"] or None,
            "customer": customer_id,
            "livemode": False,
            "settings": {
                "reconciliation_mode": kept["mode"] or "automatic",
                "using_merchant_default": kept["mode"] is None,
            },
        }
    )


def _kept(world: World, customer_id: str) -> ReadOnly:
    blank: Document = {"id": customer_id, "available": {}, "mode": None}
    return world.store.peek(BALANCE, customer_id) or blank


def set_mode(world: World, customer_id: str, mode: str) -> None:
    """Set how transfers are reconciled; `merchant_default` leaves it to the account."""
    own = None if mode == "merchant_default" else mode
    world.store.put(BALANCE, {**_kept(world, customer_id), "mode": own})


def fund(
    world: World, customer: ReadOnly, amount: int, currency: str, reference: str | None
) -> Document:
    """Let a bank transfer of a customer arrive; returns the transaction."""
    if currency not in TRANSFERS:
        listed = ", ".join(TRANSFERS)
        message = f"Bank transfers are only possible in these currencies: {listed}."
        raise invalid(message, param="currency")
    funded = {"bank_transfer": {"reference": reference, **TRANSFERS[currency]}}
    moved = _move(world, customer, amount, currency, "funded", funded=funded)
    world.announce("cash_balance.funds_available", balance_of(world, customer["id"]))
    return moved


def _move(
    world: World, customer: ReadOnly, amount: int, currency: str, kind: str, **details: Document
) -> Document:
    kept = _kept(world, customer["id"])
    ending = kept["available"].get(currency, 0) + amount
    if ending < 0:
        least = format_amount(kept["available"].get(currency, 0), currency)
        message = f"The customer's cash balance has only {least} available."
        raise invalid(message, param="amount")
    available = {**kept["available"], currency: ending}
    world.store.put(BALANCE, {**kept, "available": available})
    transaction = world.add(
        {
            "id": world.ids.next("ccsbtxn"),
            "object": KIND,
            "created": world.time_of(customer),
            "currency": currency,
            "customer": customer["id"],
            "ending_balance": ending,
            "livemode": False,
            "net_amount": amount,
            "type": kind,
            **details,
        }
    )
    world.announce(f"{KIND}.created", transaction)
    return transaction


@dataclass(frozen=True)
class NewReturn:
    """Money to send back to a customer, who is asked by e-mail for a bank account."""

    customer: ReadOnly
    amount: int
    currency: str
    email: str | None
    reason: str | None = None
    metadata: ReadOnly = field(default_factory=dict)


def make_return(world: World, new: NewReturn) -> Document:
    """Refund a part of the cash balance; it waits until the customer names a bank account."""
    email = new.email or new.customer["email"]
    if email is None:
        message = "The customer has no email address, to which instructions could be sent."
        raise invalid(message, param="instructions_email")
    now = world.time_of(new.customer)
    asked = {"email_sent": {"email_sent_at": now, "email_sent_to": email}}
    details = {**asked, "expires_at": now + DAYS_TO_ANSWER * DAY}
    _move(world, new.customer, -new.amount, new.currency, "return_initiated")
    refund = world.add(
        {
            "id": world.ids.next("re"),
            "object": REFUND,
            "amount": new.amount,
            "created": now,
            "currency": new.currency,
            "customer": new.customer["id"],
            "instructions_email": email,
            "metadata": dict(new.metadata),
            "next_action": {"type": "display_details", "display_details": details},
            "reason": new.reason,
            "status": "requires_action",
        }
    )
    world.announce("refund.created", refund)
    clock = world.clock_of(refund)
    plan_task(world, EXPIRES, refund, DAYS_TO_ANSWER * DAY, clock=clock)
    return refund


def cancel_return(world: World, refund: Document) -> Document:
    """Cancel a refund that waits for the customer; its amount is available again."""
    if refund["status"] != "requires_action":
        message = (
            f"The refund {refund['id']} cannot be canceled: its status is {refund['status']}, "
            "and only a refund with the status requires_action can be."
        )
        raise invalid(message)
    drop_task(world, EXPIRES, refund["id"])
    customer = world.view("customer", refund["customer"])
    _move(world, customer, refund["amount"], refund["currency"], "return_canceled")
    return world.change(refund | {"next_action": None, "status": "canceled"})


def expire_return(world: World, refund: Document) -> None:
    """Cancel a refund whose customer has not answered in time."""
    if refund["status"] == "requires_action":
        cancel_return(world, refund)
