"""`python -m mpanel_billing.dev.psql [ARGUMENTS]`: psql on the database of a running `dev`.

The folder of its data is .data, or what DATA_DIR names; the arguments are psql's.
"""

import os
import sys
from pathlib import Path

from mpanel_billing.dev.orchestrator import DATABASE
from mpanel_billing.dev.postgres import EmbeddedPostgres


def main() -> None:
    """Become psql; exits with 1 when no server runs over that data."""
    folder = Path(os.environ.get("DATA_DIR", ".data"))
    server = EmbeddedPostgres(folder / "postgres")
    endpoint = server.running_endpoint()
    if endpoint is None:
        sys.exit(f"no server runs over the data in {folder}: start `make dev` first")
    psql = server.bin_dir / "psql"
    os.execv(psql, [str(psql), endpoint.url(DATABASE), *sys.argv[1:]])  # noqa: S606 - our own program


if __name__ == "__main__":
    main()
