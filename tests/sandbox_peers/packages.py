"""Installs other people's clients, each in a folder of its own, with pinned versions."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NPM = ("npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1")


def npm(folder: Path, name: str, *packages: str) -> Path:
    """Return a folder with the packages of npm, `stripe@23.1.0`; skips if npm cannot install."""
    into = folder / name
    if not _is_installed(into, packages):
        _install([*NPM, "--prefix", str(into), *packages], into, packages)
    return into


def venv(folder: Path, name: str, *packages: str) -> Path:
    """Return the Python of an environment with packages of PyPI; skips if pip cannot install."""
    into = folder / name
    python = into / "bin" / "python"
    if not _is_installed(into, packages):
        subprocess.run([sys.executable, "-m", "venv", str(into)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _install([*pip, "--retries=1", *packages], into, packages)
    return python


def script(folder: Path, name: str) -> Path:
    """Return a copy of a script of this package in the folder, where it finds its packages."""
    return Path(shutil.copy(HERE / name, folder))


def version_of(folder: Path, package: str) -> str:
    """Return the version of an installed package of npm."""
    about = json.loads((folder / "node_modules" / package / "package.json").read_text())
    return str(about["version"])


def _is_installed(into: Path, packages: Sequence[str]) -> bool:
    note = into / ".installed"
    return note.exists() and note.read_text() == " ".join(packages)


def _install(command: Sequence[str], into: Path, packages: Sequence[str]) -> None:
    into.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        pytest.skip(f"{Path(command[0]).name} cannot install {' '.join(packages)}: {reason}")
    (into / ".installed").write_text(" ".join(packages))
