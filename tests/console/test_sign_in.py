"""A key is exchanged for a session, which ends with it."""

from datetime import timedelta
from ipaddress import ip_network

import pytest

from mpanel_billing.access.audit import Actor
from mpanel_billing.access.key import Limits, Scope
from mpanel_billing.access.keys import create_key, revoke_key
from mpanel_billing.console.routes.sign_in import routes as open_routes
from mpanel_billing.settings import Settings
from tests.console.conftest import COOKIE, KEY, Console, make_console, signed_in
from tests.service import SITE, Service, make_settings


async def test_without_a_session_every_page_leads_to_the_sign_in(service: Service) -> None:
    shown = await Console(service).open("/console/find")
    assert shown.status == 303
    assert shown.headers["Location"] == "/console/sign-in?back=%2Fconsole%2Ffind"
    form = await Console(service).open("/console/sign-in")
    assert form.status == 200
    assert "API key" in form.text


async def test_the_cookie_is_for_this_site_alone_and_not_for_scripts(service: Service) -> None:
    shown = await Console(service).sign_in(KEY)
    cookie = shown.headers["Set-Cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    for part in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=86400"):
        assert part in cookie
    assert "Secure" not in cookie  # APP_URL is http here


async def test_with_a_public_https_address_it_is_for_https_alone(
    settings: Settings, aiohttp_client, service: Service
) -> None:
    secure = settings.model_copy(
        update={"app_url": make_settings(app_url="https://a.test").app_url}
    )
    client = await aiohttp_client(make_console(secure))
    fields = {"person": "ada", "key": KEY}
    answer = await client.post("/console/sign-in", data=fields, allow_redirects=False)
    assert answer.headers["Set-Cookie"].startswith("__Host-mpanel-console=")
    assert "Secure" in answer.headers["Set-Cookie"]


async def test_only_a_hash_of_the_token_is_stored_and_nothing_of_the_key(console: Console) -> None:
    row = await console.service.row("SELECT s::text AS all FROM billing_console_sessions AS s")
    assert console.token not in row["all"]
    assert KEY not in row["all"]
    import hashlib

    assert hashlib.sha256(KEY.encode()).hexdigest() not in row["all"]
    assert hashlib.sha256(console.token.encode()).hexdigest() in row["all"]


@pytest.mark.parametrize("person", ["", "  ", "a" * 101, "Ada\u202eecalevoL", "Ada\nroot"])
async def test_a_name_that_cannot_be_in_the_audit_log_is_refused(
    service: Service, person: str
) -> None:
    shown = await Console(service).sign_in(KEY, person)
    assert shown.status == 422
    assert "Please enter your name" in shown.text
    assert "Set-Cookie" not in shown.headers


async def test_a_name_is_one_as_people_write_theirs(service: Service) -> None:
    for person in ("Ada Lovelace", "José Núñez-Ørsted", "<b>O'Brien</b>"):
        console = Console(service)
        assert (await console.sign_in(KEY, person)).status == 303
        shown = await console.open("/console/find")
        assert f"{person} ·" in shown.text
        assert "<b>" not in shown.html


async def test_a_wrong_key_is_a_sentence_and_guessing_is_slowed(
    settings: Settings, aiohttp_client, service: Service
) -> None:
    strict = settings.model_copy(update={"rate_limit_wrong_keys": "3/minute"})
    guesser = Console(Service(*_with(service, await aiohttp_client(make_console(strict)))))
    for _ in range(3):
        shown = await guesser.sign_in("not-a-key")
        assert (shown.status, "Unknown key." in shown.text) == (401, True)
    limited = await guesser.sign_in(KEY)
    assert limited.status == 429
    assert "Too many requests" in limited.text
    assert int(limited.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("scopes", "first"),
    [
        (("admin:read", "billing:read", "billing:any-customer"), "/console/find"),
        (("billing:read", "billing:any-customer"), "/console/debtors"),
        (("billing:change", "billing:any-customer"), "/console/preferences"),
    ],
)
async def test_a_session_begins_at_the_first_page_that_it_may_see(
    service: Service, scopes: tuple[Scope, ...], first: str
) -> None:
    desk = await signed_in(service, *scopes)
    assert (await desk.open("/console")).headers["Location"] == first
    shown = await desk.open(first)
    assert (shown.status, 'role="search"' in shown.html) == (200, "admin:read" in scopes)


def _with(service: Service, client) -> tuple:
    return client, service.sandbox, service.stripe, service.pool, service.settings


async def test_who_signs_in_and_out_is_on_record(console: Console) -> None:
    page = await console.open("/console/preferences")
    out = await console.post("/console/sign-out", page)
    assert out.headers["Location"] == "/console/sign-in"
    assert (await console.open("/console/find")).status == 303
    rows = await console.service.pool.fetch(
        "SELECT action, actor, person FROM billing_audit_log ORDER BY id"
    )
    assert [tuple(row) for row in rows] == [
        ("console.sign_in", "settings:admin:1", "ada.lovelace"),
        ("console.sign_out", "settings:admin:1", "ada.lovelace"),
    ]


async def test_a_session_ends_with_its_key(service: Service) -> None:
    desk = await signed_in(service, "admin:read")
    assert (await desk.open("/console/find")).status == 200
    await revoke_key(service.pool, Actor("test"), "desk")
    assert (await desk.open("/console/find")).status == 303


async def test_a_session_of_a_key_of_the_settings_ends_when_it_is_taken_out(
    settings: Settings, aiohttp_client, console: Console
) -> None:
    without = settings.model_copy(update={"admin_api_keys": (), "billing_api_keys": ()})
    client = await aiohttp_client(make_console(without))
    later = Console(Service(*_with(console.service, client)), console.token)
    assert (await later.open("/console/find")).status == 303


async def test_a_session_ends_after_twelve_hours(console: Console) -> None:
    await console.service.pool.execute(
        "UPDATE billing_console_sessions SET created_at = created_at - interval '12 hours',"
        " expires_at = expires_at - interval '12 hours'"
    )
    assert (await console.open("/console/find")).status == 303


async def test_the_limits_of_a_key_hold_for_its_sessions(service: Service) -> None:
    limits = Limits(calls_per_minute=2)
    desk = await signed_in(service, "admin:read", limits=limits)  # one call
    assert (await desk.open("/console/find")).status == 200
    refused = await desk.open("/console/find")
    assert refused.status == 429
    assert "2 calls a minute" in refused.text
    elsewhere = Limits(networks=(ip_network("10.0.0.0/8"),))
    made = await create_key(
        service.pool,
        Actor("test"),
        name="far",
        scopes=("admin",),
        lifetime=timedelta(days=1),
        limits=elsewhere,
    )
    assert (await Console(service).sign_in(made.text)).status == 403


async def test_sessions_are_listed_and_another_ones_can_be_ended(
    service: Service, console: Console
) -> None:
    desk = await signed_in(service, "admin:read")
    listed = await console.open("/console/sessions")
    assert "desk" in listed.text
    row = await service.row("SELECT id FROM billing_console_sessions WHERE key_id IS NOT NULL")
    done = await console.confirm(f"/console/sessions/{row['id']}/end")
    assert done.status == 303
    assert (await desk.open("/console/find")).status == 303
    assert (await console.open("/console/find")).status == 200


async def test_a_session_whose_key_has_expired_is_not_listed(
    service: Service, console: Console
) -> None:
    desk = await signed_in(service, "admin:read")
    assert "desk" in (await console.open("/console/sessions")).text
    await service.pool.execute(
        "UPDATE billing_api_keys SET created_at = now() - interval '1 day', expires_at = now()"
    )
    assert (await desk.open("/console/find")).status == 303
    assert "desk" not in (await console.open("/console/sessions")).text


async def test_a_form_of_another_site_or_session_does_nothing(
    service: Service, console: Console
) -> None:
    forged = await console.post("/console/preferences", form_token="0" * 32, language="de")
    assert forged.status == 403
    page = await console.open("/console/preferences")
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.test"}):
        data = {"form_token": page.field("form_token"), "language": "de"}
        answer = await console.send("POST", "/console/preferences", data=data, headers=headers)
        assert answer.status == 403
        data = {"person": "ada", "key": KEY}
        answer = await console.send("POST", "/console/sign-in", data=data, headers=headers)
        assert answer.status == 403
    other = await signed_in(service, "admin")
    assert (await other.post("/console/preferences", page, language="de")).status == 403
    assert await service.pool.fetchval("SELECT max(language) FROM billing_console_sessions") is None


async def test_a_site_that_may_call_the_api_cannot_read_the_console(console: Console) -> None:
    asked = {"Origin": SITE}
    assert (await console.open("/api/health", **asked)).headers["Access-Control-Allow-Origin"]
    shown = await console.open("/console/find", **asked)
    assert "Access-Control-Allow-Origin" not in shown.headers
    preflight = {**asked, "Access-Control-Request-Method": "POST"}
    answer = await console.send("OPTIONS", "/console/preferences", headers=preflight)
    assert answer.status == 405
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_language_and_zone_are_as_the_person_chose(console: Console) -> None:
    page = await console.open("/console/preferences")
    saved = await console.post(
        "/console/preferences", page, language="de", time_zone="Asia/Kathmandu"
    )
    assert saved.status == 303
    german = await console.open("/console/preferences?done=saved")
    assert "Zeiten in Asia/Kathmandu" in german.text
    assert "Gespeichert." in german.text
    wrong = await console.post("/console/preferences", page, time_zone="Nowhere/At all")
    assert (wrong.status, "ist keine Zeitzone" in wrong.text) == (422, True)


async def test_a_browser_is_answered_in_its_language(service: Service) -> None:
    header = {"Accept-Language": "fr-FR, de-CH;q=0.9, en;q=0.5"}
    assert "Anmelden" in (await Console(service).open("/console/sign-in", **header)).text


class TestProxy:
    """CONSOLE_PROXY_HEADER: an authenticating proxy says who it is."""

    @pytest.fixture
    async def proxied(self, settings: Settings, aiohttp_client, service: Service) -> Console:
        made = await create_key(service.pool, Actor("test"), name="proxy", scopes=("admin:read",))
        behind = {"console_proxy_header": "X-Forwarded-User", "console_proxy_key": made.id}
        client = await aiohttp_client(make_console(settings.model_copy(update=behind)))
        return Console(Service(*_with(service, client)))

    async def test_who_it_names_is_signed_in_with_the_scopes_of_the_key(
        self, proxied: Console
    ) -> None:
        shown = await proxied.open("/console/find", **{"X-Forwarded-User": "grace"})
        assert shown.status == 200
        assert "grace · proxy" in shown.text
        assert "/console/debtors" not in shown.links

    async def test_the_session_is_of_that_person_alone(self, proxied: Console) -> None:
        first = await proxied.open("/console/find", **{"X-Forwarded-User": "grace"})
        proxied.token = first.headers["Set-Cookie"].partition("=")[2].partition(";")[0]
        again = await proxied.open("/console/find", **{"X-Forwarded-User": "grace"})
        assert "Set-Cookie" not in again.headers
        assert (await proxied.open("/console/find")).status == 303
        other = await proxied.open("/console/find", **{"X-Forwarded-User": "eve"})
        assert "eve · proxy" in other.text

    @pytest.mark.parametrize("path", ["/console", "/console/sign-in?back=/console/find"])
    async def test_who_is_led_on_takes_the_session_along(self, proxied: Console, path: str) -> None:
        led = await proxied.open(path, **{"X-Forwarded-User": "grace"})
        assert led.status == 303
        proxied.token = led.headers["Set-Cookie"].partition("=")[2].partition(";")[0]
        shown = await proxied.open(led.headers["Location"], **{"X-Forwarded-User": "grace"})
        assert (shown.status, "Set-Cookie" in shown.headers) == (200, False)

    async def test_a_header_from_elsewhere_is_not_believed(
        self, settings: Settings, aiohttp_client, service: Service, proxied: Console
    ) -> None:
        far = {
            "console_proxy_header": "X-Forwarded-User",
            "console_proxy_key": "mpb_0123456789",
            "trusted_proxies": ("10.0.0.1",),
        }
        stranger = settings.model_copy(update=far)
        stranger.__dict__.pop("trusted_networks", None)
        client = await aiohttp_client(make_console(stranger))
        visitor = Console(Service(*_with(service, client)))
        shown = await visitor.open("/console/find", **{"X-Forwarded-User": "grace"})
        assert shown.status == 303

    async def test_once_its_key_is_revoked_nobody_is_signed_in(self, proxied: Console) -> None:
        await revoke_key(proxied.service.pool, Actor("test"), "proxy")
        shown = await proxied.open("/console/find", **{"X-Forwarded-User": "grace"})
        assert shown.status == 303
        assert shown.headers["Location"] == "/console/sign-in?back=%2Fconsole%2Ffind"


def test_what_needs_no_session_is_known() -> None:
    assert {(route.method, route.path) for route in open_routes} == {
        ("GET", "/console"),
        ("GET", "/console/"),
        ("GET", "/console/sign-in"),
        ("POST", "/console/sign-in"),
        ("POST", "/console/sign-out"),
        ("POST", "/console/preferences"),
    }
