"""What PostgreSQL allows beyond one server, tried on scratch databases.

python -m benchmarks.growth partitions     # the inbox partitioned by day: what breaks, what works
python -m benchmarks.growth distribution   # which keys prevent sharding by customer
python -m benchmarks.growth replica        # a web process on a standby, and its replication lag
"""

import argparse
import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path

from benchmarks.growth.distribution import try_distribution
from benchmarks.growth.partitions import try_partitions
from benchmarks.growth.replica import try_replica
from benchmarks.servers import scratch_folder

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
