"""Web and worker are asked to stop under load, as in each deployment."""

import json

from tests.faults.convergence import check_converged
from tests.faults.ledger import Ledger
from tests.faults.load import under_load
from tests.faults.town import Town
from tests.provisioning.reference_server import ReferenceServer

ROUNDS = 2


async def test_web_processes_are_replaced(town: Town, ledger: Ledger) -> None:
    await town.start_worker()
    web = await town.start_web()
    async with under_load(town, buyers=2, senders=6) as load:
        for _ in range(ROUNDS):
            newer = await town.start_web()
            await load.reach(1)
            assert await web.stop() == 0
            web = newer
            await load.reach(1)
    await check_converged(town, load)
    assert town.journal.statuses() == {200}
    ledger.enter(
        f"SIGTERM to the web process under load, {ROUNDS} times, with its successor running",
        town.journal,
        recovered="not needed: no request is dropped",
    )


async def test_workers_are_replaced(town: Town, ledger: Ledger) -> None:
    async with ReferenceServer(delay=0.3).running() as server:
        driver = {"PROVISIONING_SERVICES": json.dumps({"hosting": server.endpoint()})}
        await town.start_web()
        worker = await town.start_worker(**driver)
        async with under_load(town, buyers=4) as load:
            for _ in range(ROUNDS):
                await load.reach(2)
                server.ordered.clear()
                await server.ordered.wait()  # a job is under way
                assert await worker.stop() == 0
                worker = await town.start_worker(**driver)
        await check_converged(town, load)
    hosting = [one for one in server.world.accounts if one.product_type == "hosting"]
    assert len({one.subscription_id for one in hosting}) == len(hosting)
    assert {one.actual for one in hosting} == {"active"}
    assert town.journal.statuses() == {200}
    ledger.enter(
        f"SIGTERM to the only worker during its jobs, {ROUNDS} times, then another worker",
        town.journal,
        recovered=f"pages wait for the next worker: {len(hosting)} accounts, each created once",
    )
