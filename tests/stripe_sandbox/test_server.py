"""The sandbox as a process, and time that passes."""

import asyncio
import signal
import sys
from pathlib import Path

from tests.stripe_sandbox.conftest import connect, disconnect

PROGRAM = """
import asyncio, sys
from pathlib import Path
from stripe_sandbox import SandboxConfig, serve_sandbox
asyncio.run(serve_sandbox(SandboxConfig(state_file=Path(sys.argv[1]))))
"""


async def start(state: Path) -> tuple[asyncio.subprocess.Process, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(state), stdout=asyncio.subprocess.PIPE
    )
    line = (await process.stdout.readline()).decode()
    return process, line.split()[-1]


async def end(process: asyncio.subprocess.Process, number: signal.Signals) -> int:
    process.send_signal(number)
    await process.communicate()
    return process.returncode


async def test_acknowledged_changes_survive_a_kill_and_a_signal_stops_it_cleanly(tmp_path):
    state = tmp_path / "sandbox.sqlite"
    process, url = await start(state)
    api = await connect(url)
    customer = await api.v1.customers.create_async({"name": "Ada"}, {"idempotency_key": "row-1"})
    await disconnect(api)
    await end(process, signal.SIGKILL)

    process, url = await start(state)
    api = await connect(url)
    assert (await api.v1.customers.retrieve_async(customer.id)).name == "Ada"
    again = await api.v1.customers.create_async({"name": "Ada"}, {"idempotency_key": "row-1"})
    assert again.id == customer.id
    await disconnect(api)
    assert await end(process, signal.SIGTERM) == 0


async def test_time_passes_without_a_test_clock(shop):
    customer = await shop.api.v1.customers.create_async({"email": "ada@example.com"})
    subscription = await shop.api.v1.subscriptions.create_async(
        {
            "customer": customer.id,
            "items": [{"price": shop.prices["monthly"]}],
            "trial_end": customer.created + 2,
        }
    )
    assert subscription.status == "trialing"
    async with asyncio.timeout(30):
        while "customer.subscription.updated" not in shop.receiver.types():
            shop.receiver.arrived.clear()
            await shop.receiver.arrived.wait()
    assert (await shop.fetch(subscription.id)).status == "active"
    assert "customer.subscription.trial_will_end" in shop.receiver.types()
