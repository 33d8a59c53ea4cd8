"""Coupons: who has had them, and what a subscription gets or loses."""

import pytest

from mpanel_billing.stripe_gateway.gateway import StripeGateway
from tests.console.conftest import Console, Ids
from tests.console.test_pages import audited


@pytest.fixture
def page(ids: Ids) -> str:
    return f"/console/subscriptions/{ids.subscription}"


async def test_a_coupon_is_applied_as_shown_and_taken_off_again(
    console: Console, ids: Ids, page: str
) -> None:
    listed = await console.open("/console/coupons")
    assert "WELCOME10" in listed.text
    assert "10 % once" in listed.text
    nobody = await console.open("/console/coupons/code?code=welcome10")
    assert "Nobody yet." in nobody.text
    shown = await console.open(f"{page}/coupon?code=welcome10")
    assert "The next invoice comes to $11.68 instead of $12.98." in shown.text
    key = shown.field("key")
    for _ in range(2):
        done = await console.post(f"{page}/coupon", shown, code="WELCOME10", key=key)
        assert done.headers["Location"] == f"{page}?done=coupon_applied"
    await console.service.stripe.wait_idle()
    has = await console.open(page)
    assert "Welcome: 10 % off 10 % · WELCOME10" in has.text
    had = await console.open("/console/coupons/code?code=WELCOME10")
    assert "ada@example.com was given it" in had.text
    again = await console.open(f"{page}/coupon?code=WELCOME10")
    assert (again.status, "not valid for this" in again.text) == (409, True)
    removal = f"{page}/remove-coupon"
    off = await console.open(f"{removal}?coupon=WELCOME10")
    assert "The next invoice comes to $12.98 instead of $11.68." in off.text
    gone = await console.post(removal, off, coupon="WELCOME10", key=off.field("key"))
    assert gone.headers["Location"] == f"{page}?done=coupon_removed"
    await console.service.stripe.wait_idle()
    assert "WELCOME10" not in (await console.open(page)).text
    for action in ("subscription.apply_coupon", "subscription.remove_coupon"):
        assert ("ada.lovelace", ids.subscription, "done") in await audited(console.service, action)


async def test_a_code_that_takes_off_something_else_by_now_is_shown_again(
    console: Console, gateway: StripeGateway, page: str
) -> None:
    shown = await console.open(f"{page}/coupon?code=welcome10")
    await gateway.client.v1.coupons.create_async({"id": "W50", "percent_off": 50.0})
    await console.service.pool.execute(
        "UPDATE coupons SET percent_off = 50, stripe_coupon_id = 'W50' WHERE code = 'WELCOME10'"
    )
    refused = await console.post(f"{page}/coupon", shown)
    assert (refused.status, "The preview is outdated" in refused.text) == (409, True)
    assert "comes to $6.49 instead of $12.98." in refused.text
    assert (await console.post(f"{page}/coupon", refused)).status == 303


async def test_what_is_no_coupon_is_said(console: Console, page: str) -> None:
    shown = await console.open(f"{page}/coupon?code=nothing")
    assert (shown.status, "NOTHING is not valid for this" in shown.text) == (409, True)
    assert "form.confirm" not in shown.html
    assert 'class="confirm"' not in shown.html
    refused = await console.post(f"{page}/coupon", shown, code="nothing", key="k")
    assert refused.status == 409
    assert (await console.open("/console/coupons/code?code=nothing")).status == 404
    not_there = await console.open(f"{page}/remove-coupon?coupon=WELCOME10")
    assert (not_there.status, "has no discount from this" in not_there.text) == (409, True)
