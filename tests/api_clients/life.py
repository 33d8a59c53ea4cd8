"""A customer's life by the client that openapi-python-client makes of /openapi.json.

Run as `python life.py BASE_URL KEY`, beside the generated package `billing_client`. It prints the
address of the payment page, and goes on once it reads a line: by then it is paid.
"""

import sys
from typing import Any
from uuid import UUID

from billing_client import AuthenticatedClient
from billing_client.api.billing import (
    billing_invoices_get_all,
    billing_money_back_post_refund,
    billing_portal_post_portal_session,
    billing_subscriptions_get_all,
    billing_subscriptions_get_one,
    billing_subscriptions_post_cancel,
    billing_subscriptions_post_change_plan,
    billing_subscriptions_post_preview,
    billing_subscriptions_post_resume,
)
from billing_client.api.catalogue import catalogue_list_plans
from billing_client.api.checkout import checkout_create, checkout_get_progress
from billing_client.models import (
    CancelRequest,
    ChangePlanRequest,
    CheckoutRequest,
    CustomerSchema,
    ErrorResponse,
    PortalRequest,
    PreviewRequest,
    RefundRequest,
    ResumeRequest,
    SubscriptionResponse,
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
    change(client, id_)
    portal = PortalRequest(customer_id=customer, subscription_id=id_)
    assert done(billing_portal_post_portal_session.sync(client=client, body=portal)).url
    invoices = done(billing_invoices_get_all.sync(client=client, customer_id=customer)).invoices
    paid = [each for each in invoices if each.amount_paid]
    refund = RefundRequest(amount=100)
    refunded = billing_money_back_post_refund.sync(id=paid[-1].id, client=client, body=refund)
    assert done(refunded).refund.amount == 100
    ended = billing_subscriptions_post_cancel.sync(
        id=id_, client=client, body=CancelRequest(reason="too dear")
    )
    assert done(ended).subscription.cancel_at_period_end
    back = billing_subscriptions_post_resume.sync(id=id_, client=client, body=ResumeRequest())
    assert not done(back).subscription.cancel_at_period_end


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
