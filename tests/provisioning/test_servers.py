"""Several servers for a product type, over HTTP: placement, full and failing ones, moves."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest

from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import create_pool
from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.provisioning import moves, operations
from mpanel_billing.provisioning.converge import provision_tenant_for_subscription
from mpanel_billing.provisioning.drivers.registry import open_drivers
from mpanel_billing.provisioning.lease import LeaseBusyError
from mpanel_billing.provisioning.placement import record_servers
from mpanel_billing.reconciliation.runs import mark_restored
from tests.commands import run_command
from tests.provisioning.conftest import ProvisioningSystem
from tests.provisioning.reference_server import ReferenceServer
from tests.provisioning.world import HostedAccount
from tests.service import make_settings

GRACE = Actor("grace")

COUNTED = """
    SELECT
        s.name,
        count(*) FILTER (WHERE kind = 'placed')
            + count(*) FILTER (WHERE kind IN ('creating', 'copying', 'cancelling') AND is_target)
            + count(*) FILTER (WHERE kind = 'terminating' AND NOT is_target),
        count(*) FILTER (WHERE kind IN ('creating', 'copying', 'cancelling') AND is_target),
        count(*) FILTER (WHERE kind IN ('creating', 'copying') AND NOT is_target)
    FROM billing_servers AS s
    LEFT JOIN (
        SELECT product_type, server, 'placed' AS kind, NULL::boolean AS is_target
        FROM tenant_services
        WHERE desired = 'active' OR actual IN ('active', 'suspended') OR pending_action IS NOT NULL
        UNION ALL
        SELECT product_type, to_server, state, TRUE FROM billing_moves
        UNION ALL
        SELECT product_type, from_server, state, FALSE FROM billing_moves
    ) AS of_server ON of_server.product_type = s.product_type AND of_server.server = s.name
    GROUP BY s.product_type, s.name
    ORDER BY s.product_type, s.name
"""
"""What each server carries, counted: accounts, of these moving here, and moving away."""


@dataclass
class Park:
    """Two servers for hosting, web1 and web2, and the system that sells accounts on them."""

    system: ProvisioningSystem
    servers: Mapping[str, ReferenceServer]
    stack: AsyncExitStack

    async def name(self, **said: Mapping[str, Any]) -> None:
        """Name servers in the setting, and what is said of each, as a worker that starts."""
        servers = {name: self.servers[name].endpoint(**more) for name, more in said.items()}
        await self.configure({"servers": servers} if servers else {})

    async def configure(self, hosting: Mapping[str, Any]) -> None:
        settings = make_settings(provisioning_services={"hosting": hosting})
        drivers = await self.stack.enter_async_context(open_drivers(settings))
        self.system.provisioning = replace(self.system.provisioning, drivers=drivers)
        await record_servers(self.system.pool, drivers)

    def accounts(self, server: str) -> list[HostedAccount]:
        return self.servers[server].world.accounts

    def counts(self) -> dict[str, int]:
        return {name: len(self.accounts(name)) for name in self.servers}

    async def sell(self, *ids: str) -> None:
        for id_ in ids:
            await self.system.sell(id_=id_)

    async def loads(self) -> dict[str, int]:
        """Return how many places are taken at each server; the kept sums are what counting says."""
        loads = await moves.list_servers(self.system.pool)
        kept = [(load.server, load.accounts, load.coming, load.leaving) for load in loads]
        assert kept == [tuple(row) for row in await self.system.pool.fetch(COUNTED)]
        return {load.server: load.accounts for load in loads}

    async def move(self, id_: str = "sub_1", to: str | None = None) -> str:
        subscription_id = await self.system.id_of(id_)
        return await moves.move_account(self.system.pool, subscription_id, "hosting", to, GRACE)

    async def confirm(self, id_: str = "sub_1", **more: bool) -> str:
        subscription_id = await self.system.id_of(id_)
        return await moves.confirm_move(self.system.pool, subscription_id, "hosting", GRACE, **more)

    async def state(self, id_: str = "sub_1") -> str:
        """Return the state of the latest move of a subscription's account."""
        return str(
            await self.system.pool.fetchval(
                "SELECT state FROM billing_moves WHERE subscription_id = $1"
                " ORDER BY id DESC LIMIT 1",
                await self.system.id_of(id_),
            )
        )

    def copy(self, origin: str, target: str) -> None:
        """Do what an operator does: copy all files to the accounts of the same subscriptions."""
        for old in self.accounts(origin):
            for new in self.accounts(target):
                if new.subscription_id == old.subscription_id:
                    new.files |= old.files


@pytest.fixture
async def park(system: ProvisioningSystem) -> AsyncIterator[Park]:
    async with (
        AsyncExitStack() as stack,
        ReferenceServer().running() as web1,
        ReferenceServer().running() as web2,
    ):
        yield Park(system, {"web1": web1, "web2": web2}, stack)


def ids(count: int) -> list[str]:
    return [f"sub_{number}" for number in range(1, count + 1)]


async def test_new_accounts_go_to_the_servers_by_weight_and_stay_there(park: Park) -> None:
    await park.name(web1={"weight": 2}, web2={})
    await park.sell(*ids(6))
    assert park.counts() == {"web1": 4, "web2": 2} == await park.loads()
    await park.name(web1={"weight": 1}, web2={"weight": 100})
    await operations.suspend(
        park.system.pool, await park.system.id_of("sub_1"), reason="x", operator="grace"
    )
    assert (await park.system.run("sub_1")).done
    assert park.counts() == {"web1": 4, "web2": 2}
    service = await park.system.service()
    holders = [s.world.of(await park.system.id_of("sub_1")) for s in park.servers.values()]
    assert {"hosting": "suspended"} in holders
    assert service["server"] in park.servers


async def test_accounts_placed_in_one_instant_never_exceed_a_capacity(park: Park) -> None:
    await park.name(web1={"capacity": 3}, web2={"capacity": 2})
    sold = ids(8)
    for id_ in sold:
        await park.system.deliver_subscription("active", id_=id_)
        await park.system.deliver_invoice("paid", f"in_{id_}", subscription=id_)
    outcomes = await asyncio.gather(*(park.system.run(id_) for id_ in sold))
    assert park.counts() == {"web1": 3, "web2": 2}
    errors = [outcome.error for outcome in outcomes if not outcome.done]
    assert len(errors) == 3
    assert all(
        error is not None
        and "No server for hosting can get the account: web1 has 3 of 3 accounts,"
        " web2 has 2 of 2 accounts."
        in error
        for error in errors
    )
    await park.name(web1={"capacity": 3}, web2={"capacity": 5})
    await park.system.make_due()
    assert all([(await park.system.run(id_)).done for id_ in sold])
    assert park.counts() == {"web1": 3, "web2": 5}


async def test_an_account_goes_only_where_its_tags_are(park: Park) -> None:
    await park.name(web1={}, web2={"tags": ["ssd", "eu"]})
    await park.system.pool.execute(
        'UPDATE products SET resources = resources || \'{"server_tags": "ssd"}\''
    )
    await park.sell(*ids(3))
    assert park.counts() == {"web1": 0, "web2": 3}
    with pytest.raises(ConflictError, match="web1 has no tag ssd"):
        await park.move()


async def test_a_failing_server_gets_no_new_accounts_until_it_answers(park: Park) -> None:
    await park.name(web1={"weight": 1000}, web2={})
    park.servers["web1"].misbehaviours.extend(["500"] * 3)
    await park.system.deliver_subscription("active")
    await park.system.deliver_invoice("paid")
    for _ in range(3):
        await park.system.make_due()
        assert not (await park.system.run()).done
    await park.sell("sub_2")
    assert park.counts() == {"web1": 0, "web2": 1}
    assert "server_failing" not in await park.system.troubles()
    await park.system.pool.execute(
        "UPDATE billing_servers SET failing_since = now() - interval '16 minutes'"
        " WHERE failing_since IS NOT NULL"
    )
    assert "server_failing" in await park.system.troubles()
    await park.system.make_due()
    assert (await park.system.run()).done
    assert "server_failing" not in await park.system.troubles()
    await park.sell("sub_3")
    assert park.counts() == {"web1": 2, "web2": 1}


async def test_a_server_that_leaves_the_setting_with_accounts_on_it_is_trouble(park: Park) -> None:
    await park.name(web1={"weight": 1000}, web2={})
    await park.sell("sub_1")
    await park.name(web2={})
    [row] = [row for row in await park.system.trouble() if row["trouble"] == "server_left"]
    assert "it has 1 accounts" in row["detail"]
    await operations.suspend(
        park.system.pool, await park.system.id_of(), reason="x", operator="grace"
    )
    outcome = await park.system.run()
    assert outcome.error is not None
    assert "The server web1 of this account is not in PROVISIONING_SERVICES" in outcome.error
    await park.name(web1={}, web2={})
    await operations.retry(park.system.pool, await park.system.id_of())
    assert (await park.system.run()).done
    assert await park.system.troubles() == []
    assert [account.actual for account in park.accounts("web1")] == ["suspended"]


async def test_accounts_from_before_the_servers_had_names_get_the_name_of_theirs(
    park: Park,
) -> None:
    await park.configure(park.servers["web1"].endpoint())
    await park.sell("sub_1")
    await park.name(web1={"unnamed": True}, web2={"weight": 100})
    assert await park.loads() == {"web1": 1, "web2": 0}
    await park.sell("sub_2")
    assert park.counts() == {"web1": 1, "web2": 1}
    assert await park.move(to="web2") == "web2"


async def test_the_load_of_a_server_empties_to_another(park: Park, database_url: str) -> None:
    await park.name(web1={"weight": 1000}, web2={"capacity": 4})
    sold = ids(4)
    await park.sell(*sold)
    await operations.suspend(
        park.system.pool, await park.system.id_of("sub_2"), reason="x", operator="grace"
    )
    await park.system.run("sub_2")
    for number, account in enumerate(park.accounts("web1")):
        account.files.add(f"site {number}")
    before = {account.subscription_id: account.files for account in park.accounts("web1")}

    drained = await run_command(database_url, "provision", "drain", "web1", "--to", "web2")
    assert (drained.status, drained.out) == (0, "moving 4 accounts away from web1\n")
    again = await run_command(database_url, "provision", "drain", "web1", "--to", "web2")
    assert again.out == "moving 0 accounts away from web1\n"
    assert all([(await park.system.run(id_)).done for id_ in sold])
    # both have it: the old one serves it until somebody says that the data was moved
    assert park.counts() == {"web1": 4, "web2": 4} == await park.loads()
    listed = await run_command(database_url, "provision", "moves", "--server", "web1")
    assert listed.out.count("waits for its data") == 4
    assert (await park.system.service())["server"] == "web1"

    park.copy("web1", "web2")
    confirmed = await run_command(database_url, "provision", "drained", "web1")
    assert confirmed.out == "4 accounts of web1 are at their new servers now\n"
    assert all([(await park.system.run(id_)).done for id_ in sold])
    assert park.counts() == {"web1": 0, "web2": 4} == await park.loads()
    after = {account.subscription_id: account.files for account in park.accounts("web2")}
    assert after == before
    held = await park.system.id_of("sub_2")
    assert {a.subscription_id: a.actual for a in park.accounts("web2")}[held] == "suspended"
    assert await park.system.troubles() == []
    shown = await run_command(database_url, "provision", "servers")
    assert "web1              0 accounts  weight 1000  emptied by cli:" in shown.out
    assert "web2              4 of 4 accounts  weight 1" in shown.out


async def test_a_server_that_moves_the_data_itself_needs_no_operator(park: Park) -> None:
    await park.name(web1={"weight": 1000}, web2={})
    await park.sell("sub_1")
    park.accounts("web1")[0].files.add("site")
    park.servers["web2"].fetches_from = park.servers["web1"].world
    await park.move(to="web2")
    assert (await park.system.run()).done
    assert park.counts() == {"web1": 0, "web2": 1}
    assert park.accounts("web2")[0].files == {"site"}
    assert await park.state() == "done"
    sent = park.servers["web2"].requests[0]["details"]["movedFrom"]
    assert sent == {
        "server": "web1",
        "externalRef": park.servers["web1"].world.terminated[0].reference,
        "domains": [],
    }


async def test_nothing_is_lost_or_made_twice_wherever_a_run_is_killed(
    park: Park, database_url: str
) -> None:
    """Cut a run after its first statement, the next after its second, and so on."""
    await park.name(web1={"weight": 1000}, web2={})
    await park.sell("sub_1")
    park.accounts("web1")[0].files.add("site")
    subscription_id = await park.system.id_of()
    await park.move(to="web2")
    for statements in range(1, 30):
        await run_and_kill(park, database_url, subscription_id, statements)
        if await park.state() == "copying":
            park.copy("web1", "web2")
            with suppress(ConflictError):
                await park.confirm()
        alive = [a for name in park.servers for a in park.accounts(name) if "site" in a.files]
        assert alive
        assert all(count <= 1 for count in park.counts().values())
        await park.loads()
        await park.system.kill_run()
        await park.system.make_due()
    assert (await park.system.run()).done
    assert await park.state() == "done"
    assert park.counts() == {"web1": 0, "web2": 1}
    assert park.accounts("web2")[0].files == {"site"}
    service = await park.system.service()
    assert (service["server"], service["external_ref"]) == (
        "web2",
        park.accounts("web2")[0].reference,
    )


async def run_and_kill(
    park: Park, database_url: str, subscription_id: UUID, statements: int
) -> None:
    """Run the subscription's job on connections that are cut at a statement."""
    settings = make_settings(database_url=database_url, database_pool_min=1, database_pool_max=1)
    pool = await create_pool(settings)
    left = statements

    def count(_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            pool.terminate()
            run.cancel()

    connection = await pool.acquire()
    connection.add_query_logger(count)
    await pool.release(connection)
    provisioning = replace(park.system.provisioning, pool=pool)
    run = asyncio.create_task(provision_tenant_for_subscription(provisioning, subscription_id))
    [ended] = await asyncio.gather(run, return_exceptions=True)
    pool.terminate()
    cut = left <= 0
    assert cut or not isinstance(ended, BaseException) or isinstance(ended, LeaseBusyError), ended


@pytest.mark.parametrize("wrong", ["500", "500_after", "cut_after", "forget", "garbage"])
async def test_a_server_that_misbehaves_delays_a_move_and_spoils_nothing(
    park: Park, wrong: Any
) -> None:
    await park.name(web1={"weight": 1000}, web2={})
    await park.sell("sub_1")
    await park.move(to="web2")
    park.servers["web2"].misbehaviours.append(wrong)
    assert not (await park.system.run()).done
    await park.system.make_due()
    assert (await park.system.run()).done
    assert park.counts() == {"web1": 1, "web2": 1}
    await park.confirm()
    park.servers["web1"].misbehaviours.append(wrong)
    assert not (await park.system.run()).done
    assert (await park.system.service())["server"] == "web2"
    await park.system.make_due()
    assert (await park.system.run()).done
    assert park.counts() == {"web1": 0, "web2": 1}


async def test_a_move_that_is_refused_waits_for_an_operator_and_the_account_stays(
    park: Park,
) -> None:
    await park.name(web1={"weight": 1000}, web2={})
    await park.sell("sub_1")
    await park.move(to="web2")
    park.servers["web2"].misbehaviours.append("422")
    assert (await park.system.run()).done
    assert await park.system.troubles() == ["move_failed"]
    await park.system.run()
    assert park.counts() == {"web1": 1, "web2": 0}
    await operations.retry(park.system.pool, await park.system.id_of())
    assert (await park.system.run()).done
    assert await park.system.troubles() == []
    assert park.counts() == {"web1": 1, "web2": 1}


async def test_a_move_that_is_called_off_deletes_only_the_new_account(park: Park) -> None:
    await park.name(web1={"weight": 1000}, web2={})
    await park.sell("sub_1")
    id_ = await park.system.id_of()
    await park.move(to="web2")
    park.servers["web2"].misbehaviours.append("500_after")
    await park.system.run()
    assert await moves.cancel_move(park.system.pool, id_, "hosting", GRACE) == "web1"
    assert (await park.system.run()).done
    assert park.counts() == {"web1": 1, "web2": 0}
    assert await park.state() == "cancelled"
    with pytest.raises(ConflictError, match="No move of the account"):
        await moves.cancel_move(park.system.pool, id_, "hosting", GRACE)
    assert await park.move(to="web2") == "web2"


async def test_a_subscription_that_ends_while_its_account_moves_leaves_none_behind(
    park: Park,
) -> None:
    await park.name(web1={"weight": 1000}, web2={})
    await park.sell("sub_1")
    await park.move(to="web2")
    assert (await park.system.run()).done
    await park.system.deliver_subscription("canceled", ended_at=1, canceled_at=1)
    assert (await park.system.run()).done
    await park.system.make_due()
    assert (await park.system.run()).done
    assert park.counts() == {"web1": 0, "web2": 0}
    assert await park.state() == "cancelled"


async def test_accounts_leave_a_server_that_is_gone_for_good(park: Park) -> None:
    await park.name(web1={"weight": 1000}, web2={})
    await park.sell("sub_1")
    await park.move(to="web2")
    assert (await park.system.run()).done
    await park.name(web2={})
    await park.confirm(is_server_gone=True)
    assert (await park.system.run()).done
    assert (await park.system.service())["server"] == "web2"
    assert await park.state() == "done"
    assert "server_left" not in await park.system.troubles()


async def test_after_a_restored_backup_an_account_is_found_on_the_server_that_has_it(
    park: Park,
) -> None:
    await park.name(web1={"weight": 1000}, web2={})
    await park.sell("sub_1")
    park.servers["web2"].fetches_from = park.servers["web1"].world
    await park.move(to="web2")
    assert (await park.system.run()).done
    [moved] = park.accounts("web2")
    pool, id_ = park.system.pool, await park.system.id_of()
    await pool.execute("DELETE FROM billing_moves")
    await pool.execute(
        "UPDATE tenant_services SET server = 'web1', external_ref = 'before', generation = 1"
    )
    await mark_restored(pool, GRACE)
    await operations.retry(pool, id_)
    assert (await park.system.run()).done
    service = await park.system.service()
    assert (service["server"], service["external_ref"]) == ("web2", moved.reference)

    # the backup was made while it moved: nobody but a person knows which one is in use
    twin = replace(moved, reference="hosting-twin", made_by="")
    park.accounts("web1").append(twin)
    await mark_restored(pool, GRACE)
    await operations.retry(pool, id_)
    with pytest.raises(ConflictError, match="is on web1 and web2: a move was under way"):
        await park.system.run()


async def test_what_cannot_move_is_refused_with_the_reason(park: Park) -> None:
    await park.name(web1={"weight": 1000}, web2={"capacity": 1})
    await park.sell("sub_1", "sub_2", "sub_3")
    with pytest.raises(NotFoundError, match="No server web9 for hosting is on record"):
        await park.move(to="web9")
    with pytest.raises(ConflictError, match="No account for hosting waits for its data"):
        await park.confirm()
    await park.move("sub_1", "web2")
    assert await park.move("sub_1", "web2") == "web2"
    with pytest.raises(ConflictError, match="web2 has 1 of 1 accounts"):
        await park.move("sub_2", "web2")
    id_ = await park.system.id_of("sub_3")
    [third] = [each for each in park.accounts("web1") if each.subscription_id == id_]
    third.suspend_for("spam")
    await park.system.pool.execute(
        "UPDATE tenant_services SET suspended_by_service = 'spam' WHERE subscription_id = $1",
        third.subscription_id,
    )
    with pytest.raises(ConflictError, match="itself has suspended the account"):
        await park.move("sub_3", "web2")
    emptied = await moves.drain_server(park.system.pool, "web1", GRACE)
    assert emptied.begun == 0
    assert sum(emptied.left.values()) == 2
    with pytest.raises(NotFoundError, match="No server web9"):
        await moves.drain_server(park.system.pool, "web9", GRACE)


async def test_data_that_nobody_moves_is_trouble_after_three_days(park: Park) -> None:
    await park.name(web1={"weight": 1000}, web2={})
    await park.sell("sub_1")
    await park.move(to="web2")
    await park.system.run()
    assert await park.system.troubles() == []
    await park.system.pool.execute(
        "UPDATE billing_moves SET updated_at = now() - interval '3 days 1 minute'"
    )
    [row] = await park.system.trouble()
    assert row["trouble"] == "move_waits"
    assert "moved from web1 (" in row["detail"]
