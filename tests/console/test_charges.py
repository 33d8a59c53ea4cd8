"""What waits for the next invoice is withdrawn; who wants to cancel is given what is offered."""

import pytest

from mpanel_billing.catalogue.push import push_catalogue
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from tests.console.conftest import Console, Ids, signed_in
from tests.console.test_pages import audited

GERMAN = {"Accept-Language": "de"}


async def test_a_charge_is_taken_off_the_next_invoice(console: Console, ids: Ids) -> None:
    page = f"/console/subscriptions/{ids.subscription}"
    asked = {"description": "Migration of the shop", "amount": "49.00"}
    shown = await console.open(f"{page}/charge?description=Migration+of+the+shop&amount=49.00")
    await console.post(f"{page}/charge", shown, key=shown.field("key"), **asked)
    listed = await console.open(f"{page}/charge")
    assert "Migration of the shop $49.00" in listed.text
    [path] = [link for link in listed.links if link.endswith("/withdraw-charge")]
    found = listed.html.partition("/withdraw-charge?charge=")[2].partition('"')[0]
    reader = await signed_in(console.service, "admin:read", "billing:read", "billing:any-customer")
    assert (await reader.open(f"{path}?charge={found}")).status == 403
    shown = await console.open(f"{path}?charge={found}")
    assert "Migration of the shop: $49.00 are not charged with the next invoice." in shown.text
    fields = {name: shown.field(name) for name in ("key", "charge")}
    for _ in range(2):  # sent twice, it is done once
        done = await console.post(path, shown, reason="a mistake", **fields)
        assert done.headers["Location"] == f"{page}?done=charge_withdrawn"
    assert await audited(console.service, "subscription.withdraw_charge") == [
        ("ada.lovelace", ids.subscription, "done")
    ]
    assert "Migration" not in (await console.open(f"{page}/charge")).text
    gone = await console.open(f"{path}?charge={found}", **GERMAN)
    assert (gone.status, "wartet nicht auf die nächste Rechnung" in gone.text) == (404, True)


@pytest.fixture
async def offered(console: Console, gateway: StripeGateway) -> None:
    pool = console.service.pool
    await pool.execute(
        "INSERT INTO coupons (code, name, percent_off, duration, duration_in_months, retention)"
        " VALUES ('STAY', 'A third off for a year', 33.33, 'repeating', 12, TRUE)"
    )
    await push_catalogue(pool, StripeCatalogue(gateway.client), livemode=False)


async def test_who_wants_to_cancel_stays_with_what_is_offered(
    console: Console, ids: Ids, offered: None
) -> None:
    page = f"/console/subscriptions/{ids.subscription}"
    path = f"{page}/take-offer"
    cancelling = await console.open(f"{page}/cancel")
    assert "They are offered something to stay: A third off for a year" in cancelling.text
    assert path in cancelling.links
    await console.post(f"{page}/cancel", cancelling, ends="period_end", key=cancelling.field("key"))
    shown = await console.open(path)
    assert "A third off for a year (STAY): 33.33 %" in shown.text
    assert "The cancellation is taken back." in shown.text
    assert "Their next charge comes to $8.65, before taxes." in shown.text
    fields = {name: shown.field(name) for name in ("key", "coupon", "amount")}
    other = await console.post(path, shown, **fields | {"amount": "1"})
    assert (other.status, "The preview is outdated" in other.text) == (409, True)
    for _ in range(2):  # sent twice, it is done once
        done = await console.post(path, shown, **fields)
        assert done.headers["Location"] == f"{page}?done=offer_taken"
    after = await console.open(page)
    assert "A third off for a year" in after.text
    assert f"{page}/resume" not in after.links
    assert await audited(console.service, "subscription.take_offer") == [
        ("ada.lovelace", ids.subscription, "done")
    ]
    assert path not in (await console.open(f"{page}/cancel")).links
    again = await console.open(path, **GERMAN)
    assert (again.status, "kein Angebot" in again.text) == (409, True)
