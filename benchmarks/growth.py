"""What PostgreSQL allows of the steps after one server: tried on scratch databases.

python -m benchmarks.growth partitions     # the inbox by month: what breaks, and what works
python -m benchmarks.growth distribution   # which keys stand in the way of sharding by customer
python -m benchmarks.growth replica        # the bridge on a standby, and how far it lags
"""

import argparse
import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path

from benchmarks.distribution import try_distribution
from benchmarks.partitions import try_partitions
from benchmarks.replica import try_replica
from benchmarks.scratch import scratch_folder

TRIALS: dict[str, Callable[[Path], Coroutine[None, None, None]]] = {
    "partitions": try_partitions,
    "distribution": try_distribution,
    "replica": try_replica,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.growth", description=__doc__)
    parser.add_argument("trial", choices=TRIALS)
    options = parser.parse_args()
    with scratch_folder() as folder:
        asyncio.run(TRIALS[options.trial](folder))


if __name__ == "__main__":
    main()
