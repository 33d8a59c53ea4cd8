"""Who the customer is in mPanel, what they log in with, and what else is theirs."""

from datetime import UTC, datetime
from uuid import UUID

from billing_client import models
from billing_client.api.billing import (
    billing_access_data_post_hand_out,
    billing_customers_post_link_user,
    billing_customers_post_merge,
    billing_customers_post_undo_merge,
    billing_subscriptions_get_all,
    billing_subscriptions_get_one,
    billing_usage_get_usage,
    billing_usage_post_lift,
    billing_usage_post_usage,
)
from customer import Customer


def get_access_data(customer: Customer) -> None:
    body = models.AccessDataRequest()
    given = customer.do(billing_access_data_post_hand_out, body, product_type="hosting")
    assert given.user_name == "ada-7f3"
    again = customer.refusal(
        billing_access_data_post_hand_out,
        id=customer.subscription_id,
        body=body,
        product_type="hosting",
    )
    assert again, "it is handed out once"


def report_usage(customer: Customer, metered: str) -> str:
    record = models.UsageRecordRequest(
        id="life-1",
        subscription_id=UUID(metered),
        meter="traffic_gb",
        quantity=30,
        timestamp=datetime.now(UTC),
    )
    body = models.UsageRequest(records=[record])
    statuses = [customer.ask(billing_usage_post_usage, body=body).results[0].status for _ in "12"]
    assert statuses == ["stored", "duplicate"]
    (used,) = customer.ask(billing_usage_get_usage, id=UUID(metered)).usage
    assert (used.meter, used.quantity) == ("traffic_gb", 30)
    more = models.UsageRecordRequest.from_dict(
        record.to_dict() | {"id": "life-2", "quantity": 4970}
    )
    customer.ask(billing_usage_post_usage, body=models.UsageRequest(records=[more]))
    reason = models.LiftLimitRequest(reason="a launch")
    lifted = customer.ask(billing_usage_post_lift, id=UUID(metered), body=reason)
    assert lifted.meters == ["traffic_gb"]
    return metered


def be_one_person(customer: Customer, other: str) -> None:
    second = customer.ask(billing_subscriptions_get_one, id=UUID(other)).subscription.customer_id
    body = models.MergeRequest(into_customer_id=customer.id)
    merged = customer.ask(billing_customers_post_merge, id=second, body=body)
    assert merged.customer_id == customer.id
    assert theirs(customer) == {customer.subscription_id, UUID(other)}
    customer.ask(billing_customers_post_undo_merge, id=second, body=models.UndoMergeRequest())
    assert theirs(customer) == {customer.subscription_id}


def theirs(customer: Customer) -> set[UUID]:
    listed = customer.ask(billing_subscriptions_get_all, customer_id=customer.id).subscriptions
    return {each.id for each in listed}


def have_an_account(customer: Customer, account: str) -> None:
    body = models.LinkUserRequest(account_id=UUID(account))
    linked = customer.ask(billing_customers_post_link_user, id=customer.id, body=body)
    assert linked.customer_id == customer.id


STEPS = (get_access_data, report_usage, be_one_person, have_an_account)
