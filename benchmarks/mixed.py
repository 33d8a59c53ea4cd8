"""What each kind of event costs, next to the bare limit, in one run; and whole purchases.

The streams are those of `benchmarks.streams`. Per connection count, all streams and the bare limit
take turns, one warm-up and then RUNS runs each; figures are medians, and ratios come with the
lowest and the highest of any turn. No worker runs, so the jobs that events enqueue stay. Then
buyers order, pay and renew (`benchmarks.checkout`).

    python -m benchmarks mixed [--events 1500] [--connections 1,16,64] [--buyers 100]
"""

import argparse
import asyncio
import itertools
from collections.abc import Mapping, Sequence

from benchmarks import checkout, streams
from benchmarks.servers import Target, bare_receiver, scratch_folder, service
from benchmarks.spread import Spread
from benchmarks.streams import STREAMS
from benchmarks.webhooks import SETTINGS, Figures, measure, prepared
from mpanel_billing.dev.postgres import EmbeddedPostgres

RUNS = 5
BARE = "bare limit"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks mixed", description=__doc__)
    parser.add_argument("--subscriptions", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=1500)
    parser.add_argument("--connections", default="1,16,64")
    parser.add_argument("--buyers", type=int, default=100, help="0: no purchases")
    options = parser.parse_args(arguments)
    with (
        prepared(options.subscriptions, SETTINGS) as (postgres, url),
        service(postgres, url) as ours,
        bare_receiver(postgres, url) as bare,
    ):
        runs = Streams(ours, bare, options.subscriptions)
        for connections in map(int, options.connections.split(",")):
            size = options.events if connections > 1 else options.events // 4
            report(connections, runs.take_turns(size, connections))
    if options.buyers:
        with scratch_folder() as folder, EmbeddedPostgres(folder / "postgres") as postgres:
            postgres.create_database("bench")
            asyncio.run(checkout.measure(postgres, options.buyers, at_once=4))


class Streams:
    """Sends every stream to the service, and updates to the bare receiver."""

    def __init__(self, ours: Target, bare: Target, subscriptions: int) -> None:
        self._ours = ours
        self._bare = bare
        self._subscriptions = subscriptions
        self._runs = itertools.count(1)

    def take_turns(self, size: int, connections: int) -> Mapping[str, list[Figures]]:
        taken: dict[str, list[Figures]] = {name: [] for name in (BARE, *STREAMS)}
        for _ in range(1 + RUNS):
            for name, figures in taken.items():
                figures.append(self._measure(name, size, connections))
        return {name: figures[1:] for name, figures in taken.items()}

    def _measure(self, name: str, size: int, connections: int) -> Figures:
        run = next(self._runs)
        make = STREAMS.get(name, streams.update)
        chosen = streams.bodies(make, size, self._subscriptions, run)
        return measure(self._bare if name == BARE else self._ours, chosen, connections)


def report(connections: int, taken: Mapping[str, Sequence[Figures]]) -> None:
    """Print the medians of each stream, and its ratio to the bare limit of the same turn."""
    for name, figures in taken.items():
        rates = [one.rate for one in figures]
        of_the_limit = Spread.of_ratios(rates, [bare.rate for bare in taken[BARE]])
        print(
            f"c={connections:<3} {name:<18} {Figures.median(figures)}   of the limit "
            f"{of_the_limit}",
            flush=True,
        )
