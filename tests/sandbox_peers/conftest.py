"""The sandbox as a process of its own, and the folder in which clients are installed."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from tests.ports import unused_port

KEY = "sk_test_peers"


@dataclass(frozen=True)
class RunningSandbox:
    """A sandbox that runs alone."""

    port: int

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> Any:
        """Return an answer of its API."""
        return self._ask(Request(self.url + path, headers={"Authorization": f"Bearer {KEY}"}))

    def post(self, path: str, **params: Any) -> Any:
        """Make a request of its API that creates or changes something."""
        data = urlencode(params).encode()
        headers = {"Authorization": f"Bearer {KEY}"}
        return self._ask(Request(self.url + path, data=data, headers=headers, method="POST"))

    def control(self, path: str, **body: Any) -> Any:
        """Turn one of its switches."""
        data = json.dumps(body).encode()
        return self._ask(Request(f"{self.url}/_sandbox/{path}", data=data, method="POST"))

    def pass_days(self, days: int) -> None:
        """Move its own clock."""
        with urlopen(f"{self.url}/_sandbox/clock", timeout=60) as answer:
            now = json.load(answer)["now"]
        self.control("clock", advance_to=now + days * 86_400)

    def pass_days_of_clocks(self, days: int) -> None:
        """Move every test clock."""
        for clock in self.everything("/v1/test_helpers/test_clocks"):
            moved = clock["frozen_time"] + days * 86_400
            self.control("clock", test_clock=clock["id"], advance_to=moved)

    def everything(self, path: str) -> list[dict[str, Any]]:
        """Return all objects of a list, newest first."""
        found: list[dict[str, Any]] = []
        joint = "&" if "?" in path else "?"
        while True:
            after = f"&starting_after={found[-1]['id']}" if found else ""
            page = self.get(f"{path}{joint}limit=100{after}")
            found += page["data"]
            if not page["has_more"]:
                return found

    def _ask(self, request: Request) -> Any:
        with urlopen(request, timeout=330) as answer:
            return json.load(answer)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = os.environ.get("PEERS_FOLDER")
    return Path(kept) if kept else tmp_path_factory.mktemp("peers")


def run_sandbox(*options: str) -> Iterator[RunningSandbox]:
    port = unused_port()
    command = [sys.executable, "-m", "stripe_sandbox", "--port", str(port), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            assert str(port) in process.stdout.readline(), "the sandbox has not started"
            yield RunningSandbox(port)
        finally:
            process.terminate()


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    yield from run_sandbox()


def run(command: Sequence[str | Path], where: Path, **environment: str) -> str:
    """Run a client and return what it prints; fails with what it says about an error."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=where,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout
