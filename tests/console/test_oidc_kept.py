"""What a form has sent when the session was over outlives a sign-in at the identity provider."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from mpanel_billing.console.oidc.kept import LIFETIME, LONGEST, KeptForm, KeptForms
from tests.console.conftest import Console, Ids, Shown
from tests.console.test_oidc import Browser, browser, liar, signed_in

__all__ = ("browser", "liar")

KEPT = "mpanel-form"
BODY = 'She asked for "two & more"\r\nand called back. <b>Ü</b>'
PLACE = "/console/customers/{}/note"


async def opened(browser: Browser) -> Console:
    """A session by the provider that has notes to write."""
    browser.liar.claims = {"groups": ["ops"]}
    await browser.console.service.pool.execute(
        "UPDATE billing_api_keys SET scopes = '{admin:read,admin:operate}' WHERE name = 'ops'"
    )
    return await signed_in(browser, await browser.sign_in())


async def send_late(console: Console, path: str, body: str = BODY, **changed: str) -> Shown:
    """Send a form whose session has ended since it was opened."""
    page = await console.open(path)
    await console.service.pool.execute("UPDATE billing_console_sessions SET ended_at = now()")
    return await console.post(path, page, **{"body": body, **changed})


def cookie_in(shown: Shown) -> str:
    found = re.search(rf"{KEPT}=[^;]+", shown.headers.get("Set-Cookie", ""))
    return found[0] if found else ""


async def come_back(browser: Browser, cookie: str) -> Shown:
    """Sign in at the provider with a browser that keeps a form."""
    asked = await browser.start()
    assert "called" not in str(asked)
    browser.cookie = f"{browser.cookie}; {cookie}"
    return await browser.come_back(code="c", state=asked["state"])


async def test_the_form_is_shown_again_and_done_once_it_is_sent(browser: Browser, ids: Ids) -> None:
    path = PLACE.format(ids.customer)
    asked = await send_late(await opened(browser), path)
    assert (asked.status, "is kept" in asked.text) == (401, True)
    assert "only kept if you sign in with an API key" not in asked.text
    cookie = asked.headers["Set-Cookie"]
    for part in ("HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=1800"):
        assert part in cookie
    kept = await come_back(browser, cookie_in(asked))
    assert "your form was not taken" in kept.text
    assert "Refresh" not in kept.headers
    console = await signed_in(browser, kept)
    pool = console.service.pool
    assert not await pool.fetchval("SELECT count(*) FROM billing_notes")
    hidden = {name: kept.field(name) for name in ("form_token", "body", "show_again")}
    shown = await console.post(path, **hidden)
    assert "&lt;b&gt;Ü&lt;/b&gt;</textarea>" in shown.html
    assert not await pool.fetchval("SELECT count(*) FROM billing_notes")
    assert (await console.post(path, shown, body=BODY)).status == 303


async def test_the_browser_keeps_it_until_it_was_shown(browser: Browser, ids: Ids) -> None:
    asked = await send_late(await opened(browser), PLACE.format(ids.customer))
    begun = await browser.start()
    answer = await browser.console.service.client.get(
        "/console/oidc/callback",
        params={"code": "c", "state": begun["state"]},
        headers={"Cookie": f"{browser.cookie}; {cookie_in(asked)}"},
        allow_redirects=False,
    )
    cookies = answer.headers.getall("Set-Cookie")
    assert any(one.startswith(f'{KEPT}=""') for one in cookies)


async def test_another_person_does_not_get_it(browser: Browser, ids: Ids) -> None:
    """Not even one of the same name."""
    asked = await send_late(await opened(browser), PLACE.format(ids.customer))
    browser.liar.claims = {"groups": ["ops"], "sub": "u-2"}
    shown = await come_back(browser, cookie_in(asked))
    assert shown.headers["Refresh"] == "0; url=/console"
    assert "called back" not in shown.html


async def test_what_nobody_has_signed_is_not_shown(browser: Browser, ids: Ids) -> None:
    asked = await send_late(await opened(browser), PLACE.format(ids.customer))
    claims, _, signature = cookie_in(asked).partition(".")
    for forged in (f"{claims}.{signature[:-1]}x", f"{KEPT}=a.b", f"{KEPT}={signature}"):
        assert "Refresh" in (await come_back(browser, forged)).headers


async def test_a_form_of_no_page_of_the_session_or_of_a_key_is_not_kept(
    browser: Browser, ids: Ids
) -> None:
    path = PLACE.format(ids.customer)
    console = await opened(browser)
    foreign = await send_late(console, path, form_token="0" * 32)
    assert (foreign.status, cookie_in(foreign)) == (401, "")
    assert "only kept if you sign in with an API key" in foreign.text
    by_key = Console(browser.console.service)
    await by_key.sign_in("k" * 32)
    late = await send_late(by_key, path)
    assert (late.status, cookie_in(late)) == (401, "")


async def test_what_is_too_long_for_a_cookie_is_said_to_be_lost(browser: Browser, ids: Ids) -> None:
    long = "".join(f"{number:x}" for number in range(4000))
    late = await send_late(await opened(browser), PLACE.format(ids.customer), long)
    assert (late.status, cookie_in(late)) == (401, "")
    assert "only kept if you sign in with an API key" in late.text


@pytest.mark.parametrize("late", [timedelta(0), LIFETIME], ids=["at once", "too late"])
def test_a_text_is_a_form_for_half_an_hour(late: timedelta) -> None:
    forms, now = KeptForms([b"secret"]), datetime.now(UTC)
    form = KeptForm("/console/find", {"body": "a=b&c", "empty": ""}, {"subject": "u-1"})
    text = forms.write(form, now)
    assert text
    assert len(text) <= LONGEST
    assert forms.read(text, now + late) == (form if not late else None)
    assert KeptForms([b"new", b"secret"]).read(text, now) == form
