"""Web and worker are stopped under load, as in each deployment."""

import json

from tests.faults.convergence import check_converged
from tests.faults.deployment import Deployment
from tests.faults.load import under_load
from tests.faults.reliability_document import ReliabilityDocument
from tests.provisioning.reference_server import ReferenceServer

ROUNDS = 2


async def test_web_processes_are_replaced(
    deployment: Deployment, document: ReliabilityDocument
) -> None:
    await deployment.start_worker()
    web = await deployment.start_web()
    async with under_load(deployment, buyers=2, senders=6) as load:
        for _ in range(ROUNDS):
            newer = await deployment.start_web()
            await load.wait_for_purchases(1)
            assert await web.stop() == 0
            web = newer
            await load.wait_for_purchases(1)
    await check_converged(deployment, load)
    assert deployment.responses.statuses() == {200}
    document.record(
        f"SIGTERM to the web process under load, {ROUNDS} times, with its successor running",
        deployment.responses,
        recovered="not needed: no request is dropped",
    )


async def test_workers_are_replaced(deployment: Deployment, document: ReliabilityDocument) -> None:
    async with ReferenceServer(delay=0.3).running() as server:
        driver = {"PROVISIONING_SERVICES": json.dumps({"hosting": server.endpoint()})}
        await deployment.start_web()
        worker = await deployment.start_worker(**driver)
        async with under_load(deployment, buyers=4) as load:
            for _ in range(ROUNDS):
                await load.wait_for_purchases(2)
                server.ordered.clear()
                await server.ordered.wait()  # a job is running
                assert await worker.stop() == 0
                worker = await deployment.start_worker(**driver)
        await check_converged(deployment, load)
    hosting = [one for one in server.world.accounts if one.product_type == "hosting"]
    assert len({one.subscription_id for one in hosting}) == len(hosting)
    assert {one.actual for one in hosting} == {"active"}
    assert deployment.responses.statuses() == {200}
    document.record(
        f"SIGTERM to the only worker during its jobs, {ROUNDS} times, then another worker",
        deployment.responses,
        recovered=f"pages wait for the next worker: {len(hosting)} accounts, each created once",
    )
