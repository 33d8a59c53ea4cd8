"""First sights of objects: ours next to the bare limit and to another program that mirrors Stripe.

The other one is @supabase/stripe-sync-engine, which npm installs into a temporary folder: it
verifies the signature and upserts the object, and keeps neither the event nor anything derived. It
is not asked to fetch related objects. The three take turns on one PostgreSQL with the same events,
signed as Stripe signs them; figures are medians, ratios come with the lowest and the highest turn.

    python -m benchmarks peers [--events 1500] [--connections 1,16,64]

Needs node and npm, and the network (or a mirror that npm knows).
"""

import argparse
import itertools
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import streams
from benchmarks.servers import (
    POOL_SIZE,
    SECRET,
    Target,
    bare_receiver,
    free_port,
    postmaster_of,
    scratch_folder,
    server,
    service,
)
from benchmarks.spread import Spread
from benchmarks.webhooks import SETTINGS, Figures, configured, measure, prepare_database
from mpanel_billing.dev.postgres import EmbeddedPostgres

PEER = "@supabase/stripe-sync-engine"
VERSION = "0.48.5"
RUNS = 5
BARE, THEIRS, OURS = "bare limit", "sync-engine", "ours"
STREAMS = {name: streams.STREAMS[name] for name in ("new subscriptions", "new invoices")}

_RUN_NUMBERS = itertools.count(1)

Turns = Mapping[str, Sequence[Figures]]
"""The figures of each program, turn by turn."""


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks peers", description=__doc__)
    parser.add_argument("--subscriptions", type=int, default=20_000)
    parser.add_argument("--events", type=int, default=1500)
    parser.add_argument("--connections", default="1,16,64")
    options = parser.parse_args(arguments)
    with scratch_folder() as folder:
        install(folder)
        with (
            configured(folder / "postgres", SETTINGS) as postgres,
            all_three(postgres, folder, options.subscriptions) as targets,
        ):
            for connections in map(int, options.connections.split(",")):
                events = options.events if connections > 1 else options.events // 4
                for stream in STREAMS:
                    turns = take_turns(targets, stream, events, options.subscriptions, connections)
                    print(*report(stream, connections, turns), sep="\n", flush=True)


def install(folder: Path) -> None:
    """Install the other program; SystemExit with a sentence if that is not possible."""
    if not (shutil.which("npm") and shutil.which("node")):
        raise SystemExit("peers: needs node and npm (Debian: apt-get install nodejs npm)")
    package = f"{PEER}@{VERSION}"
    options = ["--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1"]
    done = subprocess.run(
        ["npm", "install", "--prefix", str(folder), *options, package],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines() or ["it says nothing"]
        raise SystemExit(
            f"peers: npm cannot install {package}; is its registry within reach?\n{reason[0]}"
        )
    print(f"{package}, with stripe-node {_version(folder, 'stripe')}", flush=True)


def _version(folder: Path, package: str) -> str:
    about = json.loads((folder / "node_modules" / package / "package.json").read_text())
    return str(about["version"])


@contextmanager
def all_three(
    postgres: EmbeddedPostgres, folder: Path, subscriptions: int
) -> Iterator[Mapping[str, Target]]:
    """Run the three programs, the other one on a database of its own."""
    url = prepare_database(postgres, subscriptions)
    with (
        bare_receiver(postgres, url) as bare,
        sync_engine(postgres, folder) as theirs,
        service(postgres, url) as ours,
    ):
        yield {BARE: bare, THEIRS: theirs, OURS: ours}


@contextmanager
def sync_engine(postgres: EmbeddedPostgres, folder: Path) -> Iterator[Target]:
    """Run the other program, to put under load."""
    postgres.create_database("peer")
    script = shutil.copy(Path(__file__).with_name("sync_engine.cjs"), folder)
    port = free_port()
    command = ["node", str(script), postgres.url("peer"), str(port), SECRET, str(POOL_SIZE)]
    with server(command, port, {"NODE_ENV": "production"}, folder) as pid:
        yield Target(port, pid, postmaster_of(postgres))


def take_turns(
    targets: Mapping[str, Target], stream: str, events: int, subscriptions: int, connections: int
) -> Turns:
    """Send each program the same events, and others in each turn; the first turn is a warm-up."""
    taken: dict[str, list[Figures]] = {name: [] for name in targets}
    for run in itertools.islice(_RUN_NUMBERS, 1 + RUNS):
        bodies = streams.bodies(STREAMS[stream], events, subscriptions, run)
        for name, target in targets.items():
            taken[name].append(measure(target, bodies, connections))
    return {name: figures[1:] for name, figures in taken.items()}


def report(stream: str, connections: int, turns: Turns) -> Iterator[str]:
    """Yield the medians of each program, and the ratios of their rates."""
    for name, figures in turns.items():
        yield f"c={connections:<3} {stream:<18} {name:<12} {Figures.median(figures)}"
    rates = {name: [one.rate for one in figures] for name, figures in turns.items()}
    yield (
        f"      ours: {Spread.of_ratios(rates[OURS], rates[BARE])} of the bare limit, "
        f"{Spread.of_ratios(rates[OURS], rates[THEIRS])} of {THEIRS}"
    )
