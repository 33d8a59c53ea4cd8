"""A copy of the checkout, installed for production, and commands of it as a plain user."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# as root, give that up; only the interpreter may lie where others cannot read
READING = "--inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search"
AS_PLAIN_USER = (
    f"setpriv --reuid=65534 --regid=65534 --clear-groups {READING} --".split()
    if os.geteuid() == 0
    else []
)
BASE = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}


@dataclass(frozen=True)
class Installed:
    """A checkout with an installation, and a folder elsewhere in which a plain user works."""

    checkout: Path
    elsewhere: Path

    @property
    def program(self) -> Path:
        return self.checkout / ".venv" / "bin" / "mpanel-billing"

    def run(
        self, *words: str, environment: Mapping[str, str] | None = None, folder: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `mpanel-billing` as a plain user, to its end."""
        return subprocess.run(
            [*AS_PLAIN_USER, self.program, *words],
            cwd=folder or self.elsewhere,
            env={**BASE, **(environment or {})},
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )


def in_checkout(checkout: Path, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command in the checkout, with what the machine says about package indexes."""
    return subprocess.run(
        command, cwd=checkout, check=False, capture_output=True, text=True, timeout=300
    )


def copy_checkout(target: Path) -> None:
    """Copy the files that belong to the repository, as they are now."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    for name in listed.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


@pytest.fixture(scope="session")
def installed() -> Iterator[Installed]:
    with tempfile.TemporaryDirectory(prefix="mpb wheel ") as name:
        folder = Path(name)
        folder.chmod(0o755)
        checkout, elsewhere = folder / "check out", folder / "else where"
        checkout.mkdir()
        elsewhere.mkdir()
        elsewhere.chmod(0o777)
        copy_checkout(checkout)
        done = in_checkout(checkout, ["make", "install"])
        assert done.returncode == 0, done.stderr
        yield Installed(checkout, elsewhere)
