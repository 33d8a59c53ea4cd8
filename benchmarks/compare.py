"""The present next to an earlier commit: every stream, in turns, and the ratios of their figures.

The earlier commit is checked out into a temporary worktree, which gets a virtual environment of
its own (`make setup` there). Both services run on databases of one PostgreSQL, each with the schema
and the rows of its own commit, and get the same events at the same time of the clock but one.
Ratios are present to base, with the lowest and the highest of ROUNDS rounds. Exits with 1 if the
present is worse in every round, and its median by more than `regression.LIMIT` (5 %).

What is not committed belongs to the present; the database's server and its settings, the events and
the load generator are those of the present for both.

    make bench-compare BASE=<commit> [ARGS="--rounds 7 --connections 1,16,64"]
"""

import argparse
import itertools
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import streams
from benchmarks.regression import Comparison, Load, Turn, table, verdict
from benchmarks.servers import Target, scratch_folder, service
from benchmarks.streams import STREAMS
from benchmarks.webhooks import SETTINGS, configured, measure
from mpanel_billing.dev.postgres import EmbeddedPostgres

ROUNDS = 7
"""Of these, all have to agree that the present is worse; by chance one load in 128 would."""
HERE = Path(__file__).resolve().parents[1]

_PREPARE = (
    "import asyncio, sys; from benchmarks.webhooks import prepare; "
    "asyncio.run(prepare(sys.argv[1], int(sys.argv[2])))"
)


@dataclass(frozen=True)
class Checkout:
    """The files of a commit, with the virtual environment in their `.venv`."""

    folder: Path

    @property
    def python(self) -> str:
        return str(self.folder / ".venv" / "bin" / "python")

    def prepare(self, url: str, subscriptions: int) -> None:
        """Give a database the commit's schema, and rows as the commit writes them."""
        _run([self.python, "-c", _PREPARE, url, str(subscriptions)], self.folder)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks compare", description=__doc__)
    parser.add_argument("base", help="a commit, a branch or a tag")
    parser.add_argument("--subscriptions", type=int, default=20_000)
    parser.add_argument("--events", type=int, default=1500)
    parser.add_argument("--connections", default="1,16,64")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--streams", default=",".join(STREAMS), help="separated by commas")
    options = parser.parse_args(arguments)
    commit = resolve(options.base)
    loads = [
        (stream, int(connections))
        for connections in options.connections.split(",")
        for stream in options.streams.split(",")
    ]
    with scratch_folder() as folder, checked_out(commit, folder / "base") as base:
        checkouts = {"base": base, "present": Checkout(HERE)}
        with both(folder, checkouts, options.subscriptions) as targets:
            rounds = Rounds(targets, options.subscriptions, options.events)
            compared = {load: rounds.compare(load, options.rounds) for load in loads}
    print(*table(compared), sep="\n")
    if worse := verdict(compared):
        sys.exit("\n".join(["", f"worse than {commit[:10]}:", *worse]))


def resolve(name: str) -> str:
    """Return the id of a commit; SystemExit if there is no such commit."""
    found = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"],
        check=False,
        cwd=HERE,
        capture_output=True,
        text=True,
    )
    if found.returncode:
        raise SystemExit(f"BASE: there is no commit {name!r}")
    return found.stdout.strip()


@contextmanager
def checked_out(commit: str, folder: Path) -> Iterator[Checkout]:
    """Check a commit out into a new folder with a virtual environment of its own."""
    _run(["git", "worktree", "add", "--quiet", "--detach", str(folder), commit], HERE)
    try:
        print(f"setting up {commit[:10]} ...", flush=True)
        _run(["make", "--silent", "setup"], folder)
        yield Checkout(folder)
    finally:
        _run(["git", "worktree", "remove", "--force", str(folder)], HERE)


def _run(command: Sequence[str], folder: Path) -> None:
    """Run a command in a folder; SystemExit with its last words if it fails."""
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-10:])
        raise SystemExit(f"{' '.join(command[:4])} failed in {folder}:\n{last}")


@contextmanager
def both(
    folder: Path, checkouts: Mapping[str, Checkout], subscriptions: int
) -> Iterator[Mapping[str, Target]]:
    """Run the service of each checkout, on a database of its own on the same server."""
    with configured(folder / "postgres", SETTINGS) as postgres:
        for name, checkout in checkouts.items():
            postgres.create_database(name)
            checkout.prepare(postgres.url(name), subscriptions)
        with (
            _service(postgres, "base", checkouts) as base,
            _service(postgres, "present", checkouts) as present,
        ):
            yield {"base": base, "present": present}


@contextmanager
def _service(
    postgres: EmbeddedPostgres, name: str, checkouts: Mapping[str, Checkout]
) -> Iterator[Target]:
    checkout = checkouts[name]
    url = postgres.url(name)
    with service(postgres, url, python=checkout.python, folder=checkout.folder) as target:
        yield target


class Rounds:
    """Sends the same events to base and present; who comes first changes from round to round."""

    def __init__(self, targets: Mapping[str, Target], subscriptions: int, events: int) -> None:
        self._targets = targets
        self._subscriptions = subscriptions
        self._events = events
        self._runs = itertools.count(1)

    def compare(self, load: Load, rounds: int) -> Comparison:
        """Measure both under a load, after a warm-up."""
        return Comparison.of([self._take_turn(load) for _ in range(1 + rounds)][1:])

    def _take_turn(self, load: Load) -> Turn:
        stream, connections = load
        run = next(self._runs)
        count = self._events if connections > 1 else self._events // 4
        bodies = streams.bodies(STREAMS[stream], count, self._subscriptions, run)
        names = ("base", "present") if run % 2 else ("present", "base")
        return Turn(**{name: measure(self._targets[name], bodies, connections) for name in names})
