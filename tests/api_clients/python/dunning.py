"""A term is not paid, the services are suspended, and come back with the payment."""

from billing_client import models
from billing_client.api.billing import (
    billing_entitlements_get_of_tenant,
    billing_invoice_actions_post_pay,
    billing_portal_post_portal_session,
)
from customer import Customer


def change_the_card(customer: Customer) -> str:
    wish = models.PortalRequest.from_dict(
        {
            "customerId": str(customer.id),
            "subscriptionId": str(customer.subscription_id),
            "flow": "payment_method_update",
        }
    )
    return customer.ask(billing_portal_post_portal_session, body=wish).url


def be_past_due(customer: Customer) -> None:
    shown = customer.look()
    assert (shown.stripe_status, shown.dunning.attempt_count) == ("past_due", 1)
    assert shown.dunning.next_attempt_at is not None
    assert shown.dunning.last_reason
    owed = shown.dunning.invoice_id
    refused = customer.refusal(billing_invoice_actions_post_pay, id=owed, body=models.PayRequest())
    assert refused == "card_declined"


def be_suspended(customer: Customer) -> str:
    shown = customer.look()
    assert (shown.stripe_status, shown.dunning.next_attempt_at) == ("unpaid", None)
    assert access(customer) == ("suspended", "unpaid")
    (owed,) = customer.invoices("open")
    assert owed.id == shown.dunning.invoice_id
    return owed.hosted_invoice_url


def be_served_again(customer: Customer) -> None:
    shown = customer.look()
    assert (shown.stripe_status, shown.dunning) == ("active", None)
    assert access(customer) == ("active", None)


def access(customer: Customer) -> tuple[str, str | None]:
    tenant = customer.look().tenant.id
    had = customer.ask(
        billing_entitlements_get_of_tenant, id=tenant, customer_id=customer.id
    ).entitlement
    return had.access, had.reason


STEPS = (change_the_card, be_past_due, be_suspended, be_served_again)
