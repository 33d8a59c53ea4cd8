"""What was brought back finds its accounts, and goes on after the numbers that were seen."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import uuid4

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from mpanel_billing.access.audit import Actor
from mpanel_billing.errors import ConflictError
from mpanel_billing.provisioning.adoption import NotInspectedError
from mpanel_billing.provisioning.drivers.registry import open_drivers
from mpanel_billing.provisioning.operations import retry, settle_trouble
from mpanel_billing.reconciliation.runs import RunRequest, mark_restored, open_run
from tests.commands import run
from tests.provisioning.conftest import ProvisioningSystem
from tests.provisioning.reference_server import ReferenceServer
from tests.service import make_settings

BY = Actor("cli:tests@here")


async def forget_accounts(system: ProvisioningSystem) -> None:
    """Lose what is on record of the accounts, as an older backup does."""
    await system.pool.execute("DELETE FROM tenant_services")
    await mark_restored(system.pool, BY)
    await retry(system.pool, await system.id_of())


async def test_an_account_that_is_there_is_not_made_again(
    hosted: ProvisioningSystem, server: ReferenceServer
) -> None:
    await hosted.sell()
    server.world.results.clear()  # the service has forgotten the command too
    await forget_accounts(hosted)
    assert (await hosted.run()).done
    [account] = hosted.world.accounts
    service = await hosted.service()
    assert (service["actual"], service["external_ref"]) == ("active", account.reference)
    assert [request["action"] for request in server.requests] == ["create"]


async def test_nothing_is_made_while_the_service_cannot_say(
    hosted: ProvisioningSystem, server: ReferenceServer
) -> None:
    await hosted.sell()
    await forget_accounts(hosted)
    nowhere = {"hosting": server.endpoint() | {"url": "http://127.0.0.1:1/v1"}}
    async with open_drivers(make_settings(provisioning_services=nowhere)) as drivers:
        reachable = hosted.provisioning
        hosted.provisioning = replace(reachable, drivers=drivers)
        with pytest.raises(NotInspectedError):
            await hosted.run()
    assert "is not known" in (await hosted.work())["last_error"]
    hosted.provisioning = reachable
    await hosted.make_due()
    assert (await hosted.run()).done
    assert len(hosted.world.accounts) == 1


async def test_an_account_of_another_subscription_is_not_taken(
    hosted: ProvisioningSystem,
) -> None:
    await hosted.sell()
    await forget_accounts(hosted)
    [account] = hosted.world.accounts
    other = await hosted.sell(id_="sub_2")
    await hosted.pool.execute(
        "UPDATE tenant_services SET external_ref = $2 WHERE subscription_id = $1",
        other,
        account.reference,
    )
    with pytest.raises(ConflictError, match=f"{account.reference} for hosting belongs to another"):
        await hosted.run()
    assert len(hosted.world.accounts) == 2


async def test_commands_go_on_after_the_highest_number_that_the_service_has_seen(
    hosted: ProvisioningSystem, server: ReferenceServer
) -> None:
    subscription_id = await hosted.sell()
    [account] = hosted.world.accounts
    account.generation = 7
    server.world.generations[subscription_id, "hosting"] = 7
    await hosted.deliver_subscription("unpaid")
    assert (await hosted.run()).done
    assert account.actual == "suspended"
    assert [request["generation"] for request in server.requests] == [1, 2, 8]
    assert (await hosted.service())["generation"] == 8


@asynccontextmanager
async def _stripe_that_refuses_the_key() -> AsyncIterator[str]:
    async def refuse(_: web.Request) -> web.Response:
        error = {"type": "invalid_request_error", "message": "Invalid API Key provided"}
        return web.json_response({"error": error}, status=401)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    async with TestServer(app) as server:
        yield str(server.make_url("/")).rstrip("/")


async def test_a_restored_database_is_marked_on_the_command_line(
    hosted: ProvisioningSystem, database_url: str
) -> None:
    await hosted.sell()
    status, out = await run(database_url, "reconcile", "--restored", "--dry-run")
    assert (status, "--restored" in out) == (2, True)
    assert await hosted.pool.fetchval("SELECT count(*) FROM billing_adoptions") == 0
    backed_up = await open_run(hosted.pool, RunRequest("command", livemode=False, since_days=1))
    async with _stripe_that_refuses_the_key() as url:
        options = ("--restored", "--since", "1")
        await run(database_url, "reconcile", *options, STRIPE_API_BASE=url)
    marked = await hosted.inbox.row("SELECT source, inspected_at FROM billing_adoptions")
    assert tuple(marked) == ("backup", None)
    unfinished = "SELECT id FROM billing_reconcile_runs WHERE outcome IS DISTINCT FROM 'abandoned'"
    assert await hosted.pool.fetchval(unfinished) != backed_up
    audited = "SELECT count(*) FROM billing_audit_log WHERE action = 'reconcile.restored'"
    assert await hosted.pool.fetchval(audited) == 1


async def test_what_could_not_be_brought_back_is_settled_by_an_operator(
    hosted: ProvisioningSystem,
) -> None:
    subscription_id = await hosted.sell()
    await hosted.pool.execute(
        "INSERT INTO billing_adoptions (subscription_id, source, order_id, problem)"
        " VALUES ($1, 'stripe', $2, 'a fault')",
        subscription_id,
        uuid4(),
    )
    trouble = "SELECT count(*) FROM billing_trouble WHERE trouble = 'not_adopted'"
    assert await hosted.pool.fetchval(trouble) == 1
    await settle_trouble(hosted.pool, subscription_id, BY)
    assert await hosted.pool.fetchval(trouble) == 0
