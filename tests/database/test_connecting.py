"""An address with several servers: each has a time limit of its own."""

import asyncio
import socket
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from mpanel_billing.database import connecting
from mpanel_billing.database.connecting import NoServerError, connect, disconnect, find_writable
from mpanel_billing.database.pool import Pool, acquired, create_pool
from mpanel_billing.settings import DatabaseSettings
from tests.tcp_proxy import TcpProxy, silent_port
from tests.waiting import until_true

NAMED = {"server_settings": {"application_name": "one of several"}}
OPEN = "SELECT count(*) = $1 FROM pg_stat_activity WHERE application_name = 'one of several'"
REFUSED = "127.0.0.1", "1"

pytestmark = pytest.mark.own_database  # whose sessions end with their connections


@pytest.fixture(autouse=True)
def head_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "HEAD_START_SECONDS", 0.05)


@pytest.fixture
def silent() -> Iterator[tuple[str, str]]:
    """Host and port of a server that takes connections, and never responds."""
    with silent_port() as port:
        yield "127.0.0.1", str(port)


def socket_of(url: str) -> tuple[str, str]:
    params = parse_qs(urlsplit(url).query)
    return params["host"][0], params["port"][0]


def address(url: str, *servers: tuple[str, str], target: str = "read-write") -> str:
    """The address of a database on several servers."""
    hosts, ports = (",".join(part) for part in zip(*servers, strict=True))
    query = f"host={hosts}&port={ports}&sslmode=disable&target_session_attrs={target}"
    return f"postgresql://postgres:hunter2@{urlsplit(url).path}?{query}"


async def test_a_silent_first_server_does_not_use_up_the_time_of_the_second(
    database_url: str, silent: tuple[str, str]
) -> None:
    url = address(database_url, silent, socket_of(database_url))
    connection = await connect(url, timeout=2)
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()


async def test_a_pool_gets_past_servers_that_are_silent_or_refuse(
    database_url: str, silent: tuple[str, str]
) -> None:
    url = address(database_url, silent, REFUSED, silent, socket_of(database_url))
    settings = DatabaseSettings(_env_file=None, database_url=url)  # type: ignore[call-arg]
    async with await create_pool(settings) as pool, acquired(pool) as conn:
        assert await conn.fetchval("SELECT 1") == 1


async def test_if_there_is_none_each_reason_is_named_without_the_password(
    read_only_url: str, silent: tuple[str, str]
) -> None:
    url = address(read_only_url, silent, REFUSED, socket_of(read_only_url))
    with pytest.raises(NoServerError) as caught:
        await connect(url, timeout=2)
    folder, _ = socket_of(read_only_url)
    standby, refused, late = sorted(str(caught.value).split("; "), key=lambda text: "127" in text)
    assert standby.startswith(f"{folder}: None of the hosts match")
    assert sorted([refused[:9], late[:9]]) == ["127.0.0.1", "127.0.0.1"]
    assert "TimeoutError" in str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_a_single_server_fails_as_with_asyncpg(read_only_url: str) -> None:
    with pytest.raises(asyncpg.TargetServerAttributeNotMatched):
        await connect(address(read_only_url, socket_of(read_only_url)))


@pytest.mark.parametrize("target", ["any", "read-write", "primary", "prefer-standby"])
async def test_a_primary_is_what_these_ask_for_or_fall_back_to(
    database_url: str, target: str
) -> None:
    url = address(database_url, REFUSED, socket_of(database_url), target=target)
    connection = await connect(url)
    assert await connection.fetchval("SELECT NOT pg_is_in_recovery()")
    await connection.close()


@pytest.mark.parametrize("target", ["standby", "read-only"])
async def test_a_primary_is_not_what_these_ask_for(database_url: str, target: str) -> None:
    with pytest.raises(NoServerError):
        await connect(address(database_url, REFUSED, socket_of(database_url), target=target))


async def test_of_two_that_are_let_in_one_is_kept(
    database_url: str, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "HEAD_START_SECONDS", 0.0)
    url = address(database_url, *[socket_of(database_url)] * 3)
    connections = [await connect(url, **NAMED) for _ in range(5)]
    await until_true(pool, OPEN, len(connections))
    for connection in connections:
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()
    await until_true(pool, OPEN, 0)


async def test_whoever_gives_up_leaves_no_connection(
    database_url: str, pool: Pool, silent: tuple[str, str]
) -> None:
    url = address(database_url, silent, socket_of(database_url))
    for milliseconds in range(40, 70, 3):
        attempt = asyncio.create_task(connect(url, **NAMED))
        await asyncio.wait({attempt}, timeout=milliseconds / 1000)
        if not attempt.cancel():
            await attempt.result().close()
        await asyncio.wait({attempt})
    await until_true(pool, OPEN, 0)


async def test_the_winner_is_cut_if_the_caller_gives_up_while_the_others_end(
    database_url: str, pool: Pool, silent: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    won, drop = asyncio.Event(), connecting._drop

    async def drop_and_tell(*args: object) -> None:
        won.set()
        await drop(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(connecting, "_drop", drop_and_tell)
    attempt = asyncio.create_task(
        connect(address(database_url, silent, socket_of(database_url)), **NAMED)
    )
    await won.wait()
    assert attempt.cancel()
    await asyncio.wait({attempt})
    assert attempt.cancelled()
    await until_true(pool, OPEN, 0)


async def test_the_kernel_ends_connections_whose_other_side_is_gone(database_url: str) -> None:
    folder, port = socket_of(database_url)
    async with TcpProxy(f"{folder}/.s.PGSQL.{port}").running() as proxy:
        connection = await connect(address(database_url, ("127.0.0.1", str(proxy.port))))
        opened = connection._transport.get_extra_info("socket")
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 4
        connection.terminate()


async def test_closing_does_not_wait_for_a_server_that_is_silent(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "DISCONNECT_SECONDS", 0.1)
    folder, port = socket_of(database_url)
    async with TcpProxy(f"{folder}/.s.PGSQL.{port}").running() as proxy:
        connection = await connect(address(database_url, ("127.0.0.1", str(proxy.port))))
        proxy.silent = True
        under_way = asyncio.create_task(connection.execute("SELECT 1"))
        await asyncio.sleep(0)
        async with asyncio.timeout(30):
            await disconnect(connection)
        assert connection.is_closed()
        assert isinstance((await asyncio.gather(under_way, return_exceptions=True))[0], Exception)


async def test_dbmate_gets_the_one_that_accepts_writes(
    database_url: str, silent: tuple[str, str]
) -> None:
    found = await find_writable(
        address(database_url, silent, socket_of(database_url), target="any")
    )
    assert socket_of(found) == socket_of(database_url)
    assert "target_session_attrs" not in found
    assert "target_session_attrs" not in await find_writable(address(database_url, REFUSED))
