"""`mpanel-billing reconcile`: compare Stripe with the mirror and the accounts, and repair."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

import typer

from mpanel_billing.access.actor import command_line_actor
from mpanel_billing.cli.output import ProgressLine, json_text
from mpanel_billing.database.pool import create_pool
from mpanel_billing.errors import ConflictError
from mpanel_billing.jobs.pace import Pace
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning.drivers.registry import open_drivers
from mpanel_billing.reconciliation import service
from mpanel_billing.reconciliation.comparing import ReconcileContext
from mpanel_billing.reconciliation.drift import Drift, Progress
from mpanel_billing.reconciliation.objects import reconcile_object
from mpanel_billing.reconciliation.paced_stripe import PacedStripe
from mpanel_billing.reconciliation.service import Wish
from mpanel_billing.settings import load_settings
from mpanel_billing.stripe_gateway.gateway import open_gateway

DRIFT_IS_LEFT = 2
INTERRUPTED = 130


def reconcile(
    *,
    since: Annotated[
        int | None,
        typer.Option(min=1, max=3650, metavar="DAYS", help="Only what was made in these days."),
    ] = None,
    object_id: Annotated[
        str | None,
        typer.Option(
            "--object",
            metavar="ID",
            help="One sub_..., in_..., inpay_..., re_... or cus_... alone.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report, repair nothing.")] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew rather than go on with a stopped run.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Compare Stripe with the mirror and the accounts, report what differs, and repair it.

    Stopped (Ctrl-C), the same command goes on where it was. Exit code 2: something differs still.
    """
    if object_id is not None and (since is not None or restart):
        raise typer.BadParameter("--object goes with --dry-run and --json only")
    report = _JsonReport() if as_json else _TextReport()
    try:
        if object_id is None:
            left = asyncio.run(_reconcile_all(since, report, dry_run=dry_run, restart=restart))
        else:
            left = asyncio.run(_reconcile_one(object_id, report, dry_run=dry_run))
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on from here", err=True)
        raise typer.Exit(INTERRUPTED) from None
    if left:
        raise typer.Exit(DRIFT_IS_LEFT)


class _TextReport:
    """A line for each field that differs, then the figures."""

    def begin(self) -> None:
        """Nothing comes before the first line."""

    def add(self, drift: Drift) -> None:
        """Print one field."""
        typer.echo(drift.describe())

    def end(self, figures: Mapping[str, Any]) -> None:
        """Print the figures."""
        took = ""
        if figures.get("finished_at"):
            seconds = (figures["finished_at"] - figures["started_at"]).total_seconds()
            took = f" in {seconds:.1f} s"
        typer.echo(
            f"compared {figures['objects']:,} objects, {figures['events']:,} events and "
            f"{figures['accounts']:,} accounts{took}: "
            f"{figures['drift']:,} differed, {figures['repaired']:,} repaired"
        )


class _JsonReport:
    """One JSON document, written piece by piece: {"drift": [...], "run": {...}}."""

    def __init__(self) -> None:
        self._separator = ""

    def begin(self) -> None:
        """Open the document."""
        typer.echo('{"drift": [', nl=False)

    def add(self, drift: Drift) -> None:
        """Write one field."""
        typer.echo(f"{self._separator}\n  {json_text(asdict(drift), indent=None)}", nl=False)
        self._separator = ","

    def end(self, figures: Mapping[str, Any]) -> None:
        """Write the figures, and close the document."""
        typer.echo(f'\n],\n"run": {json_text(dict(figures), indent=None)}}}')


_Report = _TextReport | _JsonReport


async def _reconcile_all(
    since: int | None, report: _Report, *, dry_run: bool, restart: bool
) -> int:
    """Reconcile everything; answer how much still differs."""
    async with _open_context() as (context, line):
        by = command_line_actor()
        wish = Wish("command", context.mirror.livemode, dry_run, since, restart)
        run_id = await service.open_run(context.mirror.pool, wish, by)
        line.expect(await service.estimate_objects(context.mirror.pool))
        try:
            if not await service.continue_run(context, run_id):
                raise ConflictError("Another process has taken the reconcile over.")
        finally:
            line.end()
        return await _report(context, report, run_id)


async def _report(context: ReconcileContext, report: _Report, run_id: UUID) -> int:
    report.begin()
    async for drift in service.list_drift(context.mirror.pool, run_id):
        report.add(drift)
    figures = await service.show_run(context.mirror.pool, run_id)
    report.end(figures)
    left: int = figures["drift"] - figures["repaired"]
    return left


async def _reconcile_one(object_id: str, report: _Report, *, dry_run: bool) -> int:
    """Reconcile one object; answer how many fields still differ."""
    async with _open_context() as (context, _):
        drift = await reconcile_object(context, object_id, dry_run=dry_run, by=command_line_actor())
    report.begin()
    for each in drift:
        report.add(each)
    report.end(_figures_of(drift))
    return sum(not each.repaired for each in drift)


def _figures_of(drift: Sequence[Drift]) -> Mapping[str, Any]:
    found = Progress(drift, None, done=True)
    looked = {each.object_id for each in drift} if drift else {None}
    return {
        "objects": len(looked),
        "events": 0,
        "accounts": 0,
        "drift": found.drifted,
        "repaired": found.repaired,
    }


@asynccontextmanager
async def _open_context() -> AsyncIterator[tuple[ReconcileContext, ProgressLine]]:
    settings = load_settings()
    line = ProgressLine(sys.stderr)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await create_pool(settings))
        drivers = await stack.enter_async_context(open_drivers(settings))
        gateway = await stack.enter_async_context(open_gateway(settings))
        stripe = PacedStripe(gateway, Pace(settings.reconcile_requests_per_second))
        mirror = Mirror(pool, stripe, settings.livemode)
        yield ReconcileContext(mirror, drivers, on_progress=line.show), line
