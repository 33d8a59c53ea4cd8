"""Credit notes: before payment they lower an invoice, after it they give its amount back."""

from dataclasses import dataclass, field

from stripe_sandbox.billing import payments
from stripe_sandbox.billing.credit_note_lines import lines_of_note
from stripe_sandbox.billing.customer_balance import change_balance
from stripe_sandbox.billing.invoice_amounts import as_credits
from stripe_sandbox.billing.invoices import mark_paid
from stripe_sandbox.billing.refunds import NewRefund, make_refund
from stripe_sandbox.billing.taxes import sum_of, totals
from stripe_sandbox.documents import Document, ReadOnly, list_object
from stripe_sandbox.errors import invalid
from stripe_sandbox.money import format_amount
from stripe_sandbox.world import World

KIND = "credit_note"
CREDITABLE = frozenset({"open", "paid", "uncollectible"})


@dataclass(frozen=True)
class NewCreditNote:
    """A credit note as asked for; amounts are in minor units.

    `amount` or `lines` say what is credited. After payment it goes to the card (`to_card`), the
    customer's balance, out of band, or is in `refunds` that exist already.
    """

    amount: int | None = None
    lines: list[ReadOnly] = field(default_factory=list)
    to_card: int = 0
    to_balance: int = 0
    out_of_band: int = 0
    refunds: list[ReadOnly] = field(default_factory=list)
    reason: str | None = None
    memo: str | None = None
    metadata: ReadOnly = field(default_factory=dict)
    effective_at: int | None = None


def issue_note(world: World, invoice: Document, new: NewCreditNote) -> Document:
    """Issue a credit note; the caller updates the subscription of an invoice it has paid."""
    note = _assemble(world, invoice, new)
    linked = [_linked(world, given) for given in new.refunds]
    _check_parts(new, note, sum(one["amount_refunded"] for one in linked))
    if new.to_card:
        refund = _refund(world, invoice, new)
        whole = {"amount_refunded": refund["amount"], "refund": refund["id"], "type": "refund"}
        linked.append(whole)
    note["refunds"] = linked
    if new.to_balance:
        note["customer_balance_transaction"] = change_balance(
            world,
            invoice["customer"],
            -new.to_balance,
            invoice["currency"],
            KIND,
            credit_note=note["id"],
            invoice=invoice["id"],
        )["id"]
    note = world.add(note)
    world.announce("credit_note.created", note)
    _lower_invoice(world, invoice, note)
    return note


def _refuse_uncreditable(invoice: ReadOnly) -> None:
    if invoice["status"] not in CREDITABLE:
        message = f"You cannot create a credit note for an invoice that is {invoice['status']}."
        raise invalid(message, param="invoice")


def _assemble(world: World, invoice: ReadOnly, new: NewCreditNote) -> Document:
    _refuse_uncreditable(invoice)
    note_id = world.ids.next("cn")
    lines = lines_of_note(world, invoice, new.amount, new.lines)
    sums = _sums(lines)
    total = sums["total"]
    _check_total(invoice, total)
    before = min(total, invoice["amount_remaining"]) if invoice["status"] != "paid" else 0
    now = world.time_of(invoice)
    return {
        "id": note_id,
        "object": KIND,
        "amount": total,
        "amount_shipping": 0,
        "created": now,
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        **sums,
        "effective_at": new.effective_at or now,
        "invoice": invoice["id"],
        "lines": list_object(lines, f"/v1/credit_notes/{note_id}/lines"),
        "livemode": False,
        "memo": new.memo,
        "metadata": dict(new.metadata),
        "number": _number(world, invoice),
        "out_of_band_amount": new.out_of_band or None,
        "pdf": f"{world.base_url}/credit_notes/{note_id}/pdf",
        "post_payment_amount": total - before,
        "pre_payment_amount": before,
        "reason": new.reason,
        "refunds": [],
        "status": "issued",
        "type": _type(before, total - before),
    }


def _sums(lines: list[Document]) -> Document:
    """Return what the lines add up to, with their discounts and taxes, in minor units."""
    subtotal, taxes = sum(line["amount"] for line in lines), totals(lines)
    discount = sum(line["discount_amount"] for line in lines)
    included = sum_of(taxes, "inclusive")
    taken: dict[str, int] = {}
    for one in (one for line in lines for one in line["discount_amounts"]):
        taken[one["discount"]] = taken.get(one["discount"], 0) + one["amount"]
    amounts = [{"amount": amount, "discount": one} for one, amount in taken.items()]
    return {
        "discount_amount": discount,
        "discount_amounts": amounts,
        "pretax_credit_amounts": as_credits(amounts),
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal - included,
        "total": subtotal - discount + sum_of(taxes, "exclusive"),
        "total_excluding_tax": subtotal - discount - included,
        "total_taxes": taxes,
    }


def _type(before: int, after: int) -> str:
    if before and after:
        return "mixed"
    return "pre_payment" if before else "post_payment"


def _check_total(invoice: ReadOnly, total: int) -> None:
    credited = (
        invoice["pre_payment_credit_notes_amount"] + invoice["post_payment_credit_notes_amount"]
    )
    left = invoice["total"] - credited
    if total <= 0:
        raise invalid("The credit note amount must be greater than 0.", param="amount")
    if total > left:
        asked, rest = (format_amount(one, invoice["currency"]) for one in (total, left))
        message = f"The credit note amount ({asked}) is greater than what can be credited ({rest})."
        raise invalid(message, param="amount")


def _check_parts(new: NewCreditNote, note: ReadOnly, refunded: int) -> None:
    """Raise ApiError unless everything that was paid goes somewhere."""
    parts = new.to_card + new.to_balance + new.out_of_band + refunded
    if parts != note["post_payment_amount"]:
        given, wanted = (
            format_amount(one, note["currency"]) for one in (parts, note["post_payment_amount"])
        )
        raise invalid(
            f"The sum of refunds, credit amount, and out of band amount ({given}) must equal the "
            f"credit note post_payment_amount ({wanted})."
        )


def _linked(world: World, given: ReadOnly) -> Document:
    """Return an existing refund as part of a note."""
    refund = world.find("refund", given.get("refund") or "", "refunds[0][refund]")
    amount = given.get("amount_refunded") or refund["amount"]
    used = sum(
        part["amount_refunded"]
        for note in world.store.all(KIND)
        for part in note["refunds"]
        if part["refund"] == refund["id"]
    )
    if amount + used > refund["amount"]:
        message = f"The refund {refund['id']} has less than that left for credit notes."
        raise invalid(message, param="refunds[0][amount_refunded]")
    return {"amount_refunded": amount, "refund": refund["id"], "type": "refund"}


def _refund(world: World, invoice: ReadOnly, new: NewCreditNote) -> Document:
    payment = payments.payment_of(world, invoice["id"])
    intent = payments.intent_of(world, payment) if payment else None
    if intent is None or intent["status"] != "succeeded":
        message = "This invoice was not paid by a charge that can be refunded."
        raise invalid(message, param="refund_amount")
    charge = world.find("charge", intent["latest_charge"])
    reason = "requested_by_customer" if new.reason is None else None
    return make_refund(world, NewRefund(charge=charge, amount=new.to_card, reason=reason))


def _number(world: World, invoice: ReadOnly) -> str:
    earlier = [*world.store.where(KIND, "invoice", invoice["id"])]
    return f"{invoice['number']}-CN-{len(earlier) + 1:02}"


def _lower_invoice(world: World, invoice: Document, note: ReadOnly) -> None:
    before, after = note["pre_payment_amount"], note["post_payment_amount"]
    invoice["post_payment_credit_notes_amount"] += after
    _change_due(invoice, -before)
    payments.lower_payment(world, invoice, invoice["amount_remaining"])
    invoice = world.change(invoice)
    if before and invoice["amount_remaining"] == 0:
        mark_paid(world, invoice)
        payments.cancel_payment(world, invoice)


def _change_due(invoice: Document, amount: int) -> None:
    invoice["pre_payment_credit_notes_amount"] -= amount
    invoice["amount_due"] += amount
    invoice["amount_remaining"] += amount


def void_note(world: World, note: Document) -> Document:
    """Void a credit note: its invoice, which must be open, is due in full again."""
    invoice = world.find("invoice", note["invoice"])
    if note["status"] == "void":
        raise invalid("This credit note is already void.")
    if invoice["status"] != "open" or note["post_payment_amount"]:
        raise invalid("You can only void a credit note whose invoice is open.")
    note |= {"status": "void", "voided_at": world.time_of(invoice)}
    note = world.save(note)
    world.announce("credit_note.voided", note)
    _change_due(invoice, note["pre_payment_amount"])
    payments.lower_payment(world, invoice, invoice["amount_remaining"])
    world.change(invoice)
    return note
