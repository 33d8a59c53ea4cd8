"""A session that ends in the middle of something: the way back, and what was entered."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.console.conftest import COOKIE, KEY, Console, Ids, Shown
from tests.service import Service


async def sign_in_at(console: Console, page: Shown, key: str = KEY) -> Shown:
    """Sign in on a page that asks for it, as a browser would."""
    way = {name: page.field(name) for name in ("back", "kept")}
    shown = await console.post("/console/sign-in", person="ada.lovelace", key=key, **way)
    if found := re.search(rf"{COOKIE}=([^;]+)", shown.headers.get("Set-Cookie", "")):
        console.token = found[1]
    return shown


async def test_who_follows_a_link_gets_there_after_signing_in(service: Service, ids: Ids) -> None:
    browser = Console(service)
    place = f"/console/invoices/{ids.invoice}/refund?amount=2.50"
    asked = await browser.open(place)
    assert asked.status == 303
    assert parse_qs(urlsplit(asked.headers["Location"]).query) == {"back": [place]}
    page = await browser.open(asked.headers["Location"])
    refused = await sign_in_at(browser, page, "x" * 32)
    assert refused.status == 401
    done = await sign_in_at(browser, refused)
    assert (done.status, done.headers["Location"]) == (303, place)
    assert (await browser.open(asked.headers["Location"])).headers["Location"] == place


@pytest.mark.parametrize(
    "back",
    [
        "https://evil.test/console/find",
        "//evil.test/console/",
        "/console/\\evil",
        "/console/find\r\nSet-Cookie: a=b",
        "/console/sign-in",
        "/api/health",
        "/console/" + "a" * 1000,
        "",
    ],
)
async def test_no_link_leads_elsewhere_from_the_sign_in(service: Service, back: str) -> None:
    done = await Console(service).post("/console/sign-in", person="ada", key=KEY, back=back)
    assert (done.status, done.headers["Location"]) == (303, "/console")


async def test_a_link_on_another_site_leads_who_is_signed_in_to_the_page(console: Console) -> None:
    """Browsers send a strict cookie only once a page of ours asks."""
    stranger = Console(console.service)
    shown = await stranger.open("/console/trouble?kind=overdue", **{"Sec-Fetch-Site": "cross-site"})
    assert (shown.status, shown.headers["Refresh"]) == (200, "0; url=/console/trouble?kind=overdue")
    assert (await console.open("/console/trouble?kind=overdue")).status == 200
    assert (await stranger.open("/console/trouble?kind=overdue")).status == 303


async def test_a_part_of_a_page_gives_way_to_the_sign_in(service: Service) -> None:
    shown = await Console(service).open(
        "/console/find?q=ada",
        **{"HX-Request": "true", "HX-Current-URL": "http://localhost/console/find"},
    )
    assert shown.headers["HX-Redirect"] == "/console/sign-in?back=%2Fconsole%2Ffind"


async def test_what_is_no_address_leads_to_the_sign_in(service: Service) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://[console/find"}
    shown = await Console(service).open("/console/find?q=ada", **headers)
    assert (shown.status, shown.headers["HX-Redirect"]) == (200, "/console/sign-in")


async def test_what_was_entered_outlives_the_session(console: Console, ids: Ids) -> None:
    path = f"/console/customers/{ids.customer}/note"
    page = await console.open(path)
    body = 'She asked for "two & more"\r\nand called back. <b>Ü</b>'
    await console.service.pool.execute("DELETE FROM billing_console_sessions")
    asked = await console.post(path, page, body=body)
    assert asked.status == 401
    assert "What you had entered is kept" in asked.text
    refused = await sign_in_at(console, asked, "x" * 32)
    kept = await sign_in_at(console, refused)
    assert kept.status == 200
    hidden = {name: kept.field(name) for name in ("form_token", "body", "show_again")}
    shown = await console.post(path, **hidden)
    assert shown.status == 200
    assert "&#34;two &amp; more&#34;" in shown.html
    assert "&lt;b&gt;Ü&lt;/b&gt;</textarea>" in shown.html
    assert "None yet." in (await console.open(f"/console/customers/{ids.customer}")).text
    assert (await console.post(path, shown, body=body)).status == 303
    assert "and called back." in (await console.open(f"/console/customers/{ids.customer}")).text


async def test_a_form_of_a_session_before_is_shown_again_and_not_done(
    service: Service, console: Console, ids: Ids
) -> None:
    path = f"/console/subscriptions/{ids.subscription}/suspend"
    page = await console.open(path)
    await console.sign_in(KEY)
    shown = await console.post(path, page, reason="phishing")
    assert shown.status == 403
    assert "phishing</textarea>" in shown.html
    assert not await service.pool.fetchval("SELECT count(*) FROM provisioning_holds")
    assert (await console.post(path, shown, reason="phishing")).status == 303


@pytest.mark.parametrize("kept", ["%", "a", "_" * 20])
async def test_what_is_no_form_is_not_kept(service: Service, kept: str) -> None:
    done = await Console(service).post("/console/sign-in", person="ada", key=KEY, kept=kept)
    assert (done.status, done.headers["Location"]) == (303, "/console")


async def test_another_site_sends_nothing_into_the_sign_in(service: Service, ids: Ids) -> None:
    path = f"/console/customers/{ids.customer}/note"
    headers = {"Sec-Fetch-Site": "cross-site"}
    answer = await Console(service).send("POST", path, data={"body": "x"}, headers=headers)
    assert answer.status == 403
