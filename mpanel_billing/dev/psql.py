"""`python -m mpanel_billing.dev.psql [ARGUMENTS]`: psql on the database of a running `make dev`."""

import os
import sys

from mpanel_billing.dev.data import DEFAULT_DATA_DIR, DataFolder
from mpanel_billing.dev.orchestrator import DATABASE
from mpanel_billing.dev.postgres import EmbeddedPostgres


def main() -> None:
    """Become psql; exits with 1 when no server runs over that data."""
    server = EmbeddedPostgres(DataFolder(DEFAULT_DATA_DIR).postgres)
    endpoint = server.running_endpoint()
    if endpoint is None:
        sys.exit(
            f"no server runs over {DEFAULT_DATA_DIR}: start `make dev` first; with --ephemeral or "
            "--data-dir, take the psql command that it shows at its start"
        )
    psql = server.bin_dir / "psql"
    os.execv(psql, [str(psql), endpoint.url(DATABASE), *sys.argv[1:]])  # noqa: S606 - our own program


if __name__ == "__main__":
    main()
