"""`make install`: exactly what is pinned, whole or not at all, beside what runs."""

import os
import signal
import subprocess
import time
from pathlib import Path

from packaging.utils import canonicalize_name

from tests.packaging.test_requirements import entries, version_of
from tests.wheel.conftest import Installed, in_checkout

LIST = """
from importlib.metadata import distributions
print("\\n".join(f"{found.name}=={found.version}" for found in distributions()))
"""


def environments(checkout: Path) -> set[str]:
    return {path.name for path in (checkout / ".venvs").iterdir()}


def current(checkout: Path) -> str:
    return (checkout / ".venv").readlink().name


def test_the_installed_set_is_what_is_pinned_and_the_service(installed: Installed) -> None:
    python = installed.checkout / ".venv" / "bin" / "python"
    listed = subprocess.run([python, "-I", "-c", LIST], check=True, capture_output=True, text=True)
    found = dict(line.split("==") for line in listed.stdout.splitlines())
    found = {canonicalize_name(name): version for name, version in found.items()}
    assert found.pop("mpanel-billing")
    assert found == {
        canonicalize_name(requirement.name): version_of(requirement)
        for requirement, _ in entries("production")
        if requirement.marker is None or requirement.marker.evaluate()
    }


def test_development_and_installation_keep_out_of_each_others_way(
    installed: Installed, tmp_path: Path
) -> None:
    refused = in_checkout(installed.checkout, ["make", "setup"])
    assert refused.returncode != 0
    assert "this checkout is installed for production" in refused.stderr
    for name in ("scripts", "requirements", "Makefile"):
        (tmp_path / name).symlink_to(installed.checkout / name)
    (tmp_path / ".venv").mkdir()
    refused = in_checkout(tmp_path, ["make", "install"])
    assert refused.returncode != 0
    assert ".venv is there for development" in refused.stderr


def test_an_unknown_set_is_refused_in_a_sentence(installed: Installed) -> None:
    refused = in_checkout(installed.checkout, ["make", "install", "WITH=everything"])
    assert refused.returncode != 0
    assert "install: WITH=everything is unknown" in refused.stderr


def test_an_installation_that_is_killed_changes_nothing_and_the_next_one_clears_it_away(
    installed: Installed,
) -> None:
    before = current(installed.checkout)
    killed = subprocess.Popen(
        ["scripts/install.sh"], cwd=installed.checkout, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while len(environments(installed.checkout)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    [half] = environments(installed.checkout) - {before}
    assert current(installed.checkout) == before
    assert installed.run("--version").returncode == 0

    done = in_checkout(installed.checkout, ["make", "install"])
    assert done.returncode == 0, done.stderr
    after = current(installed.checkout)
    assert after not in {before, half}
    assert environments(installed.checkout) == {before, after}, "the one before runs on"
    assert installed.run("--version").returncode == 0


def test_a_file_that_is_not_the_pinned_one_is_refused(installed: Installed) -> None:
    before, known = current(installed.checkout), environments(installed.checkout)
    pinned = installed.checkout / "requirements" / "production.txt"
    text = pinned.read_text()
    try:
        lines = text.splitlines(keepends=True)
        forged = [line for line in lines if "--hash" not in line]
        name = next(line for line in forged if line.startswith("mdurl=="))
        pinned.write_text(f"{name.rstrip()}\n    --hash=sha256:{'0' * 64}\n")
        done = in_checkout(installed.checkout, ["make", "install"])
    finally:
        pinned.write_text(text)
    assert done.returncode != 0
    assert "HASH" in done.stderr.upper()
    assert (current(installed.checkout), environments(installed.checkout)) == (before, known)
