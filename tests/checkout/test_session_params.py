"""What Stripe is asked for, as a function of the purchase."""

import json
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.catalogue.order import Order
from mpanel_billing.catalogue.pricing import price_order
from mpanel_billing.checkout.buyer import Address, Buyer
from mpanel_billing.checkout.cart import read_domain
from mpanel_billing.checkout.page_texts import submit_message
from mpanel_billing.checkout.purchase import Purchase, fingerprint
from mpanel_billing.checkout.return_urls import ReturnUrls
from mpanel_billing.checkout.session_params import (
    CatalogueNotPushedError,
    PaymentTerms,
    customer_params,
    session_params,
)

ID = UUID("00000000-0000-4000-8000-000000000001")
CARDS = PaymentTerms(methods=("card",), adaptive_pricing=False)
DOMAIN = read_domain("bücher.com", "register", field="domain.value")
ORDER = Order("starter", "monthly", "usd")
WHOLE_ORDER = replace(
    ORDER,
    trial=True,
    addon_codes=("addon-cdn-basic", "addon-backups-daily"),
    domains=(DOMAIN, read_domain("b.org", "register", field="x")),
    coupon_code="WELCOME10",
)
BUYER = Buyer("ada@example.com", "Ada", phone="1" * 30, address=Address(city="London"))


def purchase_of(catalogue: Catalogue, order: Order) -> Purchase:
    urls = ReturnUrls("https://a.test/?s={CHECKOUT_SESSION_ID}", "https://a.test/")
    return Purchase(BUYER, order, price_order(catalogue, order), urls)


def params_of(catalogue: Catalogue, order: Order) -> dict[str, Any]:
    return session_params(purchase_of(catalogue, order), CARDS, ID, 2)


def test_a_plain_order(catalogue: Catalogue) -> None:
    metadata = {
        "subscriptionId": str(ID),
        "checkoutAttempt": "2",
        "planId": "starter",
        "billingCycle": "monthly",
        "trialActive": "false",
        "domainMode": "later",
        "productTypes": "hosting",
    }
    assert params_of(catalogue, ORDER) == {
        "mode": "subscription",
        "client_reference_id": str(ID),
        "line_items": [{"price": "price_starter_monthly_usd", "quantity": 1}],
        "metadata": metadata,
        "subscription_data": {"billing_mode": {"type": "flexible"}, "metadata": metadata},
        "success_url": "https://a.test/?s={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://a.test/",
        "after_expiration": {"recovery": {"enabled": True}},
        "adaptive_pricing": {"enabled": False},
        "allowed_payment_method_types": ["card"],
    }


def test_without_a_trial_everything_is_on_the_session(catalogue: Catalogue) -> None:
    params = params_of(catalogue, replace(WHOLE_ORDER, trial=False))
    assert [item["price"] for item in params["line_items"]] == [
        "price_starter_monthly_usd",
        "price_addon-cdn-basic_monthly_usd",
        "price_addon-backups-daily_monthly_usd",
        "price_domain-com_once_usd",
        "price_domain-org_once_usd",
    ]
    assert params["discounts"] == [{"coupon": "WELCOME10"}]


def test_under_a_trial_what_is_charged_once_waits(catalogue: Catalogue) -> None:
    params = params_of(catalogue, WHOLE_ORDER)
    assert [item["price"] for item in params["line_items"]] == [
        "price_starter_monthly_usd",
        "price_addon-cdn-basic_monthly_usd",
        "price_addon-backups-daily_monthly_usd",
    ]
    assert "discounts" not in params
    assert params["subscription_data"]["trial_period_days"] == 14
    assert params["payment_method_collection"] == "always"
    assert params["custom_text"]["submit"]["message"] == (
        "Nothing is charged today. When your 14-day trial ends, you pay $41.35, including "
        ".com domain, one year: bücher.com and .org domain, one year: b.org, "
        "with the discount Welcome: 10 % off. "
        "Each further year of bücher.com costs $12.99. Each further year of b.org costs $13.99."
    )


def test_what_is_charged_later_is_said_in_the_buyers_language(catalogue: Catalogue) -> None:
    purchase = replace(purchase_of(catalogue, WHOLE_ORDER), language="de")
    params = session_params(purchase, CARDS, ID, 2)
    assert params["custom_text"]["submit"]["message"] == (
        "Heute wird nichts abgebucht. Nach 14 Testtagen zahlen Sie 41,35 $, darin "
        ".com domain, one year: bücher.com und .org domain, one year: b.org, "
        "mit dem Rabatt Welcome: 10 % off. "
        "Jedes weitere Jahr von bücher.com kostet 12,99 $. "
        "Jedes weitere Jahr von b.org kostet 13,99 $."
    )
    assert fingerprint(purchase) == fingerprint(replace(purchase, language="en"))


def test_an_order_without_a_price_needs_no_card(catalogue: Catalogue) -> None:
    params = params_of(catalogue, Order("student", "monthly", "usd"))
    assert params["payment_method_collection"] == "if_required"


def test_an_order_without_a_price_asks_for_a_card_if_the_plan_says_so(
    catalogue: Catalogue,
) -> None:
    asking = tuple(
        replace(product, card_required=product.code == "student") for product in catalogue.products
    )
    careful = replace(catalogue, products=asking)
    params = params_of(careful, Order("student", "monthly", "usd"))
    assert params.get("payment_method_collection", "always") == "always"


def test_what_is_limited_cannot_be_brought_back_by_a_recovery_link(catalogue: Catalogue) -> None:
    counted = tuple(replace(coupon, max_redemptions=5) for coupon in catalogue.coupons)
    limited = replace(catalogue, coupons=counted)
    for wanted, kept in ((ORDER, True), (replace(ORDER, coupon_code="WELCOME10"), False)):
        params = params_of(limited, wanted)
        assert params["after_expiration"]["recovery"]["enabled"] is kept
    free = params_of(catalogue, Order("student", "monthly", "usd"))
    assert free["after_expiration"]["recovery"]["enabled"] is False


def test_the_metadata_keeps_within_stripes_limits(catalogue: Catalogue) -> None:
    many = tuple(
        read_domain(f"{'a' * 60}{number}.com", "register", field="x") for number in range(20)
    )
    metadata = params_of(catalogue, replace(WHOLE_ORDER, domains=many))["metadata"]
    assert len(metadata) <= 50
    assert all(len(key) <= 40 and len(value) <= 500 for key, value in metadata.items())
    assert "customerEmail" not in metadata


def test_the_message_keeps_within_stripes_limit(catalogue: Catalogue) -> None:
    many = tuple(
        read_domain(f"{'a' * 60}{number}.com", "register", field="x") for number in range(20)
    )
    params = params_of(catalogue, replace(WHOLE_ORDER, domains=many))
    message = params["custom_text"]["submit"]["message"]
    assert "including 20 one-time charges" in message
    assert len(message) <= 1200


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("letters", range(20, 60))
def test_however_long_the_names_are_the_whole_message_fits(
    catalogue: Catalogue, letters: int, language: str
) -> None:
    many = tuple(
        read_domain(f"{'a' * letters}{number}.com", "register", field="x") for number in range(12)
    )
    for trial in (True, False):
        purchase = purchase_of(catalogue, replace(WHOLE_ORDER, domains=many, trial=trial))
        message = submit_message(replace(purchase, language=language))
        assert len(message) <= 1200
        assert ("further year" in message) or ("weitere Jahr" in message)


def test_the_params_are_plain_json(catalogue: Catalogue) -> None:
    params = params_of(catalogue, WHOLE_ORDER)
    assert json.loads(json.dumps(params)) == params


def test_the_customer_has_the_fields_that_stripe_accepts(catalogue: Catalogue) -> None:
    assert customer_params(BUYER, ID, ID) == {
        "email": "ada@example.com",
        "name": "Ada",
        "address": {"city": "London"},
        "metadata": {"subscriptionId": str(ID), "customerId": str(ID)},
    }


def test_what_is_missing_at_stripe_is_named(catalogue: Catalogue) -> None:
    products = tuple(
        replace(
            product, prices=tuple(replace(price, stripe_price_id=None) for price in product.prices)
        )
        if product.kind == "domain"
        else product
        for product in catalogue.products
    )
    with pytest.raises(CatalogueNotPushedError) as refused:
        params_of(replace(catalogue, products=products), WHOLE_ORDER)
    assert refused.value.missing == "domain-com_once_usd"


def test_the_same_order_in_another_sequence_has_the_same_fingerprint(catalogue: Catalogue) -> None:
    first = purchase_of(catalogue, WHOLE_ORDER)
    shuffled = replace(WHOLE_ORDER, addon_codes=tuple(reversed(WHOLE_ORDER.addon_codes)))
    shouting = replace(BUYER, email="ADA@example.com")
    second = replace(purchase_of(catalogue, shuffled), buyer=shouting)
    assert fingerprint(first) == fingerprint(second)


@pytest.mark.parametrize(
    "guessed",
    [
        {"buyer": replace(BUYER, name="Someone Else")},
        {"buyer": replace(BUYER, phone=None)},
        {"buyer": replace(BUYER, company="Other")},
        {"buyer": replace(BUYER, address=Address(city="Leeds"))},
        {
            "return_urls": ReturnUrls(
                "http://panel.test/{CHECKOUT_SESSION_ID}", "http://panel.test/"
            )
        },
    ],
    ids=lambda guessed: next(iter(guessed)),
)
def test_an_order_with_other_details_has_another_fingerprint(
    catalogue: Catalogue, guessed: dict[str, Any]
) -> None:
    known = purchase_of(catalogue, WHOLE_ORDER)
    assert fingerprint(known) != fingerprint(replace(known, **guessed))


@pytest.mark.parametrize(
    "change",
    [
        {"plan_code": "premium", "trial": False},
        {"billing_cycle": "annually"},
        {"trial": False},
        {"addon_codes": ()},
        {"domains": (DOMAIN,)},
        {"coupon_code": None},
    ],
)
def test_another_order_has_another_fingerprint(
    catalogue: Catalogue, change: dict[str, Any]
) -> None:
    first = purchase_of(catalogue, WHOLE_ORDER)
    other = purchase_of(catalogue, replace(WHOLE_ORDER, **change))
    assert fingerprint(first) != fingerprint(other)
