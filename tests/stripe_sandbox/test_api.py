"""The API's manners: keys, params, errors, lists, expansion, idempotency, faults."""

import asyncio

import pytest
import stripe
from aiohttp import ClientSession

from tests.stripe_sandbox.conftest import connect, disconnect

AUTH = {"Authorization": "Bearer sk_test_x"}


async def post(url: str, form: dict[str, str], **headers: str):
    async with (
        ClientSession() as session,
        session.post(url, data=form, headers={**AUTH, **headers}) as answer,
    ):
        return answer.status, dict(answer.headers), await answer.json()


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "You did not provide an API key."),
        ("Bearer ", "You did not provide an API key."),
        ("Bearer nonsense", "Invalid API Key provided."),
        ("Bearer sk_live_abc", "A live mode key was given"),
        ("Basic !!!", "You did not provide an API key."),
    ],
)
async def test_a_key_that_is_not_a_test_key_is_refused_and_never_repeated(sandbox, header, message):
    headers = {"Authorization": header} if header else {}
    async with (
        ClientSession() as session,
        session.get(f"{sandbox.url}/v1/account", headers=headers) as answer,
    ):
        body = await answer.json()
    assert answer.status == 401
    assert body["error"]["message"].startswith(message)
    assert "sk_live_abc" not in body["error"]["message"]


async def test_a_key_may_be_given_by_basic_auth(sandbox):
    headers = {"Authorization": "Basic c2tfdGVzdF94Og=="}  # sk_test_x:
    async with (
        ClientSession() as session,
        session.get(f"{sandbox.url}/v1/account", headers=headers) as answer,
    ):
        assert answer.status == 200
        assert answer.headers["Request-Id"].startswith("req_")
        assert answer.headers["Stripe-Version"] == "2026-10-28.endive"
        assert "Date" in answer.headers


async def test_a_key_is_tried_with_the_account_and_the_balance(shop):
    account = await shop.api.v1.accounts.retrieve_current_async()
    assert account.id.startswith("acct_")
    assert (await shop.api.v1.balance.retrieve_async()).pending[0].amount == 0
    await shop.buy()
    assert (await shop.api.v1.balance.retrieve_async()).pending[0].amount == 941


@pytest.mark.parametrize(
    ("path", "form", "code", "param"),
    [
        ("customers", {"colour": "red"}, "parameter_unknown", "colour"),
        ("customers", {"address[moon]": "x"}, "parameter_unknown", "address[moon]"),
        ("customers", {"address": "x"}, None, "address"),
        ("customers", {"balance": "much"}, "parameter_invalid_integer", "balance"),
        ("customers", {"email": "nobody"}, "email_invalid", "email"),
        ("customers", {"test_clock": "clock_none"}, "resource_missing", "test_clock"),
        ("customers", {"metadata[a]": "x" * 501}, None, "metadata[a]"),
        ("customers", {"metadata[" + "k" * 41 + "]": "x"}, None, "metadata[" + "k" * 41 + "]"),
        ("products", {}, "parameter_missing", "name"),
        ("products", {"name": ""}, "parameter_invalid_empty", "name"),
        ("products", {"name": "x", "active": "maybe"}, None, "active"),
        ("prices", {"unit_amount": "1"}, "parameter_missing", "currency"),
        ("prices", {"currency": "usd", "unit_amount": "1"}, "parameter_missing", "product"),
        ("prices", {"currency": "usd", "recurring[interval]": "moon"}, None, "recurring[interval]"),
        ("prices", {"currency": "usd", "recurring[x]": "1"}, "parameter_unknown", "recurring[x]"),
        ("coupons", {"percent_off": "101"}, None, "percent_off"),
        ("coupons", {"percent_off": "ten"}, None, "percent_off"),
        ("coupons", {"amount_off": "5"}, "parameter_missing", "currency"),
        ("coupons", {"percent_off": "5", "duration": "repeating"}, None, "duration_in_months"),
        ("checkout/sessions", {"mode": "free"}, None, "mode"),
        ("checkout/sessions", {"line_items[0][price][x]": "p"}, None, "line_items[0][price]"),
        ("checkout/sessions", {"line_items": "p"}, None, "line_items"),
        ("webhook_endpoints", {"url": "x", "enabled_events[]": "*"}, "url_invalid", "url"),
        (
            "webhook_endpoints",
            {"url": "http://x", "enabled_events[]": "y"},
            None,
            "enabled_events[0]",
        ),
    ],
)
async def test_what_stripe_would_not_accept_is_refused_by_name(sandbox, path, form, code, param):
    status, _, body = await post(f"{sandbox.url}/v1/{path}", form)
    assert status == 400
    assert body["error"]["type"] == "invalid_request_error"
    assert body["error"]["param"] == param
    assert body["error"].get("code") == code
    assert body["error"]["message"]


async def test_an_unknown_address_or_object_is_not_found(sandbox):
    status, _, body = await post(f"{sandbox.url}/v1/unicorns", {})
    assert (status, body["error"]["message"]) == (
        404,
        "Unrecognized request URL (POST: /v1/unicorns).",
    )
    status, _, body = await post(f"{sandbox.url}/v1/customers/cus_none", {})
    assert (status, body["error"]["code"]) == (404, "resource_missing")
    assert body["error"]["message"] == "No such customer: 'cus_none'"


async def test_a_list_is_cut_into_pages(shop):
    made = [(await shop.api.v1.customers.create_async({"name": str(n)})).id for n in range(5)]
    newest_first = list(reversed(made))
    listed = shop.api.v1.customers.list_async

    first = await listed({"limit": 2})
    assert ([c.id for c in first.data], first.has_more) == (newest_first[:2], True)
    rest = await listed({"limit": 3, "starting_after": newest_first[1]})
    assert ([c.id for c in rest.data], rest.has_more) == (newest_first[2:], False)
    back = await listed({"limit": 1, "ending_before": newest_first[2]})
    assert ([c.id for c in back.data], back.has_more) == (newest_first[1:2], True)
    everyone = [c.id async for c in (await listed({"limit": 2})).auto_paging_iter()]
    assert everyone == newest_first
    for wrong in ({"limit": 0}, {"limit": 101}, {"starting_after": "cus_none"}):
        with pytest.raises(stripe.InvalidRequestError):
            await listed(wrong)


async def test_lists_are_filtered(shop):
    by_key = await shop.api.v1.prices.list_async({"lookup_keys": ["yearly", "domain"]})
    assert {p.id for p in by_key.data} == {shop.prices["yearly"], shop.prices["domain"]}
    recurring = await shop.api.v1.prices.list_async({"type": "recurring", "active": True})
    assert len(recurring.data) == 3
    ada = await shop.api.v1.customers.create_async({"email": "ada@example.com"})
    by_email = await shop.api.v1.customers.list_async({"email": "ada@example.com"})
    assert [c.id for c in by_email.data] == [ada.id]
    assert (await shop.api.v1.customers.list_async({"created": {"lt": ada.created}})).data == []
    events = await shop.api.v1.events.list_async({"types": ["price.created"], "limit": 100})
    assert len(events.data) == 4
    wild = await shop.api.v1.events.list_async({"type": "price.*", "limit": 100})
    assert len(wild.data) == 4
    assert (await shop.api.v1.events.retrieve_async(events.data[0].id)).type == "price.created"


async def test_references_are_expanded_also_in_lists_and_refused_if_there_are_none(shop):
    page = await shop.api.v1.prices.list_async({"expand": ["data.product"]})
    assert all(price.product.name == "Starter" for price in page.data)
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        await shop.api.v1.prices.list_async({"expand": ["data.colour"]})
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        await shop.api.v1.prices.retrieve_async(shop.prices["domain"], {"expand": ["currency.x"]})
    with pytest.raises(stripe.InvalidRequestError, match="more than 4 levels"):
        await shop.api.v1.prices.list_async({"expand": ["data.a.b.c.d.e"]})


async def test_prices_do_not_change_but_their_lookup_keys_move(shop):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.api.v1.prices.update_async(shop.prices["monthly"], {"unit_amount": 1})
    assert refused.value.code == "parameter_unknown"

    dearer = {
        "currency": "usd",
        "product": shop.product,
        "unit_amount": 1200,
        "recurring": {"interval": "month"},
        "lookup_key": "monthly",
    }
    with pytest.raises(stripe.InvalidRequestError, match="already uses that lookup key"):
        await shop.api.v1.prices.create_async(dearer)
    taken = await shop.api.v1.prices.create_async(dearer | {"transfer_lookup_key": True})
    assert taken.lookup_key == "monthly"
    before = await shop.api.v1.prices.retrieve_async(shop.prices["monthly"])
    assert before.lookup_key is None
    recurring = {"interval": "year", "interval_count": 4}
    with pytest.raises(stripe.InvalidRequestError, match="three years"):
        await shop.api.v1.prices.create_async(
            {"currency": "usd", "product": shop.product, "unit_amount": 1, "recurring": recurring}
        )


async def test_an_emptied_param_is_unset(shop):
    customer = await shop.api.v1.customers.create_async(
        {"name": "Ada", "metadata": {"a": "1", "b": "2"}}
    )
    update = shop.api.v1.customers.update_async
    assert (await update(customer.id, {"name": ""})).name is None
    assert dict((await update(customer.id, {"metadata": {"a": ""}})).metadata._data) == {"b": "2"}
    assert dict((await update(customer.id, {"metadata": ""})).metadata._data) == {}


async def test_products_coupons_and_codes_are_kept_changed_and_deleted(shop):
    v1 = shop.api.v1
    product = await v1.products.create_async({"id": "prod_own", "name": "Own"})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await v1.products.create_async({"id": "prod_own", "name": "Own"})
    assert refused.value.code == "resource_already_exists"
    renamed = await v1.products.update_async(product.id, {"name": "Owned", "metadata": {"k": "v"}})
    assert renamed.name == "Owned"
    assert (await v1.products.list_async({"ids": ["prod_own"]})).data[0].name == "Owned"
    assert (await v1.products.delete_async(product.id)).deleted is True
    with pytest.raises(stripe.InvalidRequestError, match="cannot be deleted"):
        await v1.products.delete_async(shop.product)

    coupon = await v1.coupons.create_async({"id": "TWO", "percent_off": 2.5, "max_redemptions": 1})
    assert (coupon.percent_off, coupon.valid) == (2.5, True)
    code = await v1.promotion_codes.create_async({"promotion": {"type": "coupon", "coupon": "TWO"}})
    assert (await v1.promotion_codes.list_async({"code": code.code.lower()})).data[0].id == code.id
    await v1.promotion_codes.update_async(code.id, {"active": False})
    with pytest.raises(stripe.InvalidRequestError, match="no longer active"):
        await shop.open(discounts=[{"promotion_code": code.id}])
    await shop.buy(discounts=[{"coupon": "TWO"}])
    assert (await v1.coupons.retrieve_async("TWO")).valid is False
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.open(discounts=[{"coupon": "TWO"}])
    assert refused.value.code == "coupon_expired"
    await v1.coupons.delete_async("TWO")
    assert (await v1.coupons.list_async()).data == []


async def test_cards_are_saved_listed_and_removed(shop):
    v1 = shop.api.v1
    customer = await v1.customers.create_async({"email": "ada@example.com"})
    card = await v1.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})
    with pytest.raises(stripe.CardError):
        await v1.payment_methods.attach_async(
            "pm_card_visa_chargeDeclined", {"customer": customer.id}
        )
    await v1.customers.update_async(
        customer.id, {"invoice_settings": {"default_payment_method": card.id}}
    )
    listed = await v1.customers.payment_methods.list_async(customer.id)
    assert [one.id for one in listed.data] == [card.id]
    detached = await v1.payment_methods.detach_async(card.id)
    assert detached.customer is None
    assert (await v1.payment_methods.retrieve_async(card.id)).card.brand == "visa"


async def test_the_first_response_for_a_key_is_returned_again(sandbox):
    url, form = f"{sandbox.url}/v1/customers", {"name": "Ada"}
    _, first_headers, first = await post(url, form, **{"Idempotency-Key": "k1"})
    status, headers, again = await post(url, form, **{"Idempotency-Key": "k1"})
    assert (status, again) == (200, first)
    assert headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first_headers


async def test_a_key_with_other_params_is_refused(sandbox):
    url = f"{sandbox.url}/v1/customers"
    await post(url, {"name": "Ada"}, **{"Idempotency-Key": "k1"})
    status, _, body = await post(url, {"name": "Grace"}, **{"Idempotency-Key": "k1"})
    assert (status, body["error"]["type"]) == (400, "idempotency_error")


async def test_an_error_is_kept_for_its_key_but_a_malformed_request_is_not(sandbox, driver):
    url, key = f"{sandbox.url}/v1/customers", {"Idempotency-Key": "k1"}
    status, _, _ = await post(url, {"colour": "red"}, **key)
    assert status == 400
    await driver.inject_fault(status=500, path="/v1/customers")
    status, _, first = await post(url, {"name": "Ada"}, **key)
    assert status == 500
    status, _, again = await post(url, {"name": "Ada"}, **key)
    assert (status, again) == (500, first)
    status, _, _ = await post(url, {"name": "Ada"}, **{"Idempotency-Key": "k2"})
    assert status == 200


async def test_a_key_in_flight_is_refused(sandbox, driver):
    url, key = f"{sandbox.url}/v1/customers", {"Idempotency-Key": "k1"}
    await driver.inject_fault("hang", seconds=1, path="/v1/customers")
    answers = await asyncio.gather(*(post(url, {"name": "Ada"}, **key) for _ in range(2)))
    done, refused = sorted(answers, key=lambda answer: answer[0])
    assert done[0] == 200
    assert (refused[0], refused[2]["error"]["code"]) == (409, "idempotency_key_in_use")


async def test_a_rate_limit_sends_retry_after(sandbox, driver):
    await driver.inject_fault(status=429, retry_after=7, path="/v1/customers")
    status, headers, body = await post(f"{sandbox.url}/v1/customers", {})
    assert (status, headers["Retry-After"], body["error"]["code"]) == (429, "7", "rate_limit")


async def test_a_lost_response_is_found_again_by_its_key(sandbox, driver):
    await driver.inject_fault("reset", after_work=True, path="/v1/customers", method="POST")
    client = await connect(sandbox.url, retries=2)
    customer = await client.v1.customers.create_async({"name": "Ada"})
    listed = await client.v1.customers.list_async()
    assert [one.id for one in listed.data] == [customer.id]
    await disconnect(client)


async def test_a_cut_connection_before_the_work_does_nothing(sandbox, driver):
    await driver.inject_fault("reset", path="/v1/customers", times=1)
    client = await connect(sandbox.url)
    with pytest.raises(stripe.APIConnectionError):
        await client.v1.customers.create_async({"name": "Ada"})
    assert (await client.v1.customers.list_async()).data == []
    await disconnect(client)


async def test_reset_forgets_everything(shop):
    await shop.driver.reset()
    assert (await shop.api.v1.products.list_async()).data == []
    assert await shop.driver.deliveries() == []


async def test_an_unknown_switch_is_refused(sandbox):
    async with (
        ClientSession() as session,
        session.post(f"{sandbox.url}/_sandbox/delivery", json={"explode": True}) as answer,
    ):
        assert answer.status == 400
        assert "explode" in await answer.text()
