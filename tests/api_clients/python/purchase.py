"""The plan is chosen, ordered, tried and paid."""

from datetime import timedelta
from uuid import UUID

from billing_client import models
from billing_client.api.billing import (
    billing_endings_post_preview_trial,
    billing_endings_post_trial,
    billing_entitlements_get_of_customer,
    billing_entitlements_get_of_tenant,
    billing_subscriptions_get_all,
)
from billing_client.api.catalogue import catalogue_list_plans
from billing_client.api.checkout import checkout_create, checkout_get_progress, quotes_quote
from customer import Customer

BACKUPS = "addon-backups-daily"
WISH = {
    "planId": "starter",
    "billingCycle": "monthly",
    "trialActive": True,
    "addonIds": [BACKUPS],
    "quantities": {BACKUPS: 2},
}


def choose(customer: Customer) -> None:
    plans = customer.ask(catalogue_list_plans).plans
    assert "starter" in [each.id for each in plans]
    quote = customer.ask(quotes_quote, body=models.QuoteRequest.from_dict(WISH))
    assert (quote.due_today, quote.due_after_trial > 0) == (0, True)
    assert [each.quantity for each in quote.lines] == [1, 2]


def order(customer: Customer) -> str:
    wish = models.CheckoutRequest.from_dict(
        WISH | {"customer": {"name": "Ada Lovelace", "email": "ada@example.com"}}
    )
    page = customer.ask(checkout_create, body=wish)
    customer.session_id, customer.subscription_id = page.session_id, UUID(page.subscription_id)
    return page.url


def begin_the_trial(customer: Customer) -> None:
    progress = customer.ask(checkout_get_progress, session_id=customer.session_id, wait=20)
    assert progress.status == "active", progress
    shown = customer.look()
    assert (shown.stripe_status, shown.status) == ("trialing", "active")
    customer.id = shown.customer_id
    listed = customer.ask(billing_subscriptions_get_all, customer_id=customer.id).subscriptions
    assert [each.id for each in listed] == [customer.subscription_id]
    had = customer.ask(billing_entitlements_get_of_tenant, id=shown.tenant.id).entitlement
    assert (had.access, had.until) == ("active", shown.trial_end)
    all_ = customer.ask(billing_entitlements_get_of_customer, id=customer.id).entitlements
    assert [each.tenant_id for each in all_] == [shown.tenant.id]


def extend_the_trial(customer: Customer) -> None:
    later = customer.look().trial_end + timedelta(days=7)
    preview = customer.do(
        billing_endings_post_preview_trial, models.PreviewTrialRequest(ends_at=later)
    )
    assert (preview.due_now, preview.ends_at) == (0, later)
    wish = models.TrialRequest(reason="asks for a week more", ends_at=later)
    assert customer.do(billing_endings_post_trial, wish).subscription.trial_end == later


def end_the_trial(customer: Customer) -> None:
    preview = customer.do(billing_endings_post_preview_trial, models.PreviewTrialRequest())
    assert preview.due_now > 0
    wish = models.TrialRequest(reason="is convinced")
    ended = customer.do(billing_endings_post_trial, wish).subscription
    assert (ended.stripe_status, ended.amount) == ("active", preview.due_now)


STEPS = (choose, order, begin_the_trial, extend_the_trial, end_the_trial)
