"""`mpanel-billing stripe portal` sets up Stripe's portal, and sessions open with it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from mpanel_billing.access.audit import Actor
from mpanel_billing.cli.stripe import app
from mpanel_billing.database.pool import Pool
from mpanel_billing.doctor.finding import Status
from mpanel_billing.doctor.portal import check_portal, judge_default, judge_ours
from mpanel_billing.errors import StripeError
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.portal_configurations import PortalConfiguration
from mpanel_billing.subscriptions.lookup import CustomerRef
from mpanel_billing.subscriptions.portal import PortalLook, PortalOf, open_portal_session
from stripe_sandbox import Sandbox
from tests.service import make_settings
from tests.subscriptions.conftest import Backend
from tests.subscriptions.test_drafts import mirror_of

Run = Callable[..., Awaitable[Result]]
SITE = "https://panel.test/billing"
PLAN_CHANGES = {"subscription_update": {"enabled": True}}


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

    async def run(*words: str) -> Result:
        return await asyncio.to_thread(
            CliRunner().invoke, app, ["portal", "ensure", *words], env=environment
        )

    return run


async def configurations(gateway: StripeGateway) -> list[Any]:
    page = await gateway.client.v1.billing_portal.configurations.list_async()
    return [each.to_dict() for each in page.data]


async def test_it_is_made_once_without_changes_of_plan(
    run: Run, gateway: StripeGateway, pool: Pool
) -> None:
    assert (await run("--dry-run")).exit_code == 2
    done = await run()
    (made,) = await configurations(gateway)
    assert done.exit_code == 0, done.output
    assert f"created {made['id']}" in done.output
    assert f"STRIPE_PORTAL_CONFIGURATION={made['id']}" in done.output
    enabled = {name for name, feature in made["features"].items() if feature["enabled"]}
    assert enabled == {
        "customer_update",
        "invoice_history",
        "payment_method_update",
        "subscription_cancel",
    }
    again = await run()
    assert f"no change: {made['id']}" in again.output
    assert (await run("--dry-run")).exit_code == 0
    actions = await pool.fetch("SELECT action, outcome FROM billing_audit_entries ORDER BY id")
    assert {tuple(row) for row in actions[-1:]} == {("stripe.portal_ensure", "done")}


async def test_what_was_changed_in_the_dashboard_is_corrected(
    run: Run, gateway: StripeGateway
) -> None:
    await run()
    (made,) = await configurations(gateway)
    api = gateway.client.v1.billing_portal.configurations
    await api.update_async(made["id"], {"features": PLAN_CHANGES})  # type: ignore[arg-type]
    done = await run()
    assert "subscription_update.enabled is not off: corrected" in done.output
    (mended,) = await configurations(gateway)
    assert mended["features"] == made["features"]


async def test_cancelling_there_can_be_turned_off(run: Run, gateway: StripeGateway) -> None:
    await run()
    done = await run("--no-cancel")
    assert "subscription_cancel.enabled is not off: corrected" in done.output
    (mended,) = await configurations(gateway)
    assert mended["features"]["subscription_cancel"]["enabled"] is False


async def test_doctor_checks_the_configuration_that_is_set(
    run: Run, gateway: StripeGateway, sandbox: Sandbox
) -> None:
    await run()
    (made,) = await configurations(gateway)
    for named, status in ((made["id"], Status.OK), ("bpc_unknown", Status.FAILED)):
        settings = make_settings(stripe_api_base=sandbox.url, stripe_portal_configuration=named)
        (finding,) = await check_portal(gateway, settings)
        assert finding.status is status, finding


def _configuration(*, active: bool = True, features: Any = ()) -> PortalConfiguration:
    return PortalConfiguration("bpc_1", active, True, dict(features), {})


def test_doctor_warns_of_a_portal_that_changes_plans() -> None:
    changing = _configuration(features=PLAN_CHANGES)
    assert judge_default(changing, sandboxed=False).status is Status.WARNING
    assert judge_ours(changing).status is Status.WARNING
    assert judge_ours(_configuration(active=False)).status is Status.FAILED
    assert judge_default(None, sandboxed=False).status is Status.WARNING
    assert judge_default(None, sandboxed=True).status is Status.OK
    assert judge_default(_configuration(), sandboxed=False).status is Status.OK


async def test_sessions_open_with_it_and_name_one_that_stripe_lacks(
    backend: Backend, bought: str, run: Run, gateway: StripeGateway
) -> None:
    await run()
    (made,) = await configurations(gateway)
    mirror = mirror_of(backend)
    row = await backend.service.row("SELECT customer_id FROM subscriptions")
    named, by = CustomerRef(row["customer_id"]), Actor("cli:grace@panel")
    url = await open_portal_session(mirror, by, named, PortalOf(), PortalLook(SITE, made["id"]))
    assert url.startswith("http")
    with pytest.raises(StripeError, match="which STRIPE_PORTAL_CONFIGURATION names"):
        await open_portal_session(mirror, by, named, PortalOf(), PortalLook(SITE, "bpc_unknown"))
