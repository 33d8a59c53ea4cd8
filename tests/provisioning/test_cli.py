"""`mpanel-billing provision` and `timeline`, as an operator types them."""

import json

from tests.commands import run
from tests.provisioning.conftest import ProvisioningSystem
from tests.provisioning.reference_server import ReferenceServer


async def test_what_is_stuck_is_listed_and_retried(
    system: ProvisioningSystem, database_url: str
) -> None:
    assert await run(database_url, "provision", "list") == (
        0,
        "nothing is stuck or suspended by an operator\n",
    )
    system.world.misbehave("hosting", "refuse")
    await system.deliver_subscription("active")
    await system.deliver_invoice("paid")
    await system.run()
    status, out = await run(database_url, "provision", "list")
    assert status == 0
    assert "hosting: HTTP 422: no" in out
    assert "waits for an operator" in out

    assert await run(database_url, "provision", "retry", "--all") == (0, "retrying 1\n")
    assert (await system.run()).done


async def test_what_a_service_says_is_kept_and_shown_without_addresses_cards_and_keys(
    system: ProvisioningSystem, database_url: str
) -> None:
    secrets = ("ada@example.com", "4242424242424242", "sk_live_51Habc", "\x1b")
    system.world.refusal = f"no:\n{' '.join(secrets)}[2J"
    system.world.misbehave("hosting", "refuse")
    await system.deliver_subscription("active")
    await system.deliver_invoice("paid")
    await system.pool.execute("UPDATE customers SET email = $1", secrets[0])
    id_ = await system.id_of()
    await system.run()
    tables = ("provisioning_log", "tenant_services", "provisioning_work", "billing_trouble")
    stored = [
        await system.pool.fetchval(f"SELECT jsonb_agg(t)::text FROM {table} AS t")
        for table in tables
    ]
    shown = [
        (await run(database_url, *words))[1]
        for words in (
            ("provision", "list"),
            ("provision", "show", str(id_)),
            ("provision", "log", str(id_)),
            ("timeline", str(id_)),
        )
    ]
    assert all(r"no: a***@example.com ****4242 sk_live_*** \x1b[2J" in text for text in shown)
    for text in (*stored[:1], *stored[2:], *shown):
        assert not any(secret in text for secret in secrets)
    # a command that is repeated has to be the same
    assert secrets[0] in str(system.world.calls[0].details)


async def test_a_suspension_is_placed_shown_and_lifted(
    system: ProvisioningSystem, database_url: str
) -> None:
    id_ = await system.sell()
    await run(database_url, "provision", "suspend", "sub_1", "--reason", "phishing")
    await system.run()
    _, listed = await run(database_url, "provision", "list")
    assert f"{id_}  suspended by grace" in listed
    _, shown = await run(database_url, "provision", "show", str(id_))
    assert shown.startswith("hosting     suspended  -> suspended   world:hosting-")
    assert await run(database_url, "provision", "lift", "sub_1") == (
        0,
        "lifting the suspension for: phishing\n",
    )
    status, out = await run(database_url, "provision", "lift", "sub_1")
    assert (status, out) == (1, "mpanel-billing: No operator has suspended this subscription.\n")

    _, logged = await run(database_url, "provision", "log", "sub_1")
    assert [line.split()[3] for line in logged.splitlines()] == ["create", "suspend"]
    _, told = await run(database_url, "timeline", "sub_1")
    for part in ("customer.subscription.updated", "create hosting: done", "suspended by grace"):
        assert part in told


async def test_an_unknown_subscription_is_one_line_and_exit_code_1(database_url: str) -> None:
    status, out = await run(database_url, "provision", "show", "sub_none")
    assert (status, out) == (1, "mpanel-billing: Subscription sub_none not found.\n")


async def test_drift_is_an_exit_code_until_it_is_repaired(
    system: ProvisioningSystem, database_url: str
) -> None:
    system.world.name = "http"
    id_ = await system.sell()
    system.world.accounts[0].actual = "suspended"
    async with ReferenceServer(system.world).running() as server:
        services = json.dumps({"hosting": server.endpoint()})
        checked = await run(database_url, "provision", "check", PROVISIONING_SERVICES=services)
        assert checked == (
            1,
            f"{id_} hosting: should be active, is suspended\n1 differ, 0 being repaired\n",
        )
        status, _ = await run(
            database_url, "provision", "check", "--fix", PROVISIONING_SERVICES=services
        )
        assert status == 0
    assert (await system.run()).done
    assert system.world.of(id_) == {"hosting": "active"}
