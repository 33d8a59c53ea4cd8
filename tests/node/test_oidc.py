"""Sign-in by OpenID Connect with a provider that others wrote: oidc-provider of npm."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from pydantic import SecretStr
from yarl import URL

from mpanel_billing.access.audit import Actor
from mpanel_billing.access.keys import create_key
from mpanel_billing.settings import Settings
from tests.console.conftest import make_console
from tests.ports import unused_port
from tests.service import Pool, make_settings

PROVIDER = Path(__file__).parent / "oidc_provider.mjs"
SECRET = "what only the console and the provider know"


@asynccontextmanager
async def provider(redirect_uri: str, *, in_id_token: bool) -> AsyncIterator[str]:
    """Run one with our client, and yield its issuer."""
    client = {
        "client_id": "console",
        "client_secret": SECRET,
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code"],
        "scope": "openid profile groups",
    }
    process = await asyncio.create_subprocess_exec(
        "node",
        str(PROVIDER),
        json.dumps({"client": client, "inIdToken": in_id_token}),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ,
    )
    assert process.stdin
    assert process.stdout
    try:
        async with asyncio.timeout(60):
            issuer = (await process.stdout.readline()).decode().strip()
        assert issuer.startswith("http"), issuer
        yield issuer
    finally:
        process.stdin.close()
        await process.wait()


async def console_of(
    pool: Pool,
    database_url: str,
    port: int,
    issuer: str,
    start: Callable[..., Awaitable[TestServer]],
) -> Settings:
    """Start a console whose operators are the provider's group `ada`."""
    key = await create_key(pool, Actor("test"), name="operators", scopes=("admin:read",))
    settings = make_settings(
        database_url=database_url, app_url=f"http://127.0.0.1:{port}", port=port
    ).model_copy(
        update={
            "console_oidc_issuer": issuer,
            "console_oidc_client_id": "console",
            "console_oidc_client_secret": SecretStr(SECRET),
            "console_oidc_groups": {"ada": key.id},
            "console_oidc_scopes": "openid profile groups",
        }
    )
    await start(make_console(settings), port=port)
    return settings


async def sign_in(browser: aiohttp.ClientSession, console: str, name: str) -> tuple[int, str]:
    """Go to the provider, sign in there, allow it, and come back; return the last page."""
    address = f"{console}/console/oidc/start"
    answer = await browser.get(address)
    for prompt in ("login", "consent"):
        page = await answer.text()
        assert "/interaction/" in str(answer.url), page
        found = re.search(r'action="([^"]+)"', page)
        assert found, page
        form = {"prompt": prompt, "login": name, "password": "any"}
        answer = await browser.post(URL(found[1], encoded=True), data=form)
    assert str(answer.url).startswith(f"{console}/console/oidc/callback?code="), answer.url
    return answer.status, await answer.text()


@pytest.mark.parametrize("in_id_token", [True, False], ids=["id-token", "userinfo"])
async def test_a_person_of_the_group_is_signed_in_and_another_is_not(
    pool: Pool,
    database_url: str,
    aiohttp_server: Callable[..., Awaitable[TestServer]],
    in_id_token: bool,
) -> None:
    port = unused_port()
    console = f"http://127.0.0.1:{port}"
    async with provider(f"{console}/console/oidc/callback", in_id_token=in_id_token) as issuer:
        await console_of(pool, database_url, port, issuer, aiohttp_server)
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
            status, page = await sign_in(browser, console, "ada")
            assert status == 200, page
            find = await (await browser.get(f"{console}/console/find")).text()
            assert "ada of the desk · operators" in find
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
            status, page = await sign_in(browser, console, "eve")
            assert (status, "none of the groups" in page) == (403, True)
    told = await pool.fetch(
        "SELECT details ->> 'subject' FROM billing_audit_log WHERE action = 'console.sign_in'"
    )
    assert [row[0] for row in told] == ["ada"]


async def test_who_says_no_there_is_told_so_here(
    pool: Pool, database_url: str, aiohttp_server: Callable[..., Awaitable[TestServer]]
) -> None:
    port = unused_port()
    console = f"http://127.0.0.1:{port}"
    async with provider(f"{console}/console/oidc/callback", in_id_token=True) as issuer:
        await console_of(pool, database_url, port, issuer, aiohttp_server)
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
            asked = await browser.get(f"{console}/console/oidc/start")
            abort = re.search(r'href="([^"]+/abort)"', await asked.text())
            assert abort
            refused = await browser.get(URL(abort[1], encoded=True))
            assert refused.status == 403
            assert "access_denied" in await refused.text()
