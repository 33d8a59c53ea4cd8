"""A release of this service as it was, taken out of the history."""

import io
import subprocess
import tarfile
from pathlib import Path

FIRST = "dcdb1f97a9106ff626601e9e3964b4e3144dfb4c"
"""The first commit that ran anywhere: all schema changes since are made under its traffic."""
PREVIOUS = "6d948443048a123049bb82af1b0f7d94cc9f8ab5"
"""The commit that ran last: it calls functions in the database that this one does not."""

_ROOT = Path(__file__).parents[2]
_PARTS = ("mpanel_billing", "sql", "prisma", "catalog")


def is_known(commit: str) -> bool:
    """Tell whether the history has the commit; a shallow clone may not."""
    return _git("cat-file", "-e", f"{commit}^{{commit}}").returncode == 0


def check_out(commit: str, folder: Path) -> Path:
    """Unpack the program as of a commit, and return its folder."""
    archive = _git("archive", "--format=tar", commit, *_PARTS)
    archive.check_returncode()
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def environment_of(folder: Path) -> dict[str, str]:
    """Return what makes Python run the program of that folder rather than ours."""
    return {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}


def _git(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, check=False)
