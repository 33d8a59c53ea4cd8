"""The page at `/`: what is in the sandbox, and buttons that move its clocks."""

import re
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from tests.stripe_sandbox.conftest import DAY

SAME = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def visitor(sandbox) -> AsyncIterator[ClientSession]:
    async with ClientSession(sandbox.url) as session:
        yield session


async def read(visitor: ClientSession, path: str, status: int = 200) -> str:
    async with visitor.get(path) as response:
        assert response.status == status
        assert "script-src" not in response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        return await response.text()


async def press(visitor: ClientSession, path: str, **form: str) -> str:
    async with visitor.post(path, data=form, headers=SAME) as response:
        return await response.text()


def links(page: str) -> list[str]:
    return re.findall(r'href="/dashboard/objects/([^"]+)"', page)


async def test_it_shows_what_there_is_and_each_object_with_what_belongs_to_it(shop, visitor):
    subscription = await shop.buy("monthly")
    overview = await read(visitor, "/")
    assert 'href="/dashboard/subscriptions">Subscriptions</a>: 1' in overview
    assert "checkout.session.completed" in overview
    assert links(await read(visitor, "/dashboard/customers")) == [subscription.customer]
    listed = await read(visitor, "/dashboard/subscriptions")
    assert links(listed) == [subscription.id]
    assert "active" in listed
    customer = await read(visitor, f"/dashboard/objects/{subscription.customer}")
    [invoice] = await shop.invoices(subscription.id)
    assert {subscription.id, invoice.id} <= set(links(customer))
    shown = await read(visitor, f"/dashboard/objects/{invoice.id}")
    assert f'href="/i/{invoice.id}"' in shown
    assert "$10.00" in await read(visitor, "/dashboard/invoices")
    assert "POST /v1/checkout/sessions" in await read(visitor, "/dashboard/requests")


async def test_an_object_is_found_by_its_id(shop, visitor):
    found = await visitor.get(f"/dashboard/find?id= {shop.product} ")
    assert found.url.path == f"/dashboard/objects/{shop.product}"
    assert "&quot;Starter&quot;" in await found.text()
    assert "There is no prod_x." in await read(visitor, "/dashboard/find?id=prod_x", 404)
    await read(visitor, "/dashboard/objects/prod_x", 404)
    await read(visitor, "/dashboard/events?after=evt_x", 404)


async def test_lists_have_pages(api, driver, visitor):
    for number in range(30):
        await api.v1.customers.create_async({"name": str(number)})
    first = await read(visitor, "/dashboard/customers")
    assert len(links(first)) == 25
    older = re.search(r'href="(\?after=[^"]+)"', first)[1]
    second = await read(visitor, f"/dashboard/customers{older}")
    assert len(links(second)) == 5
    assert set(links(first)).isdisjoint(links(second))
    assert "Older" not in second


async def test_the_clock_moves_by_buttons(shop, visitor):
    subscription = await shop.buy("monthly")
    before = await shop.driver.now()
    for by, seconds in (("hour", 3600), ("day", DAY)):
        await press(visitor, "/dashboard/clock", by=by)
        assert 0 <= await shop.driver.now() - before - seconds < 60
        before = await shop.driver.now()
    end = subscription["items"].data[0].current_period_end
    await press(visitor, "/dashboard/clock", by="renewal")
    assert 0 <= await shop.driver.now() - end < 60
    assert len(await shop.invoices(subscription.id)) == 2
    await press(visitor, "/dashboard/clock", by="month")
    assert len(await shop.invoices(subscription.id)) == 3
    assert "by: has to be" in await press(visitor, "/dashboard/clock", by="year")


async def test_a_test_clock_moves_by_buttons_of_its_own(shop, visitor):
    clock, customer = await shop.clocked_customer()
    page = await press(visitor, "/dashboard/clock", test_clock=clock, by="renewal")
    assert "No subscription of this clock will renew." in page
    subscription = await shop.api.v1.subscriptions.create_async(
        {
            "customer": customer,
            "items": [{"price": shop.prices["monthly"]}],
            "collection_method": "send_invoice",
            "days_until_due": 5,
        }
    )
    own = await shop.driver.now()
    page = await press(visitor, "/dashboard/clock", test_clock=clock, by="renewal")
    assert "2026-02-01 00:00:00 UTC" in page
    assert customer in links(page)
    assert len(await shop.invoices(subscription.id)) == 2
    assert await shop.driver.now() - own < 60
    assert clock in links(await read(visitor, "/dashboard/clocks"))
    gone = await press(visitor, "/dashboard/clock", test_clock="clock_x", by="day")
    assert "No such test clock" in gone


async def test_an_event_shows_its_webhooks_and_sends_them_again(api, driver, receiver, visitor):
    await api.v1.customers.create_async({})
    await driver.wait_idle()
    [delivery] = await driver.deliveries()
    page = await read(visitor, f"/dashboard/objects/{delivery['event']}")
    assert receiver.url in page
    assert "delivered" in page
    assert "200" in page
    await press(visitor, f"/dashboard/deliveries/{delivery['id']}")
    await driver.wait_idle()
    assert receiver.types() == ["customer.created"] * 2
    event = await api.v1.events.retrieve_async(delivery["event"])
    assert event.pending_webhooks == 0
    await driver._call("POST", f"/_sandbox/deliveries/{delivery['id']}/resend")
    await driver.wait_idle()
    assert len(receiver.events) == 3
    assert "There is no such webhook." in await press(visitor, "/dashboard/deliveries/whd_x")


async def test_everything_is_escaped(api, driver, visitor):
    evil = "\"'><script>alert(1)</script>"
    made = await api.v1.customers.create_async({"name": evil, "email": "ada@example.com"})
    await api.v1.products.create_async({"id": "<b>", "name": evil})
    paths = ("/", "/dashboard/customers", f"/dashboard/objects/{made.id}", "/dashboard/requests")
    for path in (*paths, "/dashboard/objects/%3Cb%3E", "/dashboard/events"):
        page = await read(visitor, path)
        assert "<script" not in page, path
        assert "<b>" not in page, path
    assert "<script" not in await read(visitor, f"/dashboard/find?id={evil}", 404)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/dashboard/clock", "/_sandbox/clock", "/_sandbox/reset"])
async def test_a_page_of_another_site_changes_nothing(driver, visitor, headers, path):
    before = await driver.now()
    for body in ({"data": {"by": "month"}}, {"data": f'{{"advance_to": {before + DAY}}}'}):
        async with visitor.post(path, headers=headers, **body) as response:
            assert response.status == 403
    assert await driver.now() - before < 60


async def test_its_own_page_does(sandbox, driver, visitor):
    before = await driver.now()
    origin = {"Origin": sandbox.url, "Sec-Fetch-Site": "same-origin"}
    await visitor.post("/dashboard/clock", headers=origin, data={"by": "day"})
    assert await driver.now() - before >= DAY
