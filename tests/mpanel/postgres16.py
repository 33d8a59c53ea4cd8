"""PostgreSQL 16, as in production; the other tests run on a newer version.

Its wheel stays out of the tests' own environment: it is unpacked once into `.data/`.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mpanel_billing.dev.accounts import reachable_install, server_account
from mpanel_billing.dev.data import exclusively

WHEEL, VERSION = "pgserver", "0.1.4"
"""Carries PostgreSQL 16.2."""


class NotInstallableError(Exception):
    """pip cannot get the wheel; the message is what it said."""


class Postgres16:
    """One server on a Unix socket in its own data directory."""

    def __init__(self, install: Path, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._account = server_account(data_dir)
        reachable = reachable_install(install, VERSION, self._account)
        self.bin_dir = reachable / "pginstall" / "bin"

    def url(self, database: str, role: str = "postgres") -> str:
        return f"postgresql://{role}:@/{database}?host={self.data_dir}&port=5432&sslmode=disable"

    @contextmanager
    def running(self) -> Iterator[None]:
        self.data_dir.mkdir(mode=0o700)
        if self._account:
            os.chown(self.data_dir, self._account.uid, self._account.gid)
        self._run("initdb", "--username=postgres", "--auth=trust", "--locale=C", "--no-sync")
        options = f"-c fsync=off -c listen_addresses= -c unix_socket_directories={self.data_dir}"
        self._run("pg_ctl", "start", "-w", f"--log={self.data_dir}/server.log", "-o", options)
        try:
            yield
        finally:
            self._run("pg_ctl", "stop", "-w", "-m", "immediate")

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self.bin_dir / program), f"--pgdata={self.data_dir}", *arguments],
            check=True,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self._account.uid if self._account else None,
            group=self._account.gid if self._account else None,
            extra_groups=() if self._account else None,
        )


def install(cache: Path) -> Path:
    """Return the folder of the wheel, unpacked below `cache` the first time."""
    target = cache / f"{WHEEL}-{VERSION}"
    with exclusively(cache / f"{WHEEL}.lock"):
        if not target.exists():
            _unpack(target)
    return target / WHEEL


def _unpack(target: Path) -> None:
    """Under another name first: half a wheel never counts."""
    unfinished = target.with_suffix(".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    wanted = ["--no-deps", "--only-binary=:all:", f"--target={unfinished}", f"{WHEEL}=={VERSION}"]
    done = subprocess.run([*pip, *wanted], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NotInstallableError(done.stderr.strip().splitlines()[-1])
    unfinished.rename(target)
