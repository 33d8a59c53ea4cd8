"""Access data that a service answers to a create: encrypted, handed out once, and nowhere else."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import Pool
from mpanel_billing.encryption import Vault
from mpanel_billing.privacy import erasure
from mpanel_billing.privacy.export import export
from mpanel_billing.privacy.repository import Who
from mpanel_billing.provisioning.drivers.registry import open_drivers
from mpanel_billing.retention.service import ages_of, prune
from tests.commands import run_command
from tests.provisioning.conftest import ProvisioningSystem
from tests.provisioning.reference_server import ReferenceServer
from tests.service import AppClient, make_app, make_settings

KEY = Fernet.generate_key().decode()
ACCESS = {"userName": "ada-7f3", "server": "web1.host.test", "link": "https://once.test/zq81xk"}
SECRETS = ("ada-7f3", "web1.host.test", "zq81xk")
BACKEND = "key-of-the-backend-of-the-panel"


@pytest.fixture
async def server() -> AsyncIterator[ReferenceServer]:
    async with ReferenceServer(access=ACCESS).running() as running:
        yield running


@pytest.fixture
async def hosted(
    system: ProvisioningSystem, server: ReferenceServer
) -> AsyncIterator[ProvisioningSystem]:
    """The system, with its hosting accounts at a service that answers access data."""
    services = {"hosting": server.endpoint()}
    async with open_drivers(make_settings(provisioning_services=services)) as drivers:
        vault = Vault((SecretStr(KEY),))
        system.provisioning = replace(system.provisioning, drivers=drivers, vault=vault)
        yield system


@pytest.fixture
async def client(
    database_url: str, aiohttp_client: Callable[..., Awaitable[AppClient]]
) -> AppClient:
    settings = make_settings(
        database_url=database_url, encryption_keys=KEY, billing_api_keys=BACKEND
    )
    return await aiohttp_client(make_app(settings))


async def fetch(client: AppClient, id_: object, **body: object) -> tuple[int, dict[str, Any]]:
    answer = await client.post(
        f"/api/billing/subscriptions/{id_}/services/hosting/access-data",
        json=body,
        headers={"Authorization": f"Bearer {BACKEND}"},
    )
    return answer.status, await answer.json()


async def everything(pool: Pool) -> str:
    """Return all rows of all tables as text."""
    names = await pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
    texts = [
        await pool.fetchval(f'SELECT jsonb_agg(t)::text FROM "{row["tablename"]}" AS t')
        for row in names
    ]
    return "\n".join(text for text in texts if text)


async def test_it_is_handed_out_once_and_is_nowhere_else(
    hosted: ProvisioningSystem, client: AppClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    id_ = await hosted.sell()
    stored = await everything(hosted.pool)
    assert "gAAAA" in stored, "it is kept, encrypted"
    assert not any(secret in stored for secret in SECRETS)

    stranger = "8b1f6c0e-5d0f-4a77-9a52-2f6f6f1f0c11"
    assert (await fetch(client, id_, customerId=stranger))[0] == 404
    status, given = await fetch(client, id_)
    assert (status, {name: given[name] for name in ACCESS}) == (200, ACCESS)
    status, refused = await fetch(client, id_)
    assert (status, refused["code"]) == (404, "no_access_data")

    stored = await everything(hosted.pool)
    assert "gAAAA" not in stored
    assert not any(secret in stored + caplog.text for secret in SECRETS)
    [entry] = await hosted.pool.fetch(
        "SELECT actor, details FROM billing_audit_entries WHERE action = 'subscription.access_data'"
    )
    assert entry["details"] == {"service": "hosting"}


async def test_a_repeated_answer_is_not_kept_again_once_it_was_handed_out(
    hosted: ProvisioningSystem, server: ReferenceServer, client: AppClient
) -> None:
    server.misbehaviours.append("500_after")
    await hosted.deliver_subscription("active")
    await hosted.deliver_invoice("paid")
    assert not (await hosted.run()).done
    id_ = await hosted.id_of()
    assert (await fetch(client, id_))[0] == 404
    await hosted.make_due()
    assert (await hosted.run()).done
    assert (await fetch(client, id_))[0] == 200
    # as if the worker had died before it stored the result of the create
    await hosted.pool.execute(
        "UPDATE tenant_services SET actual = 'absent', pending_action = 'create',"
        " pending_request = $1, resources = '{}'",
        server.requests[0]["details"],
    )
    await hosted.pool.execute("UPDATE provisioning_work SET version = version + 1")
    assert (await hosted.run()).done
    assert (await fetch(client, id_))[0] == 404


async def test_an_operator_gets_it_at_the_command_line(
    hosted: ProvisioningSystem, database_url: str
) -> None:
    await hosted.sell()
    words = ("provision", "access-data", "sub_1", "hosting")
    ended = await run_command(database_url, *words, ENCRYPTION_KEYS=KEY)
    assert ended.out == (
        "user name: ada-7f3\nserver: web1.host.test\nlink: https://once.test/zq81xk\n"
    )
    again = await run_command(database_url, *words, ENCRYPTION_KEYS=KEY)
    assert again.status != 0
    assert "handed out before" in again.err


async def test_without_its_key_it_stays_and_the_error_says_why(
    hosted: ProvisioningSystem, database_url: str
) -> None:
    await hosted.sell()
    words = ("provision", "access-data", "sub_1", "hosting")
    other = Fernet.generate_key().decode()
    refused = await run_command(database_url, *words, ENCRYPTION_KEYS=other)
    assert refused.status != 0
    assert "ENCRYPTION_KEYS" in refused.err
    both = await run_command(database_url, *words, ENCRYPTION_KEYS=f"{other},{KEY}")
    assert both.status == 0


async def test_without_any_key_nothing_is_kept_and_the_account_is_made(
    hosted: ProvisioningSystem, caplog: pytest.LogCaptureFixture
) -> None:
    hosted.provisioning = replace(hosted.provisioning, vault=Vault(()))
    await hosted.sell()
    assert await hosted.pool.fetchval("SELECT count(*) FROM billing_access_data") == 0
    assert "access data is not kept: ENCRYPTION_KEYS is missing" in caplog.text


@pytest.mark.parametrize("access", [{"userName": "a\nb"}, {"link": "x" * 3000}, "ada", {}])
async def test_what_is_not_as_the_contract_has_it_is_left_out(
    hosted: ProvisioningSystem, server: ReferenceServer, access: Any
) -> None:
    server.access = access
    await hosted.sell()
    assert await hosted.pool.fetchval("SELECT count(*) FROM billing_access_data") == 0


async def test_it_is_forgotten_in_time_exported_encrypted_and_erased(
    hosted: ProvisioningSystem,
) -> None:
    id_ = await hosted.sell()
    person = Who(stripe_customer_id="cus_1")
    held = await export(hosted.pool, person, Actor("grace"))
    assert [row["product_type"] for row in held["tables"]["billing_access_data"]] == ["hosting"]
    assert not any(secret in str(held) for secret in SECRETS)
    await hosted.pool.execute("UPDATE billing_access_data SET created_at = now() - interval '31 d'")
    pruned = await prune(hosted.pool, ages_of(make_settings()))
    assert pruned["access_data"] == 1
    assert await hosted.pool.fetchval("SELECT sealed FROM billing_access_data") is None
    await hosted.pool.execute("UPDATE billing_access_data SET sealed = 'gAAAA'")
    await hosted.deliver_subscription("canceled", ended_at=1, canceled_at=1)
    assert (await hosted.run()).done
    assert (await hosted.service())["actual"] == "terminated", id_
    await erasure.erase(hosted.pool, person, None, Actor("grace"))
    assert await hosted.pool.fetchval("SELECT count(*) FROM billing_access_data") == 0
