"""Invoices are read, given back, made by hand and paid; a dispute is answered."""

from typing import Any
from uuid import UUID

from billing_client import models
from billing_client.api.billing import (
    billing_balances_get_all,
    billing_balances_post_change,
    billing_balances_post_preview,
    billing_disputes_get_all,
    billing_disputes_get_one,
    billing_disputes_post_evidence,
    billing_invoice_actions_get_one_with_lines,
    billing_invoice_actions_post_delete,
    billing_invoice_actions_post_finalize,
    billing_invoice_actions_post_mark_paid,
    billing_invoice_actions_post_mark_uncollectible,
    billing_invoice_actions_post_pay,
    billing_invoice_actions_post_void,
    billing_invoices_get_one,
    billing_money_back_get_credit_notes,
    billing_money_back_get_refunds,
    billing_money_back_post_credit_note,
    billing_money_back_post_preview_credit_note,
    billing_money_back_post_preview_refund,
    billing_money_back_post_refund,
    billing_new_invoices_get_link,
    billing_new_invoices_post_draft,
)
from customer import Customer

WHY = models.InvoiceActionRequest(reason="ticket 4711")


def read_an_invoice(customer: Customer) -> None:
    id_ = latest_paid(customer)
    one = customer.ask(billing_invoices_get_one, id=id_, customer_id=customer.id).invoice
    shown = customer.ask(billing_invoice_actions_get_one_with_lines, id=id_)
    assert shown.invoice == one
    assert sum(each.amount for each in shown.lines) == shown.subtotal
    assert shown.total == shown.subtotal - shown.discount + shown.tax == one.amount_invoiced
    assert [each.status for each in shown.attempts] == ["succeeded"]
    assert customer.ask(billing_new_invoices_get_link, id=id_).url


def be_refunded(customer: Customer) -> None:
    id_ = latest_paid(customer)
    wish = models.RefundRequest(amount=100)
    preview = customer.ask(billing_money_back_post_preview_refund, id=id_, body=wish)
    done = customer.ask(billing_money_back_post_refund, id=id_, body=wish)
    assert done.invoice.amount_paid - done.invoice.amount_refunded == preview.left
    listed = customer.ask(billing_money_back_get_refunds, id=id_).refunds
    assert [(each.id, each.amount) for each in listed] == [(done.refund.id, 100)]


def be_credited(customer: Customer) -> None:
    id_ = latest_paid(customer)
    wish = models.CreditNoteRequest(amount=100, to="balance", memo="For the outage of Monday.")
    preview = customer.ask(billing_money_back_post_preview_credit_note, id=id_, body=wish)
    note = customer.ask(billing_money_back_post_credit_note, id=id_, body=wish).credit_note
    assert preview.amount == note.amount_to_balance == 100
    listed = customer.ask(billing_money_back_get_credit_notes, id=id_).credit_notes
    assert [each.id for each in listed] == [note.id]


def latest_paid(customer: Customer) -> UUID:
    return customer.invoices("paid")[0].id


def be_billed_by_hand(customer: Customer) -> None:
    mistaken = draft(customer, "first")
    deleted = customer.ask(billing_invoice_actions_post_delete, id=mistaken.id, body=WHY)
    assert deleted.changed
    wanted = draft(customer, "second")
    charged = customer.ask(billing_invoice_actions_post_finalize, id=wanted.id, body=WHY).invoice
    assert (charged.status, charged.amount_invoiced) == ("paid", 4900)


def draft(customer: Customer, key: str, **changed: Any) -> Any:
    line = {"description": "Migration of the shop", "unitAmount": 4900}
    wish = {"customerId": str(customer.id), "currency": "usd", "lines": [line], **changed}
    made = customer.ask(
        billing_new_invoices_post_draft,
        body=models.NewInvoiceRequest.from_dict(wish),
        idempotency_key=key,
    )
    assert made.total == 4900
    return made.invoice


def send(customer: Customer, why: str) -> UUID:
    """Send the customer an invoice, which nobody has paid yet."""
    made = draft(customer, why.replace(" ", "-"), daysUntilDue=14, memo=why)
    sent = customer.ask(billing_invoice_actions_post_finalize, id=made.id, body=WHY).invoice
    assert (sent.status, sent.amount_remaining) == ("open", 4900)
    return sent.id


def owe_nothing(customer: Customer) -> None:
    mistaken = send(customer, "a mistake")
    voided = customer.ask(billing_invoice_actions_post_void, id=mistaken, body=WHY).invoice
    assert voided.status == "void"
    lost = send(customer, "never paid")
    given_up = customer.ask(
        billing_invoice_actions_post_mark_uncollectible, id=lost, body=WHY
    ).invoice
    assert given_up.status == "uncollectible"


def pay_in_each_way(customer: Customer, another_card: str) -> None:
    now = send(customer, "paid now")
    paid = customer.ask(billing_invoice_actions_post_pay, id=now, body=models.PayRequest())
    assert (paid.changed, paid.invoice.status) == (True, "paid")
    other = send(customer, "paid with another card")
    wish = models.PayRequest(payment_method_id=another_card, reason="asked by phone")
    paid = customer.ask(billing_invoice_actions_post_pay, id=other, body=wish)
    assert (paid.changed, paid.invoice.status) == (True, "paid")
    outside = send(customer, "paid by bank transfer")
    note = models.MarkPaidRequest(reason="seen on our account")
    noted = customer.ask(billing_invoice_actions_post_mark_paid, id=outside, body=note)
    assert (noted.changed, noted.invoice.status) == (True, "paid")


def have_a_balance(customer: Customer) -> None:
    before = balance(customer)
    add = {
        "customerId": str(customer.id),
        "currency": "usd",
        "move": "add",
        "amount": 500,
        "reason": "For the outage of Monday.",
    }
    wish = models.BalanceChangeRequest.from_dict(add)
    preview = customer.ask(billing_balances_post_preview, body=wish)
    assert (preview.before.balance, preview.after.balance) == (before, before - 500)
    added = customer.ask(billing_balances_post_change, body=wish, idempotency_key="outage")
    assert added.balance.balance == balance(customer) == before - 500
    take = models.BalanceChangeRequest.from_dict(add | {"move": "take", "reason": "A mistake."})
    assert customer.ask(billing_balances_post_change, body=take).balance.balance == before


def balance(customer: Customer) -> int:
    held = customer.ask(billing_balances_get_all, customer_id=customer.id)
    return sum(each.balance for each in held.balances)


def answer_the_dispute(customer: Customer) -> None:
    (dispute,) = customer.ask(
        billing_disputes_get_all, customer_id=customer.id, open_=True
    ).disputes
    assert (dispute.status, dispute.evidence) == ("needs_response", "none")
    ours = {"fields": {"uncategorized_text": "The customer asked for it."}}
    staged = customer.ask(
        billing_disputes_post_evidence,
        id=dispute.id,
        body=models.EvidenceRequest.from_dict(ours),
    )
    assert not staged.submitted
    sent = customer.ask(
        billing_disputes_post_evidence,
        id=dispute.id,
        body=models.EvidenceRequest.from_dict(ours | {"submit": True}),
    )
    assert sent.submitted
    shown = customer.ask(billing_disputes_get_one, id=dispute.id).dispute
    assert shown.evidence == "submitted"


STEPS = (
    read_an_invoice,
    be_refunded,
    be_credited,
    be_billed_by_hand,
    owe_nothing,
    pay_in_each_way,
    have_a_balance,
    answer_the_dispute,
)
