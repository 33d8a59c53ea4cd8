"""Flows of the portal, what a customer changes there, and 3D Secure on its pages."""

from urllib.parse import urlsplit

import pytest
import stripe
from aiohttp import ClientSession

from tests.stripe_sandbox.calls import customer_with_card, subscribe
from tests.stripe_sandbox.test_customer_pages import CARD, post

THANKS = {"type": "redirect", "redirect": {"return_url": "https://shop.example/thanks"}}
ASKING = {**CARD, "cardNumber": "4000 0027 6000 3184"}


@pytest.fixture
async def subscription(shop):
    customer, _ = await customer_with_card(shop)
    return await subscribe(shop, customer)


async def send(url: str, form: dict[str, str]) -> tuple[int, str]:
    """Submit a form; return the status, and where it leads."""
    async with (
        ClientSession() as browser,
        browser.post(url, data=form, allow_redirects=False) as page,
    ):
        return page.status, page.headers.get("Location", "")


async def read(url: str) -> str:
    async with ClientSession() as browser, browser.get(url) as page:
        return await page.text()


async def open_flow(shop, customer: str, features=None, **flow):
    sessions = shop.api.v1.billing_portal.sessions
    params = {"customer": customer, "flow_data": {"after_completion": THANKS, **flow}}
    if features:
        made = await shop.api.v1.billing_portal.configurations.create_async({"features": features})
        params["configuration"] = made.id
    return await sessions.create_async(params)


async def test_a_cancel_flow_shows_nothing_else_and_leads_back(shop, subscription):
    session = await open_flow(
        shop,
        subscription.customer,
        type="subscription_cancel",
        subscription_cancel={"subscription": subscription.id},
    )
    assert session.flow.subscription_cancel.subscription == subscription.id
    page = await read(session.url)
    assert ("Cancel subscription" in page, "Use this card" in page) == (True, False)
    form = {"action": "cancel", "subscription": subscription.id}
    assert await send(session.url, form) == (303, "https://shop.example/thanks")
    assert (await shop.fetch(subscription.id)).cancel_at is not None


async def test_an_offer_keeps_a_customer_who_wants_to_cancel(shop, subscription):
    await shop.api.v1.coupons.create_async({"id": "STAY", "percent_off": 25, "duration": "once"})
    offer = {"type": "coupon_offer", "coupon_offer": {"coupon": "STAY"}}
    session = await open_flow(
        shop,
        subscription.customer,
        type="subscription_cancel",
        subscription_cancel={"subscription": subscription.id, "retention": offer},
    )
    assert "Stay, and pay 25% less" in await read(session.url)
    form = {"action": "offer", "subscription": subscription.id}
    assert (await send(session.url, form))[0] == 303
    kept = await shop.api.v1.subscriptions.retrieve_async(
        subscription.id, {"expand": ["discounts"]}
    )
    assert (kept.cancel_at, kept.discounts[0].source.coupon) == (None, "STAY")


async def test_a_configuration_may_cancel_at_once_and_credit_the_rest(shop, subscription):
    session = await open_flow(
        shop,
        subscription.customer,
        features={
            "subscription_cancel": {
                "enabled": True,
                "mode": "immediately",
                "proration_behavior": "create_prorations",
                "cancellation_reason": {"enabled": True, "options": ["unused"]},
            }
        },
        type="subscription_cancel",
        subscription_cancel={"subscription": subscription.id},
    )
    page = await read(session.url)
    assert ("unused" in page, "too expensive" in page) == (True, False)
    form = {"action": "cancel", "subscription": subscription.id, "feedback": "unused"}
    await send(session.url, form)
    ended = await shop.fetch(subscription.id)
    assert (ended.status, ended.cancellation_details.feedback) == ("canceled", "unused")
    [credit] = (await shop.api.v1.invoice_items.list_async({"pending": True})).data
    assert credit.amount == -1000


async def test_a_link_confirms_a_change_of_plan(shop, subscription):
    session = await open_flow(
        shop,
        subscription.customer,
        features={
            "subscription_update": {
                "enabled": True,
                "default_allowed_updates": ["price"],
                "products": [],
                "proration_behavior": "always_invoice",
            }
        },
        type="subscription_update_confirm",
        subscription_update_confirm={
            "subscription": subscription.id,
            "items": [{"id": subscription["items"].data[0].id, "price": shop.prices["bigger"]}],
        },
    )
    form = {"action": "confirm", "subscription": subscription.id}
    assert await send(session.url, form) == (303, "https://shop.example/thanks")
    changed = await shop.fetch(subscription.id)
    assert changed["items"].data[0].price.id == shop.prices["bigger"]
    assert [invoice.total for invoice in await shop.invoices(subscription.id)] == [1000, 2000]


async def test_the_plan_of_several_items_is_not_changed_in_the_portal(shop, subscription):
    extra = {"price": shop.prices["yearly"]}
    await shop.api.v1.subscriptions.update_async(subscription.id, {"items": [extra]})
    session = await shop.api.v1.billing_portal.sessions.create_async(
        {"customer": subscription.customer}
    )
    page = await read(session.url)
    assert ("Cancel subscription" in page, "Change plan" in page) == (True, False)
    form = {"action": "update", "subscription": subscription.id, "price": shop.prices["bigger"]}
    assert (await send(session.url, form))[0] == 404
    with pytest.raises(stripe.InvalidRequestError, match="more than one item"):
        await open_flow(
            shop,
            subscription.customer,
            type="subscription_update",
            subscription_update={"subscription": subscription.id},
        )


async def test_a_link_confirms_one_item_at_a_time(shop, subscription):
    item = {"id": subscription["items"].data[0].id, "quantity": 2}
    with pytest.raises(stripe.InvalidRequestError, match="only specify one"):
        await open_flow(
            shop,
            subscription.customer,
            type="subscription_update_confirm",
            subscription_update_confirm={"subscription": subscription.id, "items": [item, item]},
        )


async def test_only_plans_that_are_offered_can_be_chosen(shop, subscription):
    session = await open_flow(
        shop,
        subscription.customer,
        features={
            "subscription_update": {
                "enabled": True,
                "default_allowed_updates": ["price", "quantity"],
                "products": [{"product": shop.product, "prices": [shop.prices["bigger"]]}],
            }
        },
        type="subscription_update",
        subscription_update={"subscription": subscription.id},
    )
    form = {"action": "update", "subscription": subscription.id, "quantity": "2"}
    assert (await send(session.url, {**form, "price": shop.prices["yearly"]}))[0] == 400
    assert (await send(session.url, {**form, "price": shop.prices["bigger"]}))[0] == 303
    item = (await shop.fetch(subscription.id))["items"].data[0]
    assert (item.price.id, item.quantity) == (shop.prices["bigger"], 2)


async def test_a_flow_needs_its_feature_and_the_customers_own_subscription(shop, subscription):
    flow = {"type": "subscription_cancel"}
    features = {"invoice_history": {"enabled": True}}
    with pytest.raises(stripe.InvalidRequestError, match="cancel feature in the portal"):
        await open_flow(shop, subscription.customer, features, **flow)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await open_flow(shop, subscription.customer, **flow)
    assert refused.value.param == "flow_data[subscription_cancel]"
    other = await shop.api.v1.customers.create_async({})
    with pytest.raises(stripe.InvalidRequestError, match="does not belong to this customer"):
        await open_flow(
            shop, other.id, **flow, subscription_cancel={"subscription": subscription.id}
        )


@pytest.mark.parametrize("succeeds", [True, False])
async def test_the_portal_asks_for_3d_secure(shop, subscription, succeeds):
    session = await open_flow(shop, subscription.customer, type="payment_method_update")
    before = (await shop.fetch(subscription.id)).default_payment_method
    status, bank = await send(session.url, {**ASKING, "action": "card"})
    assert (status, bank[:10]) == (303, "/3ds/seti_")
    base = "{0.scheme}://{0.netloc}".format(urlsplit(session.url))
    outcome = {"authentication": "complete" if succeeds else "fail"}
    status, back = await send(base + bank, outcome)
    assert (status, back.startswith(f"{session.url}?setup_intent=")) == (303, True)
    async with ClientSession() as browser, browser.get(back, allow_redirects=False) as page:
        assert page.status == (303 if succeeds else 402)
    after = (await shop.fetch(subscription.id)).default_payment_method
    assert (after != before) is succeeds


@pytest.mark.parametrize("succeeds", [True, False])
async def test_an_invoice_page_asks_for_3d_secure(shop, succeeds):
    customer = await shop.api.v1.customers.create_async({"email": "ada@example.com"})
    subscription = await subscribe(shop, customer.id, payment_behavior="default_incomplete")
    [invoice] = await shop.invoices(subscription.id)
    status, bank = await send(invoice.hosted_invoice_url, ASKING)
    assert (status, bank[:8]) == (303, "/3ds/pi_")
    base = "{0.scheme}://{0.netloc}".format(urlsplit(invoice.hosted_invoice_url))
    outcome = {"authentication": "complete" if succeeds else "fail"}
    status, back = await send(base + bank, outcome)
    assert (status, back.startswith(invoice.hosted_invoice_url)) == (303, True)
    [invoice] = await shop.invoices(subscription.id)
    assert invoice.status == ("paid" if succeeds else "open")
    expected = "active" if succeeds else "incomplete"
    assert (await shop.fetch(subscription.id)).status == expected


async def test_a_customer_changes_what_the_configuration_allows(shop, subscription):
    configuration = await shop.api.v1.billing_portal.configurations.create_async(
        {
            "features": {
                "customer_update": {"enabled": True, "allowed_updates": ["address", "tax_id"]}
            }
        }
    )
    session = await shop.api.v1.billing_portal.sessions.create_async(
        {"customer": subscription.customer, "configuration": configuration.id}
    )
    form = {
        "action": "customer",
        "email": "eve@example.com",
        "billingAddressLine1": "1 Main Street",
        "billingCountry": "DE",
        "taxIdType": "eu_vat",
        "taxId": "DE123456789",
    }
    assert (await send(session.url, {**form, "taxId": "DE1"}))[0] == 402
    assert (await send(session.url, form))[0] == 303
    customer = await shop.api.v1.customers.retrieve_async(
        subscription.customer, {"expand": ["tax_ids"]}
    )
    assert customer.email != "eve@example.com"
    assert (customer.address.line1, customer.address.country) == ("1 Main Street", "DE")
    assert [one.value for one in customer.tax_ids.data] == ["DE123456789"]


async def test_customers_log_in_by_their_address(shop, subscription):
    customer = await shop.api.v1.customers.update_async(
        subscription.customer, {"email": "ada@example.com"}
    )
    configuration = await shop.api.v1.billing_portal.configurations.create_async(
        {"features": {"invoice_history": {"enabled": True}}, "login_page": {"enabled": True}}
    )
    url = configuration.login_page.url
    assert "Log in" in await read(url)
    status, portal = await send(url, {"email": customer.email.upper()})
    assert (status, "/p/session/bps_" in portal) == (303, True)
    status, _page = await post(url, {"email": "nobody@example.com"})
    assert status == 200
    closed = await shop.api.v1.billing_portal.configurations.update_async(
        configuration.id, {"login_page": {"enabled": False}}
    )
    assert closed.login_page.url is None
    assert (await send(url, {"email": customer.email}))[0] == 404
