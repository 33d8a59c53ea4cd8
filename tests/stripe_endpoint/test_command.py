"""`mpanel-billing stripe endpoint`, as it is typed, against the sandbox."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import stripe
from typer.testing import CliRunner, Result

from mpanel_billing.cli.stripe import app
from mpanel_billing.database.pool import Pool
from mpanel_billing.mirror.types import EVENT_TYPES
from mpanel_billing.stripe_gateway.gateway import API_VERSION, StripeGateway
from mpanel_billing.webhooks.endpoint import PATH
from stripe_sandbox import Sandbox
from stripe_sandbox.client import SandboxClient
from tests.ports import unused_port
from tests.service import AppClient, make_app, make_settings

URL = "http://127.0.0.1:4242" + PATH

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def run(
    database_url: str, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    monkeypatch.chdir(tmp_path)
    environment = {
        "DATABASE_URL": database_url,
        "STRIPE_SECRET_KEY": "sk_test_of_the_tests",
        "STRIPE_API_BASE": sandbox.url,
    }

    async def run(*words: str, **more: str) -> Result:
        return await asyncio.to_thread(
            CliRunner().invoke, app, ["endpoint", *words], env=environment | more
        )

    return run


@pytest.fixture
async def v1(gateway: StripeGateway) -> Any:
    return gateway.client.v1


async def endpoints(v1: Any) -> list[stripe.WebhookEndpoint]:
    return list((await v1.webhook_endpoints.list_async()).data)


async def test_it_is_created_once_with_our_version_and_events_and_its_secret_is_shown_once(
    run: Run, v1: Any, pool: Pool
) -> None:
    done = await run("ensure", "--url", "http://127.0.0.1:4242")
    assert (done.exit_code, done.stderr) == (0, "")
    [made] = await endpoints(v1)
    assert (made.url, made.api_version, made.status) == (URL, API_VERSION, "enabled")
    assert set(made.enabled_events) == EVENT_TYPES
    assert len(re.findall(r"whsec_\w+", done.stdout)) == 1
    assert re.search(r"^STRIPE_WEBHOOK_SECRET=whsec_\w+$", done.stdout, re.MULTILINE)

    again = (await run("ensure", "--url", URL)).stdout
    assert again == f"no change: {made.id}, {URL}, API version {API_VERSION}\n"
    assert len(await endpoints(v1)) == 1

    rows = await pool.fetch("SELECT * FROM billing_audit_log ORDER BY id")
    assert [(row["action"], row["target_id"], row["outcome"]) for row in rows] == [
        ("stripe.endpoint_ensure", made.id, "done")
    ] * 2
    assert "whsec_" not in str([dict(row) for row in rows])


async def test_what_is_wrong_with_it_is_corrected(run: Run, v1: Any) -> None:
    await run("ensure", "--url", URL)
    [made] = await endpoints(v1)
    events = [*sorted(EVENT_TYPES - {"invoice.paid"}), "charge.updated"]
    await v1.webhook_endpoints.update_async(made.id, {"enabled_events": events, "disabled": True})
    planned = await run("ensure", "--url", URL, "--dry-run")
    assert planned.exit_code == 2
    assert planned.stdout == (
        f"would correct {made.id}: it is disabled; it lacks invoice.paid; "
        "it receives charge.updated, which we do not use\n"
    )
    assert set((await endpoints(v1))[0].enabled_events) == set(events)

    done = await run("ensure", "--url", URL)
    assert done.exit_code == 0
    assert f"corrected {made.id}" in done.stdout
    assert "whsec_" not in done.stdout
    [corrected] = await endpoints(v1)
    assert (corrected.status, set(corrected.enabled_events)) == ("enabled", EVENT_TYPES)
    planned = await run("ensure", "--url", URL, "--dry-run")
    assert (planned.exit_code, planned.stdout) == (0, f"{URL} needs no change\n")


async def test_a_version_is_changed_by_way_of_a_second_endpoint(run: Run, v1: Any) -> None:
    old = await v1.webhook_endpoints.create_async({"url": URL, "enabled_events": ["invoice.paid"]})
    out = (await run("ensure", "--url", URL, "--remove-old")).stdout
    assert "STRIPE_WEBHOOK_SECRET=<the one that is there now>,whsec_" in out
    assert f"{old.id} is still there, with the account's API version." in out
    assert "again with --remove-old" in out
    assert {one.api_version for one in await endpoints(v1)} == {None, API_VERSION}

    assert (await run("ensure", "--url", URL)).exit_code == 0
    assert len(await endpoints(v1)) == 2
    planned = await run("ensure", "--url", URL, "--remove-old", "--dry-run")
    assert planned.exit_code == 2
    assert planned.stdout == f"would delete {old.id} (the account's API version)\n"

    assert f"deleted {old.id}" in (await run("ensure", "--url", URL, "--remove-old")).stdout
    [left] = await endpoints(v1)
    assert left.api_version == API_VERSION


async def test_other_endpoints_of_the_account_are_left_alone(run: Run, v1: Any) -> None:
    other = await v1.webhook_endpoints.create_async(
        {"url": "https://shop.example.com/hooks", "enabled_events": ["*"]}
    )
    await run("ensure", "--url", URL, "--remove-old")
    assert other.id in {one.id for one in await endpoints(v1)}
    listed = (await run("list")).stdout
    assert len(listed.splitlines()) == 2
    assert f"{other.id}  enabled" in listed


async def test_an_unusable_address_is_refused_and_nothing_is_created(run: Run) -> None:
    live = {"STRIPE_SECRET_KEY": "sk_live_of_the_tests"}
    refused = await run("ensure", "--url", "http://billing.example.com", **live)
    assert str(refused.exception) == "In live mode Stripe sends webhooks only to https:// URLs."
    refused = await run("ensure", "--url", "https://localhost", STRIPE_API_BASE="")
    assert str(refused.exception).startswith("Stripe cannot reach localhost")
    assert (await run("list")).stdout == "no endpoints\n"


async def test_its_events_are_signed_with_its_secret(
    *,
    run: Run,
    stripe: SandboxClient,
    v1: Any,
    database_url: str,
    sandbox: Sandbox,
    pool: Pool,
    aiohttp_client: Callable[..., Awaitable[AppClient]],
) -> None:
    port = unused_port()
    made = await run("ensure", "--url", f"http://127.0.0.1:{port}")
    [secret] = re.findall(r"whsec_\w+", made.stdout)
    settings = make_settings(
        database_url=database_url, stripe_api_base=sandbox.url, stripe_webhook_secret=secret
    )
    await aiohttp_client(make_app(settings), server_kwargs={"port": port})
    await v1.customers.create_async({"email": "ada@example.com"})
    await stripe.wait_idle()
    assert await pool.fetchval("SELECT type FROM stripe_events") == "customer.created"
