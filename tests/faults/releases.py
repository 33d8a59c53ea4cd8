"""An earlier state of this service, taken from the history of the repository.

`BASELINE` holds the id of a commit: the oldest one whose processes may still run while the present
schema changes are deployed. A tag would not do: clones need not have it. It moves to the commit of
a release once that is the oldest that anybody upgrades from.
"""

import io
import subprocess
import tarfile
from pathlib import Path

BASELINE = (Path(__file__).parent / "BASELINE").read_text().strip()

_ROOT = Path(__file__).parents[2]
_PARTS = ("mpanel_billing", "sql", "prisma", "catalog")


def is_known(commit: str) -> bool:
    """Return whether the history has the commit; a shallow clone may not."""
    return _git("cat-file", "-e", f"{commit}^{{commit}}").returncode == 0


def check_out(commit: str, folder: Path) -> Path:
    """Unpack the program of a commit, and return its folder."""
    archive = _git("archive", "--format=tar", commit, *_PARTS)
    archive.check_returncode()
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def environment_of(folder: Path) -> dict[str, str]:
    """Return what makes Python run the program in that folder instead of this one."""
    return {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}


def _git(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, check=False)
