"""An order is in the currency that is asked for, in that of its customer, or in the shop's own."""

from typing import Any

import pytest
import stripe

from mpanel_billing.catalogue.drift import find_drift
from mpanel_billing.settings import Settings
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.subscriptions.lost_domains import give_back_lost
from tests.checkout.test_taken_domains import lose_a_name
from tests.inline_worker import InlineWorker
from tests.service import CREATE_SESSION, Service, make_settings

pytestmark = pytest.mark.usefixtures("shop_in_currencies")

QUOTE = "/api/checkout/quote"
KEY = "b" * 32
BACKEND = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return make_settings(
        database_url=settings.database_url.get_secret_value(),
        stripe_api_base=str(settings.stripe_api_base),
        billing_api_keys=KEY,
    )


async def post(service: Service, path: str, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    answer = await service.client.post(path, json=body, headers=headers)
    content: dict[str, Any] = await answer.json()
    return {"status": answer.status} | content


@pytest.mark.parametrize(
    ("currency", "due", "id_at_stripe"),
    [("usd", 799 + 499 + 500 - 500, "FIVE"), ("JPY", 1215 + 747 + 755 - 750, "FIVE_jpy"),
     ("kwd", 2450 + 1530 + 1510 - 1500, "FIVE_kwd")],
)  # fmt: skip
async def test_what_is_quoted_in_a_currency_is_paid_in_it(
    service: Service, order_a: dict[str, Any], currency: str, due: int, id_at_stripe: str
) -> None:
    body = order_a | {"currency": currency, "couponCode": "five"}
    quoted = await post(service, QUOTE, body)
    assert (quoted["currency"], quoted["dueToday"]) == (currency.lower(), due)
    await service.buy(body)
    invoice = await service.row("SELECT lower(currency) AS currency, amount_paid FROM invoices")
    assert tuple(invoice) == (currency.lower(), due)
    counted = await service.row("SELECT coupon_code FROM billing_redemptions")
    assert counted["coupon_code"] == "FIVE"
    params = await service.pool.fetchval("SELECT params -> 'session' FROM checkout_sessions")
    assert params["discounts"] == [{"coupon": id_at_stripe}]


async def test_what_names_no_currency_is_in_the_shops_own(
    service: Service, order_a: dict[str, Any]
) -> None:
    assert (await post(service, QUOTE, order_a))["currency"] == "usd"
    bridge = {"planId": "starter", "term": "monthly", "email": "ada@example.com"}
    for more, currency in (({}, "usd"), ({"currency": "jpy"}, "jpy")):
        page = await post(service, "/api/public/checkout", bridge | more)
        assert page["status"] == 200
        row = await service.row(
            "SELECT currency FROM subscriptions JOIN checkout_sessions ON subscription_id = id"
            " WHERE stripe_session_id = $1",
            page["id"],
        )
        assert row["currency"] == currency
    refused = await post(service, "/api/public/checkout", bridge | {"currency": "eur"})
    assert (refused["status"], refused["code"]) == (422, "currency_not_sold")


async def test_a_price_in_the_cart_says_in_which_currency(
    service: Service, order_a: dict[str, Any]
) -> None:
    body = {name: order_a[name] for name in ("customer", "domain")}
    item = {"type": "simple", "priceId": "starter_monthly_jpy"}
    quoted = await post(service, QUOTE, body | {"cartItems": [item]})
    assert (quoted["currency"], quoted["perTerm"]) == ("jpy", 1215)
    for other in (
        {"cartItems": [item], "currency": "usd"},
        {"cartItems": [item, item | {"priceId": "addon-backups-daily_monthly_usd"}]},
    ):
        refused = await post(service, QUOTE, body | other)
        assert (refused["status"], refused["code"]) == (422, "several_currencies")


async def test_what_is_not_sold_in_a_currency_is_refused_with_those_that_it_is_sold_in(
    service: Service, order_a: dict[str, Any]
) -> None:
    for body, sentence in (
        ({"planId": "local"}, "Local is not available in KWD. Available: USD."),
        (
            {"domain": {"mode": "register", "value": "ada.net"}},
            ".net domain is not available in KWD. Available: JPY, USD.",
        ),
    ):
        refused = await post(service, QUOTE, order_a | {"currency": "kwd"} | body)
        assert (refused["code"], refused["error"]) == ("currency_not_sold", sentence)


async def test_a_known_customer_goes_on_in_their_currency(
    service: Service, order_a: dict[str, Any]
) -> None:
    yen = await service.buy(order_a | {"currency": "jpy"})
    customer = await service.pool.fetchval(
        "SELECT customer_id::text FROM subscriptions WHERE id::text = $1", yen["subscriptionId"]
    )
    vouched = order_a | {"customerId": customer, "addonIds": []}
    assert (await post(service, QUOTE, vouched, **BACKEND))["currency"] == "jpy"
    asked = vouched | {"currency": "kwd"}
    assert (await post(service, QUOTE, asked, **BACKEND))["currency"] == "kwd"
    again = await post(service, CREATE_SESSION, vouched, **BACKEND)
    row = await service.row(
        "SELECT currency FROM subscriptions WHERE id::text = $1", again["subscriptionId"]
    )
    assert row["currency"] == "jpy"
    assert (await post(service, QUOTE, order_a))["currency"] == "usd", "a stranger is not them"


async def test_a_domain_is_checked_in_a_currency(service: Service) -> None:
    for currency, years in (("jpy", (2245, 2245)), ("kwd", (None, None))):
        answer = await service.client.get(
            "/api/public/domains/check", params={"name": "ada.net", "currency": currency}
        )
        shown = await answer.json()
        assert (shown["currency"], shown["firstYear"], shown["renewal"]) == (currency, *years)


async def test_stripe_has_one_coupon_for_each_sum(service: Service, gateway: StripeGateway) -> None:
    client = StripeCatalogue(gateway.client)
    for id_, amount, currency in (("FIVE", 500, "usd"), ("FIVE_jpy", 750, "jpy")):
        coupon = await client.find_coupon(id_)
        assert coupon is not None
        assert (coupon.amount_off, coupon.currency) == (amount, currency)
    assert await client.find_coupon("TEN_jpy") is None
    assert await find_drift(service.pool, client, livemode=False) == []
    await gateway.client.v1.coupons.delete_async("FIVE_kwd")
    with pytest.raises(stripe.InvalidRequestError):
        await gateway.client.v1.coupons.retrieve_async("FIVE_kwd")
    assert await find_drift(service.pool, client, livemode=False) == ["coupon FIVE_kwd is missing"]


async def test_after_a_trial_the_amount_in_its_currency_is_taken_off(
    service: Service, worker: InlineWorker, order_a: dict[str, Any]
) -> None:
    body = order_a | {"currency": "jpy", "couponCode": "FIVE", "planId": "tried"}
    quoted = await post(service, QUOTE, body | {"trialActive": True})
    await service.buy(body | {"trialActive": True})
    await worker.catch_up()
    await service.stripe.advance_time(await service.stripe.now() + 15 * 86_400)
    await worker.catch_up()
    paid = await service.pool.fetchval("SELECT max(amount_paid) FROM invoices")
    assert paid == quoted["dueAfterTrial"] == 1500 + 747 - 750


async def test_what_is_given_back_of_a_lost_name_can_be_paid(
    service: Service, worker: InlineWorker, order_a: dict[str, Any]
) -> None:
    """Its part of the discount, 399.9 fils, is no amount: 390 are."""
    dinars = {"currency": "kwd", "couponCode": "TEN"}
    mirror = await lose_a_name(service, worker, order_a | dinars)
    assert await give_back_lost(mirror) == 1
    await worker.catch_up()
    refunded = await service.pool.fetchval("SELECT sum(amount) FROM stripe_refunds")
    assert refunded == 3990 - 390
