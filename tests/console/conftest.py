"""The console over HTTP, as somebody sees it who signs in with a key."""

import html
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest
from aiohttp import ClientResponse, web

from mpanel_billing.access.audit import Actor
from mpanel_billing.access.key import Limits, Scope
from mpanel_billing.access.keys import create_key
from mpanel_billing.console.app import add_console
from mpanel_billing.settings import Settings
from stripe_sandbox import Sandbox
from stripe_sandbox.client import SandboxClient
from tests.roles import KEYS_ROLE
from tests.service import WEBHOOK_SECRET, AppClient, Pool, Service, make_app, make_settings
from tests.sold import Sold
from tests.subscriptions.conftest import KEY as BACKEND_KEY

KEY = "k" * 32
COOKIE = "mpanel-console"
ALL: Sequence[Scope] = ("admin", "billing")


def make_console(settings: Settings, role: str = KEYS_ROLE) -> web.Application:
    """The app as `serve` builds it with CONSOLE=on, which may make keys."""
    app = make_app(settings, role)
    add_console(app)
    return app


@dataclass
class Shown:
    """A page: its status, its HTML, and the text that a person reads."""

    status: int
    html: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        body = re.sub(r"<(script|style|title)\b.*?</\1>", "", self.html, flags=re.DOTALL)
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())

    @property
    def links(self) -> set[str]:
        return set(re.findall(r'(?:href|action)="(/console[^"?]*)', self.html))

    def field(self, name: str) -> str:
        found = re.search(rf'name="{name}"[^>]*\bvalue="([^"]*)"', self.html)
        assert found, f"no field {name} in {self.html}"
        return html.unescape(found[1])

    def hidden(self, path: str) -> dict[str, str]:
        """Return what the form that is sent to a path hides."""
        begin = f'<form method="post" action="{path}"'
        form = self.html.partition(begin)[2].partition("</form>")[0]
        found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form)
        return {name: html.unescape(value) for name, value in found}


@dataclass
class Console:
    """A browser with one session of the console."""

    service: Service
    token: str = ""

    async def send(self, method: str, path: str, **given: object) -> ClientResponse:
        headers = {"Cookie": f"{COOKIE}={self.token}", **given.pop("headers", {})}  # type: ignore[dict-item]
        self.service.client.session.cookie_jar.clear()  # each session is a browser of its own
        return await self.service.client.request(
            method,
            path,
            headers=headers,
            allow_redirects=False,
            **given,  # type: ignore[arg-type]
        )

    async def open(self, path: str, **headers: str) -> Shown:
        answer = await self.send("GET", path, headers=headers)
        return Shown(answer.status, await answer.text(), dict(answer.headers))

    async def post(self, path: str, shown: Shown | None = None, **fields: str) -> Shown:
        """Send a form; of a page that is given, with what it hides in its form."""
        data = {"form_token": shown.field("form_token"), **shown.hidden(path)} if shown else {}
        data |= fields
        answer = await self.send("POST", path, data=data)
        return Shown(answer.status, await answer.text(), dict(answer.headers))

    async def confirm(self, path: str, *hidden: str, **fields: str) -> Shown:
        """Open the page of an action, and confirm it."""
        shown = await self.open(path)
        assert shown.status == 200, shown.text
        taken = {name: shown.field(name) for name in hidden}
        return await self.post(path.partition("?")[0], shown, **(taken | fields))

    async def sign_in(self, key: str, person: str = "ada.lovelace") -> Shown:
        shown = await self.post("/console/sign-in", person=person, key=key)
        if found := re.search(rf"{COOKIE}=([^;]+)", shown.headers.get("Set-Cookie", "")):
            self.token = found[1]
        return shown


@pytest.fixture
def settings(database_url: str, sandbox: Sandbox) -> Settings:
    return make_settings(
        database_url=database_url,
        stripe_api_base=sandbox.url,
        admin_api_keys=KEY,
        billing_api_keys=f"{KEY},{BACKEND_KEY}",
    )


@pytest.fixture
async def service(
    *,
    settings: Settings,
    sandbox: Sandbox,
    stripe: SandboxClient,
    pool: Pool,
    sold_once: Sold,
    aiohttp_client: Callable[..., Awaitable[AppClient]],
) -> Service:
    """The service with the console, and one subscription that is sold."""
    client = await aiohttp_client(make_console(settings))
    sandbox.add_webhook(str(client.make_url("/api/webhooks/stripe")), WEBHOOK_SECRET)
    return Service(client, sandbox, stripe, pool, settings)


@pytest.fixture
async def console(service: Service) -> Console:
    """A session with all scopes, of a key of the settings."""
    opened = Console(service)
    assert (await opened.sign_in(KEY)).status == 303
    return opened


async def signed_in(
    service: Service, *scopes: Scope, name: str = "desk", limits: Limits | None = None
) -> Console:
    """Return a session of a key in the database that has these scopes."""
    made = await create_key(
        service.pool, Actor("test"), name=name, scopes=scopes, limits=limits or Limits()
    )
    opened = Console(service)
    assert (await opened.sign_in(made.text)).status == 303
    return opened


@dataclass(frozen=True)
class Ids:
    """Of what is sold."""

    subscription: str
    customer: str
    invoice: str


@pytest.fixture
async def ids(service: Service, sold_once: Sold) -> Ids:
    row = await service.row(
        "SELECT s.customer_id, i.id"
        " FROM subscriptions AS s JOIN invoices AS i ON i.subscription_id = s.id"
    )
    return Ids(sold_once.subscription_id, str(row["customer_id"]), str(row["id"]))
