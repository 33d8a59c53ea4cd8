"""DATABASE_URL as mPanel's .env has it, and that migrations and service agree about TLS."""

import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from mpanel_billing.database import migrations
from mpanel_billing.database.pool import acquired, create_pool
from mpanel_billing.database_url import DatabaseUrl, read_database_url, servers_of
from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.errors import DatabaseUnavailableError, SettingsError
from mpanel_billing.settings import DatabaseSettings, load_database_settings
from tests.tcp_proxy import TcpProxy

AUTHORITIES = quote(str(Path(__file__)), safe="")
"""Any file that can be read."""

OURS = "postgresql://x:hunter%232@db:5432/mpanel"


@pytest.mark.parametrize(
    ("params", "kept", "ignored"),
    [
        ("schema=public", "", ("schema",)),
        (
            "schema=public&connection_limit=5&pool_timeout=10&sslmode=require",
            "sslmode=require",
            ("schema", "connection_limit", "pool_timeout"),
        ),
        ("sslmode=require&sslaccept=accept_invalid_certs", "sslmode=require", ("sslaccept",)),
        (
            f"sslmode=require&sslaccept=strict&sslcert={AUTHORITIES}",
            f"sslmode=verify-full&sslrootcert={AUTHORITIES}",
            ("sslaccept",),
        ),
    ],
)
def test_what_is_meant_for_prisma_is_translated_or_ignored(
    params: str, kept: str, ignored: tuple[str, ...]
) -> None:
    query = f"?{kept}" if kept else ""
    assert read_database_url(f"{OURS}?{params}") == DatabaseUrl(f"{OURS}{query}", ignored)


@pytest.mark.parametrize("params", ["", "?sslmode=require", "?target_session_attrs=read-write"])
def test_an_address_without_them_is_left_as_it_is(params: str) -> None:
    assert read_database_url(OURS + params) == DatabaseUrl(OURS + params)


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ("schema=shop", "mPanel's tables must be in the schema public"),
        ("sslidentity=client.p12", "use sslcert, sslkey and sslrootcert"),
        ("pgbouncer=true", "set DATABASE_DIRECT_URL too"),
        ("sslmode=verify-full&sslrootcert=gone.pem", "sslrootcert=gone.pem, which cannot be read"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, params: str, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", f"{OURS}?{params}")
    with pytest.raises(SettingsError, match=reason) as caught:
        load_database_settings()
    assert "hunter" not in str(caught.value)


@pytest.fixture
def server(run_dir: Path, worker_id: str, unused_tcp_port: int) -> Iterator[EmbeddedPostgres]:
    """A server on TCP, as mPanel's is; it has no TLS."""
    server = EmbeddedPostgres(run_dir / f"tcp-{worker_id}", port=unused_tcp_port, durable=False)
    with server:
        if not server.has_database("billing"):
            server.create_database("billing")
        yield server


def address(server: EmbeddedPostgres, query: str = "") -> str:
    return server.url("billing").partition("?")[0] + query


async def works(url: str) -> None:
    """Migrate, read the status, and read through the service's pool."""
    await migrations.migrate(url)
    assert all(each.applied for each in await migrations.status(url))
    settings = DatabaseSettings(_env_file=None, database_url=url)  # type: ignore[call-arg]
    async with await create_pool(settings) as pool:
        assert await pool.fetchval("SELECT count(*) FROM products") == 0


async def test_a_socket_needs_no_sslmode(empty_database_url: str) -> None:
    await works(empty_database_url.removesuffix("&sslmode=disable"))


async def test_the_address_of_prisma_works_without_tls(server: EmbeddedPostgres) -> None:
    await works(address(server, "?schema=public&connection_limit=5"))


def make_certificate(file: Path, name: str = "IP:127.0.0.1") -> Path:
    """Make a certificate for a name that signs itself; its key is next to it."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    names = ["-subj", "/CN=localhost", "-addext", f"subjectAltName={name}"]
    files = ["-nodes", "-keyout", str(file.with_suffix(".key")), "-out", str(file)]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    return file


@asynccontextmanager
async def with_tls(database_url: str, certificate: Path) -> AsyncIterator[str]:
    """The address of the database on a server that takes connections with TLS only."""
    parts = urlsplit(database_url)
    [folder] = parse_qs(parts.query)["host"]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    async with TcpProxy(f"{folder}/.s.PGSQL.5432", context).running() as proxy:
        yield f"postgresql://postgres@127.0.0.1:{proxy.port}{parts.path}"


needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is not installed"
)


@pytest.mark.equipment
@needs_openssl
async def test_migrations_and_service_use_tls_where_the_server_has_it(
    empty_database_url: str, tmp_path: Path
) -> None:
    certificate = make_certificate(tmp_path / "server.crt")
    async with with_tls(empty_database_url, certificate) as url:
        await works(url)
        await works(f"{url}?sslmode=require&sslaccept=strict&sslcert={certificate}")


async def is_trusted_by_migrations(url: str) -> bool:
    try:
        await migrations.status(url)
    except migrations.MigrationError as error:
        if "certificate" not in str(error):
            raise
        return False
    return True


async def is_trusted_by_the_service(url: str) -> bool:
    settings = DatabaseSettings(_env_file=None, database_url=url)  # type: ignore[call-arg]
    async with await create_pool(settings) as pool:
        try:
            async with acquired(pool) as connection:
                await connection.execute("SELECT 1")
        except DatabaseUnavailableError as error:
            if not isinstance(error.__cause__, ssl.SSLCertVerificationError):
                raise
            return False
    return True


@pytest.mark.equipment
@needs_openssl
@pytest.mark.parametrize(
    ("query", "trusted", "trusted_under_another_name"),
    [
        ("sslmode=require", True, True),
        ("sslmode=require&sslrootcert={other}", False, False),
        ("sslmode=verify-ca&sslrootcert={own}", True, True),
        ("sslmode=verify-ca&sslrootcert={other}", False, False),
        ("sslmode=verify-full&sslrootcert={own}", True, False),
        ("sslmode=verify-full&sslrootcert={other}", False, False),
        ("sslmode=verify-full&sslrootcert=system", False, False),
        ("sslmode=verify-full", False, False),
        ("sslmode=verify-ca", False, False),
    ],
)
async def test_migrations_and_service_verify_alike(
    *,
    database_url: str,
    tmp_path: Path,
    query: str,
    trusted: bool,
    trusted_under_another_name: bool,
) -> None:
    other = make_certificate(tmp_path / "other.crt")
    for name, expected in {
        "IP:127.0.0.1": trusted,
        "DNS:db.example.com": trusted_under_another_name,
    }.items():
        own = make_certificate(tmp_path / "own.crt", name)
        async with with_tls(database_url, own) as url:
            asked = f"{url}?{query.format(own=own, other=other)}"
            found = await is_trusted_by_migrations(asked), await is_trusted_by_the_service(asked)
        assert found == (expected, expected), name


@pytest.mark.equipment
@needs_openssl
async def test_authorities_of_the_system_count_where_no_others_are_named(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path / "server.crt")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("HOME", str(tmp_path))
    async with with_tls(database_url, certificate) as url:
        for query in ("sslmode=verify-full", "sslmode=verify-full&sslrootcert=system"):
            assert await is_trusted_by_migrations(f"{url}?{query}")
            assert await is_trusted_by_the_service(f"{url}?{query}")


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        ("postgresql://u:p@a/db?sslmode=require", ["postgresql://u:p@a/db?sslmode=require"]),
        ("postgresql://u:p@a,b:5433/db", ["postgresql://u:p@a/db", "postgresql://u:p@b:5433/db"]),
        ("postgresql://[::1]:1,[::2]/db", ["postgresql://[::1]:1/db", "postgresql://[::2]/db"]),
        (
            "postgresql://u@/db?host=a,b&port=1,2",
            ["postgresql://u@/db?host=a&port=1", "postgresql://u@/db?host=b&port=2"],
        ),
        (
            "postgresql://u@/db?host=a,b&port=1",
            ["postgresql://u@/db?host=a&port=1", "postgresql://u@/db?host=b&port=1"],
        ),
        (
            "postgresql://u@/db?host=a,b",
            ["postgresql://u@/db?host=a", "postgresql://u@/db?host=b"],
        ),
    ],
)
def test_an_address_of_several_servers_is_several_addresses(url: str, servers: list[str]) -> None:
    assert servers_of(url) == servers
