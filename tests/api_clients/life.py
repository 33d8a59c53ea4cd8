"""A customer's life by the client that openapi-python-client makes of /openapi.json.

Run as `python life.py BASE_URL KEY`, beside the generated package `billing_client`. It prints the
address of the payment page, and goes on once it reads a line: by then it is paid. At `dispute` it
waits for another line: by then a bank disputes the latest payment.
"""

import sys
from typing import Any
from uuid import UUID

from billing_client import AuthenticatedClient
from billing_client.api.billing import (
    billing_balances_get_all,
    billing_charges_get_charges,
    billing_charges_post_charge,
    billing_charges_post_preview,
    billing_charges_post_withdraw,
    billing_disputes_get_all,
    billing_endings_get_offer,
    billing_endings_post_end,
    billing_endings_post_preview_end,
    billing_entitlements_get_of_customer,
    billing_invoice_actions_get_one_with_lines,
    billing_invoice_actions_post_finalize,
    billing_invoices_get_all,
    billing_money_back_get_credit_notes,
    billing_money_back_post_credit_note,
    billing_money_back_post_preview_credit_note,
    billing_money_back_post_preview_refund,
    billing_money_back_post_refund,
    billing_new_invoices_get_link,
    billing_new_invoices_get_next,
    billing_new_invoices_post_draft,
    billing_portal_post_portal_session,
    billing_subscriptions_get_all,
    billing_subscriptions_get_one,
    billing_subscriptions_post_cancel,
    billing_subscriptions_post_change_plan,
    billing_subscriptions_post_pause,
    billing_subscriptions_post_preview,
    billing_subscriptions_post_preview_pause,
    billing_subscriptions_post_preview_resume,
    billing_subscriptions_post_resume,
    billing_subscriptions_post_undo_change,
)
from billing_client.api.catalogue import catalogue_list_plans
from billing_client.api.checkout import checkout_create, checkout_get_progress
from billing_client.models import (
    CancelRequest,
    ChangePlanRequest,
    ChargeRequest,
    CheckoutRequest,
    CreditNoteRequest,
    CustomerSchema,
    EndRequest,
    EndRequestUnusedTime,
    ErrorResponse,
    InvoiceActionRequest,
    NewInvoiceRequest,
    NewLineRequest,
    PauseRequest,
    PortalRequest,
    PreviewChargeRequest,
    PreviewEndRequest,
    PreviewEndRequestUnusedTime,
    PreviewPauseRequest,
    PreviewRequest,
    RefundRequest,
    ResumeRequest,
    SubscriptionResponse,
    UndoChangeRequest,
    WithdrawChargeRequest,
)


def main(base_url: str, key: str) -> None:
    client = AuthenticatedClient(base_url=base_url, token=key)
    plans = catalogue_list_plans.sync(client=client)
    assert done(plans).plans
    page = done(checkout_create.sync(client=client, body=order()))
    print(page.url, flush=True)
    sys.stdin.readline()
    progress = checkout_get_progress.sync(session_id=page.session_id, client=client, wait=20)
    assert done(progress).status == "active", progress
    live(client, UUID(page.subscription_id))
    print("lived")


def order() -> CheckoutRequest:
    buyer = CustomerSchema(name="Ada Lovelace", email="ada@example.com")
    return CheckoutRequest(customer=buyer, plan_id="starter", billing_cycle="monthly")


def live(client: AuthenticatedClient, id_: UUID) -> None:
    shown = done(billing_subscriptions_get_one.sync(id=id_, client=client))
    assert isinstance(shown, SubscriptionResponse)
    customer = shown.subscription.customer_id
    listed = done(billing_subscriptions_get_all.sync(client=client, customer_id=customer))
    assert [each.id for each in listed.subscriptions] == [id_]
    entitled = billing_entitlements_get_of_customer.sync(id=customer, client=client)
    assert [each.access for each in done(entitled).entitlements] == ["active"]
    change(client, id_)
    change_down_and_stay(client, id_)
    charge_once(client, id_)
    portal = PortalRequest(customer_id=customer, subscription_id=id_)
    assert done(billing_portal_post_portal_session.sync(client=client, body=portal)).url
    invoices = done(billing_invoices_get_all.sync(client=client, customer_id=customer)).invoices
    paid = [each for each in invoices if each.amount_paid]
    look_at(client, paid[-1].id)
    give_back(client, paid[-1].id)
    bill_by_hand(client, id_)
    print("dispute", flush=True)
    sys.stdin.readline()
    disputes = done(billing_disputes_get_all.sync(client=client, customer_id=customer)).disputes
    assert [each.status for each in disputes] == ["needs_response"]
    cancel_and_resume(client, id_)
    pause_and_resume(client, id_)
    end(client, id_)


def cancel_and_resume(client: AuthenticatedClient, id_: UUID) -> None:
    offered = billing_endings_get_offer.sync(id=id_, client=client)
    assert done(offered).success
    ended = billing_subscriptions_post_cancel.sync(
        id=id_, client=client, body=CancelRequest(reason="too dear")
    )
    assert done(ended).subscription.cancel_at_period_end
    back = billing_subscriptions_post_resume.sync(id=id_, client=client, body=ResumeRequest())
    assert not done(back).subscription.cancel_at_period_end


def change_down_and_stay(client: AuthenticatedClient, id_: UUID) -> None:
    wish = PreviewRequest(plan_id="starter", billing_cycle="monthly")
    preview = done(billing_subscriptions_post_preview.sync(id=id_, client=client, body=wish))
    assert (preview.due_now, preview.effective_at is None) == (0, False)
    agreed = ChangePlanRequest(preview_token=preview.preview_token)
    planned = billing_subscriptions_post_change_plan.sync(id=id_, client=client, body=agreed)
    assert done(planned).subscription.planned_change.plan_id == "starter"
    undone = billing_subscriptions_post_undo_change.sync(
        id=id_, client=client, body=UndoChangeRequest()
    )
    assert done(undone).subscription.planned_change is None


def charge_once(client: AuthenticatedClient, id_: UUID) -> None:
    before = done(billing_new_invoices_get_next.sync(id=id_, client=client)).upcoming_invoice
    line = PreviewChargeRequest(description="Migration of the shop", unit_amount=4900)
    preview = billing_charges_post_preview.sync(id=id_, client=client, body=line)
    assert done(preview).upcoming_invoice.amount_due == before.amount_due + 4900
    work = ChargeRequest(description="Migration of the shop", unit_amount=4900)
    charge = done(billing_charges_post_charge.sync(id=id_, client=client, body=work)).charge
    listed = done(billing_charges_get_charges.sync(id=id_, client=client)).charges
    assert [each.id for each in listed] == [charge.id]
    withdrawn = billing_charges_post_withdraw.sync(
        id=id_, charge_id=charge.id, client=client, body=WithdrawChargeRequest()
    )
    assert done(withdrawn).changed


def look_at(client: AuthenticatedClient, id_: UUID) -> None:
    details = billing_invoice_actions_get_one_with_lines.sync(id=id_, client=client)
    shown = done(details)
    assert sum(each.amount for each in shown.lines) == shown.subtotal
    assert done(billing_new_invoices_get_link.sync(id=id_, client=client)).url


def give_back(client: AuthenticatedClient, id_: UUID) -> None:
    refund = RefundRequest(amount=100)
    preview = billing_money_back_post_preview_refund.sync(id=id_, client=client, body=refund)
    assert done(preview)
    refunded = billing_money_back_post_refund.sync(id=id_, client=client, body=refund)
    assert done(refunded).refund.amount == 100
    note = CreditNoteRequest(amount=100, to="balance", memo="For the outage of Monday.")
    preview = billing_money_back_post_preview_credit_note.sync(id=id_, client=client, body=note)
    assert done(preview)
    assert done(billing_money_back_post_credit_note.sync(id=id_, client=client, body=note))
    listed = done(billing_money_back_get_credit_notes.sync(id=id_, client=client)).credit_notes
    assert [each.amount for each in listed] == [100]


def bill_by_hand(client: AuthenticatedClient, id_: UUID) -> None:
    shown = done(billing_subscriptions_get_one.sync(id=id_, client=client)).subscription
    owned = billing_balances_get_all.sync(client=client, customer_id=shown.customer_id)
    assert done(owned)
    lines = [NewLineRequest(description="Migration of the shop", unit_amount=4900)]
    wish = NewInvoiceRequest(
        customer_id=shown.customer_id, subscription_id=id_, currency="usd", lines=lines
    )
    draft = done(billing_new_invoices_post_draft.sync(client=client, body=wish)).invoice
    assert draft.status == "draft"
    charged = billing_invoice_actions_post_finalize.sync(
        id=draft.id, client=client, body=InvoiceActionRequest(reason="ticket 4711")
    )
    assert done(charged).invoice.status in {"open", "paid"}


def pause_and_resume(client: AuthenticatedClient, id_: UUID) -> None:
    preview = billing_subscriptions_post_preview_pause.sync(
        id=id_, client=client, body=PreviewPauseRequest()
    )
    assert done(preview).way == "subscription"
    paused = billing_subscriptions_post_pause.sync(id=id_, client=client, body=PauseRequest())
    assert done(paused).subscription.stripe_status == "paused"
    costs = billing_subscriptions_post_preview_resume.sync(
        id=id_, client=client, body=ResumeRequest()
    )
    assert done(costs).due_now >= 0
    back = billing_subscriptions_post_resume.sync(id=id_, client=client, body=ResumeRequest())
    assert done(back).subscription.stripe_status == "active"


def end(client: AuthenticatedClient, id_: UUID) -> None:
    wish = PreviewEndRequest(unused_time=PreviewEndRequestUnusedTime.CREDIT)
    preview = billing_endings_post_preview_end.sync(id=id_, client=client, body=wish)
    agreed = EndRequest(
        unused_time=EndRequestUnusedTime.CREDIT, at=done(preview).at, reason="moves away"
    )
    ended = billing_endings_post_end.sync(id=id_, client=client, body=agreed)
    assert done(ended).subscription.stripe_status == "canceled"


def change(client: AuthenticatedClient, id_: UUID) -> None:
    wish = PreviewRequest(plan_id="premium", billing_cycle="monthly")
    preview = done(billing_subscriptions_post_preview.sync(id=id_, client=client, body=wish))
    agreed = ChangePlanRequest(preview_token=preview.preview_token)
    changed = billing_subscriptions_post_change_plan.sync(
        id=id_, client=client, body=agreed, idempotency_key="life-change"
    )
    assert done(changed).subscription.plan_id == "premium"


def done(response: Any) -> Any:
    assert response is not None, "undocumented status"
    assert not isinstance(response, ErrorResponse), response
    return response


if __name__ == "__main__":
    main(*sys.argv[1:])
