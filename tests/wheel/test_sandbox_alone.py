"""The sandbox's own wheel in an environment of its own, used by the lines of its README."""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.ports import unused_port
from tests.wheel.conftest import AS_PLAIN_USER, BASE, ROOT

README = (ROOT / "stripe_sandbox" / "README.md").read_text()


@pytest.fixture(scope="module")
def alone() -> Iterator[Path]:
    """A folder with the environment; nothing of this repository is in it."""
    with tempfile.TemporaryDirectory(prefix="mpb sandbox ") as name:
        folder = Path(name)
        folder.chmod(0o777)
        build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
        project = ROOT / "stripe_sandbox"
        subprocess.run([*build, name], cwd=project, check=True, capture_output=True)
        [wheel] = folder.glob("*.whl")
        venv.create(folder / "venv", with_pip=True)
        install = [folder / "venv/bin/pip", "install", "--quiet", str(wheel)]
        subprocess.run(install, check=True, capture_output=True, timeout=300)
        yield folder


@contextmanager
def running(alone: Path, *options: str) -> Iterator["Sandbox"]:
    """Start the command as a plain user, until it says where it listens."""
    port = unused_port()
    process = subprocess.Popen(
        [*AS_PLAIN_USER, alone / "venv/bin/stripe-sandbox", f"--port={port}", *options],
        cwd=alone,
        env=BASE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"Stripe sandbox on http://127.0.0.1:{port}\n"
        yield Sandbox(process, f"http://127.0.0.1:{port}")
        if process.poll() is None:
            process.terminate()
            assert process.wait(15) == 0
    finally:
        process.kill()
        process.communicate()


class Sandbox:
    """A running sandbox, and requests to it without any library."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url

    def call(self, path: str, body: bytes | None = None, *, method: str | None = None) -> Any:
        headers = {"Authorization": "Bearer sk_test_x"}
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            text = response.read()
        return json.loads(text) if text.startswith(b"{") else text.decode()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(15)

    def post(self, path: str, **params: str) -> Any:
        return self.call(path, urlencode(params).encode())

    def control(self, path: str, **body: Any) -> Any:
        return self.call(path, json.dumps(body).encode())


def fixtures(alone: Path) -> Path:
    """Write down the example of the README."""
    file = alone / "shop.json"
    file.write_text(README.partition("```json\n")[2].partition("```")[0])
    return file


def test_nothing_of_the_service_is_installed(alone: Path) -> None:
    listed = subprocess.run(
        [alone / "venv/bin/pip", "list"], check=True, capture_output=True, text=True
    ).stdout
    assert "mpanel-stripe-sandbox" in listed
    for other in ("mpanel-billing", "asyncpg", "pgqueuer"):
        assert other not in listed


def test_it_is_filled_moved_watched_and_keeps_its_state(alone: Path) -> None:
    state = [f"--state={alone / 'state of ours' / 'sandbox.sqlite'}"]
    with running(alone, f"--fixtures={fixtures(alone)}", *state) as sandbox:
        [subscription] = sandbox.call("/v1/subscriptions")["data"]
        assert subscription["status"] == "active"
        requests = sandbox.call("/_sandbox/requests?method=POST")["data"]
        assert requests[0]["path"] == "/v1/subscriptions"
        sandbox.control("/_sandbox/snapshots", name="bought")
        now = sandbox.call("/_sandbox/clock")["now"]
        sandbox.control("/_sandbox/clock", advance_to=now + 32 * 86_400)
        assert len(sandbox.call("/v1/invoices")["data"]) == 2
        assert subscription["id"] in sandbox.call("/dashboard/subscriptions")
        sandbox.kill()
    with running(alone, *state) as sandbox:
        assert len(sandbox.call("/v1/invoices")["data"]) == 2
        assert sandbox.call("/_sandbox/clock")["now"] >= now + 32 * 86_400
        sandbox.control("/_sandbox/snapshots/bought/restore")
        assert len(sandbox.call("/v1/invoices")["data"]) == 1


def test_webhooks_are_disturbed_on_demand(alone: Path) -> None:
    receiver = f"http://127.0.0.1:{unused_port()}/hook"  # nothing listens
    with running(alone, "--webhook-url", receiver, "--webhook-secret", "whsec_x") as sandbox:
        sandbox.control("/_sandbox/delivery", hold=True)
        sandbox.post("/v1/customers", name="Ada")
        [held] = sandbox.call("/_sandbox/deliveries")["data"]
        assert held["state"] == "held"
        sandbox.control("/_sandbox/delivery", duplicate=True)
        assert sandbox.control("/_sandbox/delivery/release") == {"released": 1}
        until = time.monotonic() + 10
        while not held["attempts"] and time.monotonic() < until:
            [held] = sandbox.call("/_sandbox/deliveries")["data"]
        assert held["attempts"][0]["error"] == "ClientConnectorError"
        sandbox.control("/_sandbox/faults", status=503)
        with pytest.raises(urllib.error.HTTPError, match="503"):
            sandbox.call("/v1/customers")


def test_its_wrong_files_are_sentences(alone: Path) -> None:
    (alone / "empty.sqlite").write_bytes(b"")
    for options, sentence in (
        (["--state", "empty.sqlite"], "empty.sqlite: the state file is damaged (it is empty)"),
        (["--fixtures", "none.json"], "none.json: No such file or directory"),
    ):
        done = subprocess.run(
            [alone / "venv/bin/stripe-sandbox", f"--port={unused_port()}", *options],
            cwd=alone,
            env={**BASE, "HOME": os.environ.get("HOME", "/")},
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 1
        assert done.stderr.startswith(f"stripe-sandbox: {sentence}")
