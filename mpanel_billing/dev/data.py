"""The folder in which `dev` keeps its data."""

import fcntl
import json
import os
import secrets
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from mpanel_billing.errors import BillingError

DEFAULT_DATA_DIR = Path(".data")


class DataFolderError(BillingError):
    """The data folder cannot be used; the message says why."""

    code = "data_folder"


@dataclass(frozen=True, slots=True)
class StripeSecrets:
    """What the service and the sandbox share; useless outside this machine."""

    secret_key: str
    webhook_secret: str


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The contents of the data folder."""

    path: Path

    @property
    def postgres(self) -> Path:
        """The data directory of the embedded server."""
        return self.path / "postgres"

    @property
    def sandbox_state(self) -> Path:
        """The state of the sandbox."""
        return self.path / "sandbox.sqlite"

    def stripe_secrets(self) -> StripeSecrets:
        """Return the secrets of this folder, generated the first time."""
        file = self.path / "stripe.json"
        if not file.exists():
            made = StripeSecrets(
                f"sk_test_{secrets.token_hex(16)}", f"whsec_{secrets.token_hex(16)}"
            )
            _keep(file, json.dumps(asdict(made)))
        return StripeSecrets(**json.loads(file.read_text()))

    def operators_key(self) -> str:
        """Return the key for the API and the console of this folder, generated the first time."""
        file = self.path / "operator.key"
        if not file.exists():
            _keep(file, f"dev-{secrets.token_hex(12)}")
        return file.read_text()

    def require_same_migrations(self, digests: Mapping[str, str]) -> None:
        """Raise DataFolderError if a migration that the data has is another one by now.

        The migrations that the data has and this code does not know are of newer code.
        """
        newest = max(digests)
        for file, digest in self._migrations().items():
            if file <= newest and digests.get(file) != digest:
                raise self.obsolete(f"{file} is no longer what it was")

    def keep_migrations(self, digests: Mapping[str, str]) -> None:
        """Write down which migrations the data has."""
        _keep(self._migrations_file, json.dumps({**self._migrations(), **digests}, indent=1))

    def obsolete(self, reason: str) -> DataFolderError:
        """Return the error of data that this code cannot use."""
        folders = " and ".join({str(self.path): 0, str(self.postgres): 0})
        return DataFolderError(
            f"the data is from an older version, and cannot be kept: remove {folders} ({reason})"
        )

    @property
    def _migrations_file(self) -> Path:
        return self.path / "migrations.json"

    def _migrations(self) -> dict[str, str]:
        if not self._migrations_file.exists():
            return {}
        kept: dict[str, str] = json.loads(self._migrations_file.read_text())
        return kept

    @property
    def knows_migrations(self) -> bool:
        """Whether it is on record which migrations the data has."""
        return self._migrations_file.exists()

    def write_settings(self, environment: Mapping[str, str]) -> Path:
        """Write the settings of this run as a file for a shell to source; return its path."""
        file = self.path / "settings.sh"
        file.touch(mode=0o600)
        file.write_text(
            "".join(f"export {name}={shlex.quote(text)}\n" for name, text in environment.items())
        )
        return file


def _keep(file: Path, text: str) -> None:
    """Write a secret; the file appears whole or not at all."""
    unfinished = file.with_suffix(".new")
    unfinished.write_text(text)
    unfinished.chmod(0o600)
    unfinished.rename(file)


@contextmanager
def exclusively(lock_file: Path) -> Iterator[None]:
    """Wait until no other process holds this lock, then hold it; a killed holder releases it."""
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    with lock_file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def open_data_folder(path: Path) -> Iterator[DataFolder]:
    """Create the folder if needed and lock it; DataFolderError if another process has it."""
    path = path.absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / "lock").open("a+")
    except OSError as error:
        message = f"cannot use {path} (--data-dir): {error.strerror}"
        raise DataFolderError(message) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            message = f"{path} is in use by process {lock.read()}; stop it or choose --data-dir"
            raise DataFolderError(message) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield DataFolder(path)


@contextmanager
def throw_away_data_folder() -> Iterator[DataFolder]:
    """Create a folder that is removed afterwards."""
    path = Path(tempfile.mkdtemp(prefix="mpanel-billing-"))
    path.chmod(0o711)  # the server may run as another user, which has to enter it
    try:
        with open_data_folder(path) as folder:
            yield folder
    finally:
        shutil.rmtree(path)
