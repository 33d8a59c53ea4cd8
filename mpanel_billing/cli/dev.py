"""`mpanel-billing dev`: everything on this machine."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from mpanel_billing.cli.sandbox import require_sandbox
from mpanel_billing.dev.data import DEFAULT_DATA_DIR


def dev(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the API.")] = 4242,
    sandbox_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port of the Stripe sandbox.")
    ] = 12111,
    postgres_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port of PostgreSQL.")
    ] = 54320,
    data_dir: Annotated[Path, typer.Option(help="Where to keep the data.")] = DEFAULT_DATA_DIR,
    *,
    ephemeral: Annotated[
        bool, typer.Option("--ephemeral", help="Start empty and keep no data.")
    ] = False,
) -> None:
    """Run PostgreSQL, the Stripe sandbox, the API and the worker here until Ctrl-C."""
    require_sandbox()
    # Imported here because it loads the sandbox, which no other command needs.
    from mpanel_billing.dev.orchestrator import DevOptions, run_service  # noqa: PLC0415

    options = DevOptions(port, sandbox_port, postgres_port, data_dir, ephemeral)
    asyncio.run(run_service(options))
