"""What an order would cost and whether its domains can be had, without placing it."""

from typing import Any

import pytest

from mpanel_billing.catalogue.file import parse_catalogue
from mpanel_billing.catalogue.push import push_catalogue
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.resources import DEFAULT_CATALOGUE
from mpanel_billing.settings import Settings
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from tests.service import CREATE_SESSION, Service, make_settings

QUOTE = "/api/checkout/quote"
CHECK = "/api/public/domains/check"
KEY = "b" * 32
BACKEND = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return make_settings(
        database_url=settings.database_url.get_secret_value(),
        stripe_api_base=str(settings.stripe_api_base),
        billing_api_keys=KEY,
    )


def of(name: str, mode: str = "register") -> dict[str, Any]:
    return {"domain": {"mode": mode, "value": name}}


async def quote(service: Service, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    answer = await service.client.post(QUOTE, json=body, headers=headers)
    content: dict[str, Any] = await answer.json()
    return {"status": answer.status} | content


async def edit_catalogue(service: Service, gateway: StripeGateway, old: str, new: str) -> None:
    """Sell what the shipped catalogue has, with another text at one place."""
    text = DEFAULT_CATALOGUE.read_text(encoding="utf-8")
    assert text.count(old) == 1
    edited = parse_catalogue(text.replace(old, new))
    await apply_catalogue(service.pool, edited)
    await push_catalogue(service.pool, StripeCatalogue(gateway.client), livemode=False)


async def test_a_quote_is_what_would_be_charged_and_records_nothing(
    service: Service, order_a: dict[str, Any]
) -> None:
    trial = {"trialActive": True, "couponCode": "WELCOME10"}
    quoted = await quote(service, order_a | trial | of("ada.com"))
    assert quoted["status"] == 200
    assert (quoted["dueToday"], quoted["dueAfterTrial"], quoted["discount"]) == (0, 2337, 260)
    assert sum(line["amount"] for line in quoted["lines"]) - quoted["discount"] == 2337
    for table in ("customers", "subscriptions", "orders", "billing_domains"):
        assert await service.pool.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_a_quote_takes_what_create_session_takes_and_also_less(
    service: Service, order_a: dict[str, Any]
) -> None:
    cart = [
        {
            "id": "hosting:starter:annually",
            "type": "hosting",
            "plan": "starter",
            "term": "annually",
        },
        {"id": "domain-ada.com", "type": "domain", "domain": "ada.com", "quantity": 1},
    ]
    order_b = {"planId": "starter", "billingCycle": "yearly", "cartItems": cart}
    for body in (order_a, order_b | {"customer": order_a["customer"]}):
        asked = {key: value for key, value in body.items() if key != "customer"}
        assert await quote(service, asked) == await quote(service, body)
        assert (await quote(service, body))["status"] == 200


async def test_a_domain_is_quoted_with_what_further_years_cost(
    service: Service, gateway: StripeGateway, order_a: dict[str, Any]
) -> None:
    await edit_catalogue(
        service,
        gateway,
        "price = 1299\n\n[[domains]]",
        "price = 1299\nrenewal_price = 1799\nredemption_price = 9000\ntransfer_price = 999\n\n"
        "[[domains]]",
    )
    [domain] = (await quote(service, order_a | of("bücher.com")))["domains"]
    assert domain == {
        "name": "xn--bcher-kva.com",
        "unicodeName": "bücher.com",
        "mode": "register",
        "availability": "unknown",
        "firstYear": 1299,
        "renewal": 1799,
        "redemption": 9000,
    }
    [moved] = (await quote(service, order_a | of("ada.com", "transfer")))["domains"]
    assert (moved["firstYear"], moved["renewal"]) == (999, 1799)
    yearly = {"planId": "premium", "billingCycle": "annually", "addonIds": []}
    [free] = (await quote(service, order_a | yearly | of("ada.com")))["domains"]
    assert (free["firstYear"], free["renewal"]) == (0, 1799)

    await service.order(order_a | of("ada.com", "transfer"))
    params = await service.pool.fetchval("SELECT params -> 'session' FROM checkout_sessions")
    assert (
        "Each further year of ada.com costs $17.99." in params["custom_text"]["submit"]["message"]
    )
    charged = await service.pool.fetchval("SELECT amount FROM subscription_charges")
    assert charged == 999


async def test_a_quote_says_what_is_taken_and_whose_it_is_to_nobody(
    service: Service, order_a: dict[str, Any]
) -> None:
    bought = await service.buy(order_a | of("ada.com"))
    for name in ("ada.com", "www.ada.com", "\u0430da.com", "gmail.com"):
        [domain] = (await quote(service, order_a | of(name, "existing")))["domains"]
        assert domain["availability"] == "taken", name
    [other] = (await quote(service, order_a | of("grace.com", "existing")))["domains"]
    assert (other["availability"], other["renewal"]) == ("available", None)

    customer = await service.pool.fetchval(
        "SELECT customer_id::text FROM subscriptions WHERE id::text = $1", bought["subscriptionId"]
    )
    own = order_a | of("www.ada.com", "existing") | {"customerId": customer}
    assert (await quote(service, own))["code"] == "unauthenticated"
    [domain] = (await quote(service, own, **BACKEND))["domains"]
    assert domain["availability"] == "available"


async def test_unknown_expired_and_used_up_coupons_read_the_same(
    service: Service, order_a: dict[str, Any]
) -> None:
    await service.pool.execute("UPDATE coupons SET max_redemptions = 1 WHERE code = 'WELCOME10'")
    await service.pool.execute(
        "INSERT INTO coupons (code, name, percent_off, duration, expires_at)"
        " VALUES ('GONE', 'Gone', 10, 'once', now() - interval '1 day')"
    )
    assert (await quote(service, order_a | {"couponCode": "WELCOME10"}))["status"] == 200
    await service.order(order_a | {"couponCode": "WELCOME10"})
    await service.pool.execute(
        "UPDATE coupons SET minimum_amount = 99999, currency = 'usd' WHERE code = 'WELCOME10'"
    )

    read = set()
    for code in ("WELCOME10", "GONE", "NEVER-THERE"):
        refused = await quote(service, order_a | {"couponCode": code})
        assert refused["status"] == 422
        read.add((refused["code"], refused["error"].replace(code, "..."), str(refused["fields"])))
    assert len(read) == 1


async def test_a_name_is_checked_before_anything_is_ordered(
    service: Service, order_a: dict[str, Any]
) -> None:
    async def check(name: str) -> dict[str, Any]:
        answer = await service.client.get(CHECK, params={"name": name})
        content: dict[str, Any] = await answer.json()
        return {"status": answer.status} | content

    free = await check(" ADA.com. ")
    assert (free["name"], free["availability"]) == ("ada.com", "unknown")
    assert (free["firstYear"], free["transfer"], free["renewal"]) == (1299, 1299, 1299)
    assert free["redemption"] is None
    await service.buy(order_a | of("ada.com"))
    assert (await check("ada.com"))["availability"] == "taken"
    unsold = await check("ada.de")
    assert (unsold["availability"], unsold["firstYear"]) == ("unknown", None)
    assert (await check("no domain"))["code"] == "invalid_domain"
    assert (await check("ada.unheard"))["availability"] == "taken"


async def test_quotes_and_checks_are_limited_like_other_look_ups(
    service: Service, order_a: dict[str, Any]
) -> None:
    answer = await service.client.get("/openapi.json")
    paths = (await answer.json())["paths"]
    assert "429" in paths[QUOTE]["post"]["responses"]
    assert "429" in paths[CHECK]["get"]["responses"]
    assert CREATE_SESSION in paths


@pytest.fixture
def few_codes(settings: Settings) -> Settings:
    return settings.model_copy(update={"rate_limit_wrong_codes": "3/hour"})


class TestGuessing:
    """Codes that are not valid are counted for each client, in quotes and orders together."""

    @pytest.fixture
    def settings(self, few_codes: Settings) -> Settings:
        return few_codes

    async def test_who_tries_codes_learns_nothing_more(
        self, service: Service, order_a: dict[str, Any]
    ) -> None:
        wrong, right = order_a | {"couponCode": "GUESS1"}, order_a | {"couponCode": "WELCOME10"}
        assert (await quote(service, wrong))["code"] == "unknown_coupon"
        assert (await quote(service, right))["status"] == 200
        assert (await quote(service, wrong))["code"] == "unknown_coupon"
        ordered = await service.client.post(CREATE_SESSION, json=wrong)
        assert (ordered.status, (await ordered.json())["code"]) == (422, "unknown_coupon")
        for body in (wrong, right):
            assert (await quote(service, body))["code"] == "rate_limited"
        plain = {key: value for key, value in order_a.items() if key != "couponCode"}
        assert (await quote(service, plain))["status"] == 200
        assert (await quote(service, right, **BACKEND))["status"] == 200
