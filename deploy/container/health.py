"""The health check of a container: exits with 1 unless its process answers.

It asks for liveness only. A database that is away is no reason to start a container again, and the
worker, which serves no API, answers at the port of its metrics.
"""

import os
import sys
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

TIMEOUT_SECONDS = 4

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - compared, not bound
"""An address of this machine for those that mean all of them."""


def main() -> None:
    """Ask the process that the container runs, which is the first one in it."""
    words = Path("/proc/1/cmdline").read_bytes().split(b"\0")
    worker = b"worker" in words
    port = os.environ.get("WORKER_METRICS_PORT" if worker else "PORT") or "4242"
    host = _EVERYWHERE.get(os.environ["HOST"], os.environ["HOST"])
    try:
        with urlopen(f"http://{host}:{port}/api/health/live", timeout=TIMEOUT_SECONDS):
            return
    except (URLError, TimeoutError) as error:
        sys.exit(f"no answer at port {port}: {error}")


if __name__ == "__main__":
    main()
