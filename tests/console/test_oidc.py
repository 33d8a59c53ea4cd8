"""OpenID Connect with a provider of ours, which lies on demand; tests/node has one of others'."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey
from pydantic import SecretStr

from mpanel_billing.access.audit import Actor
from mpanel_billing.access.keys import create_key, revoke_key
from mpanel_billing.console.oidc import attempt
from mpanel_billing.console.oidc.attempt import Attempts
from mpanel_billing.console.routes.oidc import PROVIDER
from mpanel_billing.settings import Settings
from tests.console.conftest import Console, Shown, make_console
from tests.service import AppClient, Service

CLIENT = "billing-console"
SECRET = "the client's own, with a % and a +"
COOKIE = "mpanel-oidc"


@cache
def _secret(number: int) -> dict[str, Any]:
    """Return a secret key, made once: that takes a tenth of a second."""
    return RSAKey.generate_key(2048).as_dict(private=True)


def rsa(kid: str, number: int = 0) -> RSAKey:
    return RSAKey.import_key(_secret(number), {"kid": kid, "use": "sig", "alg": "RS256"})


@dataclass
class Liar:
    """An identity provider that answers as it should, but for what is set here."""

    url: str = ""
    keys: list[RSAKey | ECKey] = field(default_factory=lambda: [rsa("first")])
    signing: Any = None
    algorithm: str = "RS256"
    claims: dict[str, Any] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)
    info: dict[str, Any] | None = None
    token: dict[str, Any] | None = None
    asked: list[dict[str, str]] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    discovered: int = 0
    nonce: str = ""

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/.well-known/openid-configuration", self.discover),
            web.get("/jwks", self.list_keys),
            web.post("/token", self.exchange),
            web.get("/me", self.tell),
        ]

    async def discover(self, _: web.Request) -> web.Response:
        self.discovered += 1
        document = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/auth",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "userinfo_endpoint": f"{self.url}/me",
        }
        return web.json_response(document | self.document)

    async def list_keys(self, _: web.Request) -> web.Response:
        return web.json_response(KeySet(self.keys).as_dict(private=False))

    async def exchange(self, request: web.Request) -> web.Response:
        self.asked.append({name: str(value) for name, value in (await request.post()).items()})
        self.heads.append(request.headers.get("Authorization", ""))
        if self.token is not None:
            return web.json_response(self.token, status=400)
        return web.json_response({"access_token": "at", "id_token": self.signed()})

    def signed(self) -> str:
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "sub": "u-1",
            "nonce": self.nonce,
            "iat": now,
            "exp": now + 300,
            "name": "Ada Lovelace",
            "groups": ["staff", "ops"],
        } | self.claims
        key = self.signing or self.keys[0]
        header = {"alg": self.algorithm, "kid": key.kid}
        return jwt.encode(
            header,
            {name: value for name, value in claims.items() if value is not None},
            key,
            algorithms=[self.algorithm],
        )

    async def tell(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer at"
        return web.json_response(self.info or {"sub": "u-1"})


@pytest.fixture
async def liar(aiohttp_server: Callable[..., Awaitable[TestServer]]) -> Liar:
    made, app = Liar(), web.Application()
    app.add_routes(made.routes())
    server = await aiohttp_server(app)
    made.url = str(server.make_url("")).rstrip("/")
    return made


@dataclass
class Browser:
    """A browser that is sent to the provider, and comes back."""

    console: Console
    liar: Liar
    cookie: str = ""

    async def start(self, query: str = "") -> dict[str, str]:
        sent = await self.console.open(f"/console/oidc/start{query}")
        assert sent.status == 303, sent.text
        self.cookie = sent.headers["Set-Cookie"].partition(";")[0]
        address = urlsplit(sent.headers["Location"])
        assert f"{address.scheme}://{address.netloc}{address.path}" == f"{self.liar.url}/auth"
        asked = {name: values[0] for name, values in parse_qs(address.query).items()}
        self.liar.nonce = asked["nonce"]
        return asked

    async def come_back(self, **query: str) -> Shown:
        answer = await self.console.service.client.get(
            "/console/oidc/callback",
            params=query,
            headers={"Cookie": self.cookie},
            allow_redirects=False,
        )
        return Shown(answer.status, await answer.text(), dict(answer.headers))

    async def sign_in(self) -> Shown:
        asked = await self.start()
        return await self.come_back(code="c", state=asked["state"])


@pytest.fixture
async def browser(
    settings: Settings,
    aiohttp_client: Callable[..., Awaitable[AppClient]],
    service: Service,
    liar: Liar,
) -> Browser:
    ops = await create_key(service.pool, Actor("test"), name="ops", scopes=("admin:read",))
    book = await create_key(service.pool, Actor("test"), name="book", scopes=("billing:read",))
    given = settings.model_copy(
        update={
            "console_oidc_issuer": liar.url,
            "console_oidc_client_id": CLIENT,
            "console_oidc_client_secret": SecretStr(SECRET),
            "console_oidc_groups": {"ops": ops.id, "book": book.id},
        }
    )
    client = await aiohttp_client(make_console(given))
    return Browser(
        Console(Service(client, service.sandbox, service.stripe, service.pool, given)), liar
    )


async def signed_in(browser: Browser, shown: Shown) -> Console:
    assert shown.status == 200, shown.text
    cookies = shown.headers["Set-Cookie"]
    return Console(browser.console.service, cookies.partition("=")[2].partition(";")[0])


async def test_who_the_provider_names_is_signed_in_with_the_key_of_their_group(
    browser: Browser,
) -> None:
    page = await browser.console.open("/console/sign-in")
    assert "Sign in with 127.0.0.1" in page.text
    asked = await browser.start("?time_zone=Asia/Kathmandu")
    assert asked["response_type"] == "code"
    assert asked["redirect_uri"].endswith("/console/oidc/callback")
    assert asked["code_challenge_method"] == "S256"
    shown = await browser.come_back(code="c-1", state=asked["state"])
    assert shown.headers["Refresh"] == "0; url=/console"
    session = await signed_in(browser, shown)
    found = await session.open("/console/find")
    assert (found.status, "Ada Lovelace · ops" in found.text) == (200, True)
    assert "Times in Asia/Kathmandu" in found.text
    assert "/console/debtors" not in found.links
    [form] = browser.liar.asked
    assert (form["code"], form["redirect_uri"]) == ("c-1", asked["redirect_uri"])
    assert 43 <= len(form["code_verifier"]) <= 128
    assert form["code_verifier"] not in str(asked)
    assert browser.liar.heads[0].startswith("Basic ")
    row = await browser.console.service.row(
        "SELECT person, actor, details FROM billing_audit_log WHERE action = 'console.sign_in'"
    )
    assert (row["person"], row["actor"]) == ("Ada Lovelace", "ops")
    assert row["details"] == {"issuer": browser.liar.url, "subject": "u-1"}


async def test_the_cookie_comes_back_from_the_provider_and_goes_then(browser: Browser) -> None:
    sent = await browser.console.open("/console/oidc/start")
    cookie = sent.headers["Set-Cookie"]
    for part in (f"{COOKIE}=", "HttpOnly", "SameSite=Lax", "Max-Age=600", "Path=/"):
        assert part in cookie
    asked = await browser.start()
    answer = await browser.console.service.client.get(
        "/console/oidc/callback",
        params={"code": "c", "state": asked["state"]},
        headers={"Cookie": browser.cookie},
        allow_redirects=False,
    )
    session, gone = sorted(answer.headers.getall("Set-Cookie"), key=lambda one: COOKIE in one)
    assert "SameSite=Strict" in session
    assert gone.startswith(f'{COOKIE}=""')


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"nonce": "another"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"aud": "another"}, "aud"),
        ({"aud": [CLIENT, "another"]}, "another client"),
        ({"azp": "another"}, "another client"),
        ({"iss": "https://evil.test"}, "iss"),
        ({"iss": None}, "iss"),
        ({"exp": 1}, "expired"),
        ({"exp": None}, "exp"),
        ({"iat": 4_000_000_000}, "in the future"),
        ({"sub": None}, "sub"),
        ({"groups": ["staff"]}, "none of the groups"),
        ({"groups": "no list, and no group"}, "none of the groups"),
        ({"groups": [{"ops": 1}]}, "none of the groups"),
        ({"name": "a" * 500, "sub": "b" * 200}, "does not say your name"),
    ],
    ids=str,
)
async def test_a_token_that_is_not_for_this_sign_in_is_refused(
    browser: Browser, claims: dict[str, Any], said: str
) -> None:
    browser.liar.claims = claims
    shown = await browser.sign_in()
    assert (shown.status, said in shown.text) == (403, True), shown.text
    assert "mpanel-console=" not in shown.headers["Set-Cookie"]
    assert not await browser.console.service.pool.fetchval(
        "SELECT count(*) FROM billing_console_sessions"
    )


async def test_a_token_that_another_key_has_signed_is_refused(browser: Browser) -> None:
    liar = browser.liar
    liar.signing = rsa("first", 1)  # the name of a key that is known
    assert (await browser.sign_in()).status == 403
    liar.signing = rsa("unknown", 1)
    assert "an unknown key" in (await browser.sign_in()).text
    liar.signing, liar.algorithm = OctKey.import_key(SECRET, {"kid": "first"}), "HS256"
    assert (await browser.sign_in()).status == 403
    liar.signing, liar.algorithm = None, "RS256"
    assert (await browser.sign_in()).status == 200


async def test_keys_that_the_provider_has_rolled_are_fetched(browser: Browser) -> None:
    liar = browser.liar
    assert (await browser.sign_in()).status == 200
    liar.keys = [ECKey.generate_key("P-256", {"kid": "second", "use": "sig"})]
    liar.algorithm = "ES256"
    provider = browser.console.service.client.app[PROVIDER]
    known = provider._known
    assert known
    provider._known = replace(known, at=known.at - 60)
    assert (await browser.sign_in()).status == 200
    assert liar.discovered == 2


async def test_groups_come_from_userinfo_if_the_token_does_not_tell(browser: Browser) -> None:
    browser.liar.claims = {"groups": None, "name": None}
    browser.liar.info = {"sub": "u-1", "groups": ["book"], "name": "Grace"}
    session = await signed_in(browser, await browser.sign_in())
    assert "Grace · book" in (await session.open("/console/preferences")).text
    browser.liar.info = {"sub": "u-2", "groups": ["ops"]}
    refused = await browser.sign_in()
    assert (refused.status, "another person" in refused.text) == (403, True)


async def test_an_answer_to_another_sign_in_is_refused(browser: Browser) -> None:
    asked = await browser.start()
    for query, said in (
        ({"code": "c", "state": "another"}, "another sign-in"),
        ({"code": "c"}, "another sign-in"),
        ({"code": "c", "state": asked["state"], "iss": "https://evil.test"}, "another identity"),
        (
            {"error": "access_denied", "error_description": "<b>no</b>", "state": asked["state"]},
            "access_denied, <b>no</b>",
        ),
    ):
        shown = await browser.come_back(**query)
        assert (shown.status, said in shown.text) == (403, True), shown.text
        assert "<b>no" not in shown.html
    browser.cookie = ""
    stranger = await browser.come_back(code="c", state=asked["state"])
    assert "did not begin in this browser" in stranger.text
    assert browser.liar.asked == []


async def test_a_sign_in_that_took_too_long_begins_anew(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "LIFETIME", timedelta(seconds=-1))
    shown = await browser.sign_in()
    assert (shown.status, "took too long" in shown.text) == (403, True)


async def test_a_code_that_is_not_taken_is_told_in_the_providers_words(browser: Browser) -> None:
    browser.liar.token = {"error": "invalid_grant", "error_description": "used before"}
    shown = await browser.sign_in()
    assert (shown.status, "invalid_grant, used before" in shown.text) == (403, True)


async def test_a_group_whose_key_is_revoked_lets_nobody_in_and_ends_sessions(
    browser: Browser,
) -> None:
    session = await signed_in(browser, await browser.sign_in())
    await revoke_key(browser.console.service.pool, Actor("test"), "ops")
    assert (await session.open("/console/find")).status == 303
    refused = await browser.sign_in()
    assert (refused.status, "Ask the people who run the console" in refused.text) == (403, True)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"issuer": "https://evil.test"}, "CONSOLE_OIDC_ISSUER has to be exactly"),
        ({"token_endpoint": "http://evil.test/token"}, "no https address"),
        ({"authorization_endpoint": None}, "no https address"),
        ({"jwks_uri": "ftp://evil.test"}, "no https address"),
    ],
    ids=str,
)
async def test_a_document_that_leads_elsewhere_is_not_followed(
    browser: Browser, document: dict[str, Any], said: str
) -> None:
    browser.liar.document = document
    for _ in range(3):
        shown = await browser.console.open("/console/oidc/start")
        assert (shown.status, said in shown.text) == (502, True), shown.text
    assert browser.liar.discovered == 1
    assert "API key" in shown.text  # the other way in is still there


async def test_a_provider_that_is_down_is_said_to_be(browser: Browser) -> None:
    provider = browser.console.service.client.app[PROVIDER]
    object.__setattr__(provider.client, "issuer", "http://127.0.0.1:1")
    shown = await browser.console.open("/console/oidc/start")
    assert (shown.status, "cannot be reached at 127.0.0.1:1" in shown.text) == (502, True)


async def test_a_client_without_a_secret_and_one_that_sends_it_in_the_form(
    browser: Browser,
) -> None:
    provider, liar = browser.console.service.client.app[PROVIDER], browser.liar
    liar.document = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert (await browser.sign_in()).status == 200
    assert (liar.asked[-1]["client_secret"], liar.heads[-1]) == (SECRET, "")
    object.__setattr__(provider.client, "secret", None)
    assert (await browser.sign_in()).status == 200
    assert liar.asked[-1]["client_id"] == CLIENT
    assert "client_secret" not in liar.asked[-1]


def test_an_attempt_is_read_by_whoever_has_one_of_the_secrets() -> None:
    now = datetime.now(UTC)
    begun, text = Attempts([b"old"]).begin("UTC", now)
    assert Attempts([b"new", b"old"]).read(text, now) == begun


async def test_without_a_provider_there_is_no_way_to_it(console: Console) -> None:
    assert (await console.open("/console/oidc/start")).status == 404
    assert "Sign in with" not in (await Console(console.service).open("/console/sign-in")).text
