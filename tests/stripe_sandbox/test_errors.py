"""Errors as Stripe words them: status, code, param, sentence."""

import pytest
import stripe
from aiohttp import ClientSession

AUTH = {"Authorization": "Bearer sk_test_x"}


async def fetch(sandbox, path):
    async with (
        ClientSession(headers=AUTH) as browser,
        browser.get(f"{sandbox.url}/v1/{path}") as answer,
    ):
        return answer.status, answer.headers["Request-Id"], (await answer.json())["error"]


@pytest.mark.parametrize(
    ("path", "message", "param"),
    [
        ("customers/cus_x", "No such customer: 'cus_x'", "id"),
        ("payment_intents/pi_x", "No such payment_intent: 'pi_x'", "intent"),
        ("payment_methods/pm_x", "No such PaymentMethod: 'pm_x'", "payment_method"),
        ("promotion_codes/promo_x", "No such promotion code: 'promo_x'", "id"),
    ],
)
async def test_a_missing_object_is_named_as_stripe_names_it(sandbox, path, message, param):
    status, request, error = await fetch(sandbox, path)
    assert (status, error["code"]) == (404, "resource_missing")
    assert (error["message"], error["param"]) == (message, param)
    assert f"/logs/{request}?t=" in error["request_log_url"]


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ("0", "This value must be greater than or equal to 1."),
        ("101", "This value must be less than or equal to 100 (it currently is '101')."),
    ],
)
async def test_a_limit_is_refused_in_stripes_words(sandbox, limit, sentence):
    status, _, error = await fetch(sandbox, f"customers?limit={limit}")
    assert (status, error["code"], error["param"]) == (400, "parameter_invalid_integer", "limit")
    assert error["message"] == sentence


async def test_choices_are_listed_with_or(api):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.v1.coupons.create_async({"percent_off": 5, "duration": "never"})
    assert "Invalid duration: must be one of forever, once, or repeating" in str(refused.value)


async def test_search_is_not_mistaken_for_an_id(sandbox):
    status, _, error = await fetch(sandbox, "coupons/search?query=x")
    assert status == 404
    assert error["message"] == "Unrecognized request URL (GET: /v1/coupons/search)."


async def test_a_preview_with_nothing_to_come_is_404(shop):
    subscription = await shop.buy()
    await shop.api.v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.api.v1.invoices.create_preview_async({"subscription": subscription.id})
    assert (refused.value.http_status, refused.value.code) == (404, "invoice_upcoming_none")
    assert f"No upcoming invoices for customer: {subscription.customer}" in str(refused.value)


async def test_a_refund_names_amounts_as_people_write_them(shop):
    await shop.buy()
    [charge] = (await shop.api.v1.charges.list_async()).data
    with pytest.raises(stripe.InvalidRequestError, match="amount") as refused:
        await shop.api.v1.refunds.create_async({"charge": charge.id, "amount": 1001})
    sentence = "Refund amount ($10.01) is greater than unrefunded amount on charge ($10.00)"
    assert sentence in str(refused.value)
