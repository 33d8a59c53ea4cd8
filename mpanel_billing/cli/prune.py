"""`mpanel-billing prune`: delete old rows, as the worker does every hour."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated

import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.cli.database import with_pool
from mpanel_billing.retention import service
from mpanel_billing.retention.repository import COUNTED_UP_TO, Ages
from mpanel_billing.settings import load_database_settings

_NAMES = {
    "event_payloads": "event payloads",
    "events": "events",
    "provisioning_log": "provisioning log",
    "idempotency_keys": "idempotency keys",
    "job_log": "job log",
    "messages": "messages",
    "unpaid_orders": "unpaid orders",
    "access_data": "access data",
    "usage": "usage records",
    "meter_events": "meter events",
}


def prune(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what would be pruned.")
    ] = False,
) -> None:
    """Prune events, logs, keys and the personal data of unpaid orders after KEEP_..._DAYS."""
    ages = service.ages_of(load_database_settings())
    if dry_run:
        rows = with_pool(lambda pool: service.count_prunable(pool, ages))
        _print(rows, ages, "would be pruned")
    else:
        by = command_line_actor()
        _print(with_pool(lambda pool: service.prune(pool, ages, by=by)), ages, "pruned")


def _print(rows: Mapping[str, int], ages: Ages, done: str) -> None:
    for subject, days in asdict(ages).items():
        count = rows[subject]
        number = f"{count:,}" if count <= COUNTED_UP_TO else f"over {COUNTED_UP_TO:,}"
        typer.echo(f"{_NAMES[subject]:<18}  kept {days:>5} days  {number:>12} {done}")
