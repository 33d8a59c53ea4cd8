"""`--state`: what is kept in a file, and what is said about one that cannot be used."""

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web

from stripe_sandbox import SandboxConfig, WebhookTarget, running_sandbox
from stripe_sandbox.archive import Archive, StateFileError
from stripe_sandbox.client import SandboxClient
from tests.stripe_sandbox.conftest import SECRET, connect, disconnect

DAY = 86_400


@pytest.fixture
def state(tmp_path) -> Path:
    return tmp_path / "of ours" / "state.sqlite"


async def fill(config: SandboxConfig, names=("Ada",)) -> list[str]:
    """Make customers in a sandbox that then stops."""
    async with running_sandbox(config) as sandbox:
        api = await connect(sandbox.url)
        made = [await api.v1.customers.create_async({"name": name}) for name in names]
        await disconnect(api)
    return [customer.id for customer in made]


async def test_ids_keys_and_time_are_kept(state):
    config = SandboxConfig(state_file=state)
    async with running_sandbox(config) as sandbox, SandboxClient(sandbox.url) as driver:
        api = await connect(sandbox.url)
        key = {"idempotency_key": "row-1"}
        customer = await api.v1.customers.create_async({"name": "Ada"}, key)
        gone = await api.v1.products.create_async({"name": "Gone"})
        await api.v1.products.delete_async(gone.id)
        later = await driver.advance_time(await driver.now() + 10 * DAY)
        await disconnect(api)
    async with running_sandbox(config) as sandbox, SandboxClient(sandbox.url) as driver:
        api = await connect(sandbox.url)
        again = await api.v1.customers.create_async({"name": "Ada"}, key)
        assert again.id == customer.id
        assert (await api.v1.customers.retrieve_async(customer.id)).name == "Ada"
        assert [one.id for one in (await api.v1.products.list_async()).data] == []
        assert later <= await driver.now() < later + DAY
        types = [event.type for event in (await api.v1.events.list_async()).data]
        assert types == ["product.deleted", "product.created", "customer.created"]
        await disconnect(api)


async def test_webhooks_that_were_not_delivered_are_sent_after_the_next_start(
    state, receiver, unused_tcp_port
):
    url = f"http://127.0.0.1:{unused_tcp_port}/hook"
    config = SandboxConfig(
        webhooks=(WebhookTarget(url, SECRET),), state_file=state, retry_delays=(0.05,)
    )
    made = await fill(config)  # nothing listens
    app = web.Application()
    app.router.add_post("/hook", receiver.receive)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    async with running_sandbox(config) as sandbox, SandboxClient(sandbox.url) as driver:
        await driver.wait_idle()
    await runner.cleanup()
    assert [event["data"]["object"]["id"] for event in receiver.events] == made


def refusal(state: Path) -> str:
    with pytest.raises(StateFileError) as caught:
        Archive(state)
    return str(caught.value)


async def test_a_damaged_file_is_refused(state):
    await fill(SandboxConfig(state_file=state), ["Ada", "Grace"] * 20)
    whole = state.read_bytes()
    for broken in (b"", b"not a database at all", whole[: len(whole) // 2], b"\0" * len(whole)):
        state.write_bytes(broken)
        assert refusal(state).startswith(f"{state}: ")
        assert state.read_bytes() == broken
    state.write_bytes(b"")
    assert "the state file is damaged (it is empty)" in refusal(state)
    state.write_bytes(whole)
    Archive(state).close()


async def test_an_object_that_cannot_be_read_is_named(state):
    await fill(SandboxConfig(state_file=state))
    with sqlite3.connect(state) as connection:
        connection.execute("UPDATE documents SET body = x'00' WHERE kind = 'customer'")
    connection.close()
    with pytest.raises(StateFileError, match="an object of kind customer cannot be read"):
        await fill(SandboxConfig(state_file=state))


@pytest.mark.parametrize(
    ("change", "found"), [("user_version = 1", "is 1"), ("application_id = 7", "is unknown")]
)
async def test_a_file_of_another_version_is_refused(state, change, found):
    await fill(SandboxConfig(state_file=state))
    connection = sqlite3.connect(state)
    connection.execute(f"PRAGMA {change}")
    connection.close()
    assert f"{state}: not a state file of this release (its format {found}" in refusal(state)


async def test_a_file_is_used_by_one_sandbox_at_a_time(state, unused_tcp_port):
    command = [sys.executable, "-m", "stripe_sandbox", f"--port={unused_tcp_port}", "--state"]
    async with running_sandbox(SandboxConfig(state_file=state)):
        done = await asyncio.to_thread(
            subprocess.run, [*command, str(state)], check=False, capture_output=True, text=True
        )
    assert done.returncode == 1
    assert done.stderr == f"stripe-sandbox: {state}: another sandbox is using this file\n"
    Archive(state).close()


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    assert refusal(tmp_path / "file" / "state.sqlite").endswith(": File exists")


def test_a_creation_that_was_cut_short_leaves_nothing_behind(state):
    state.parent.mkdir()
    state.with_name("state.sqlite.new").write_bytes(b"half")
    Archive(state).close()
    assert [path.name for path in state.parent.iterdir()] == ["state.sqlite"]
