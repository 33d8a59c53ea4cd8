"""Which account runs the embedded server, and where that account can reach files.

PostgreSQL refuses to run as root. A plain user runs it under their own account. Root runs it as
the owner of the data directory or, if that is root too, as `nobody`. That account may be unable
to enter the checkout (in root's home, say): data and binaries are then kept under `REFUGE`.
"""

import hashlib
import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from mpanel_billing.dev.data import exclusively

REFUGE = Path("/var/lib/mpanel-billing")
"""Where root keeps files that the server's account cannot reach in their own place."""


@dataclass(frozen=True, slots=True)
class Account:
    """A system user who is not root."""

    uid: int
    gid: int

    def may_enter(self, folder: Path) -> bool:
        """Return whether this account can enter `folder` (absolute) and all of its parents."""
        existing = [each for each in (folder, *folder.parents) if each.exists()]
        return all(self._may_search(each.stat()) for each in existing)

    def _may_search(self, folder: os.stat_result) -> bool:
        if folder.st_uid == self.uid:
            return bool(folder.st_mode & stat.S_IXUSR)
        if folder.st_gid == self.gid:
            return bool(folder.st_mode & stat.S_IXGRP)
        return bool(folder.st_mode & stat.S_IXOTH)


def server_account(data_dir: Path) -> Account | None:
    """Return the account to run the server of `data_dir`; None is the current one."""
    if os.geteuid() != 0:
        return None
    if data_dir.exists() and (owner := data_dir.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid)


def reachable_data_dir(data_dir: Path, account: Account | None) -> Path:
    """Return `data_dir`, or its place in the refuge if the account cannot enter it."""
    if account is None or account.may_enter(data_dir):
        return data_dir
    digest = hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]
    return REFUGE / f"data-{digest}"


def reachable_install(install: Path, version: str, account: Account | None) -> Path:
    """Return `install`, or its copy in the refuge if the account cannot enter it.

    `install` is a wheel's folder. Its shared libraries, found by relative path, are copied with
    it, once for each `version`, however many processes ask at the same time.
    """
    if account is None or account.may_enter(install):
        return install
    copy = REFUGE / f"postgres-{version}"
    with exclusively(REFUGE / "lock"):
        if not copy.exists():
            _copy_wheel(install, copy)
    return copy / install.name


def _copy_wheel(install: Path, copy: Path) -> None:
    """Copy under another name, then rename: a copy that was broken off never counts."""
    for leftover in copy.parent.glob(f"{copy.name}.*"):
        shutil.rmtree(leftover)
    unfinished = copy.with_name(f"{copy.name}.new")
    for folder in (install, install.with_name(f"{install.name}.libs")):
        shutil.copytree(folder, unfinished / folder.name, symlinks=True)
    unfinished.rename(copy)
