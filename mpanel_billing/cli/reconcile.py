"""`mpanel-billing reconcile`: compare with Stripe and the accounts, and repair what differs."""

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

import typer

from mpanel_billing.access.audit import Actor, command_line_actor
from mpanel_billing.cli.output import ProgressLine, json_text, print_line
from mpanel_billing.database.pool import create_pool
from mpanel_billing.errors import ConflictError
from mpanel_billing.jobs.pace import Pace
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.privacy import erasure
from mpanel_billing.provisioning.drivers.registry import open_drivers
from mpanel_billing.reconciliation import runs
from mpanel_billing.reconciliation.compare import ReconcileContext
from mpanel_billing.reconciliation.drift import Drift, Progress
from mpanel_billing.reconciliation.objects import reconcile_object
from mpanel_billing.reconciliation.paced_stripe import PacedStripe
from mpanel_billing.reconciliation.runs import RunRequest
from mpanel_billing.settings import load_settings
from mpanel_billing.stripe_gateway.gateway import open_gateway

DRIFT_REMAINS = 2
INTERRUPTED = 130


Since = Annotated[
    int | None,
    typer.Option(
        min=1, max=3650, metavar="DAYS", help="Only objects created in the last DAYS days."
    ),
]
ObjectId = Annotated[
    str | None,
    typer.Option(
        "--object",
        metavar="WHAT",
        help=(
            "Only this object and what belongs to it: any id, ours or Stripe's, or what else `find`"
            " takes."
        ),
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only report, without repairing.")]
Restart = Annotated[
    bool, typer.Option("--restart", help="Start over instead of resuming an interrupted run.")
]
Restored = Annotated[
    bool, typer.Option("--restored", help="A restored backup: start over (docs/backup.md).")
]
Announce = Annotated[
    bool, typer.Option("--announce", help="Tell mPanel what is repaired (docs/messages.md).")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def reconcile(
    *,
    since: Since = None,
    object_id: ObjectId = None,
    dry_run: DryRun = False,
    restart: Restart = False,
    restored: Restored = False,
    announce: Announce = False,
    as_json: AsJson = False,
) -> None:
    """Compare the mirror with Stripe and the accounts, and repair what differs.

    If interrupted (Ctrl-C), the same command resumes. Exit code 2: differences remain.
    """
    if restored and (object_id is not None or dry_run):
        raise typer.BadParameter("--restored cannot be combined with --object or --dry-run")
    if object_id is not None and (since is not None or restart):
        raise typer.BadParameter(
            "--object can only be combined with --dry-run, --announce and --json"
        )
    report = _JsonReport() if as_json else _TextReport()
    if object_id is None:
        reconciling = _reconcile_all(
            since, report, dry_run=dry_run, restart=restart, restored=restored, announce=announce
        )
    else:
        reconciling = _reconcile_one(object_id, report, dry_run=dry_run, announce=announce)
    if _run(reconciling):
        raise typer.Exit(DRIFT_REMAINS)


def _run(reconciling: Coroutine[Any, Any, int]) -> int:
    """Return how many differences are left."""
    try:
        return asyncio.run(reconciling)
    except KeyboardInterrupt:
        typer.echo("interrupted; run the same command to resume", err=True)
        raise typer.Exit(INTERRUPTED) from None


class _TextReport:
    """One line per field that differs, then the counts."""

    def begin(self) -> None:
        """Text has no header."""

    def add(self, drift: Drift) -> None:
        """Print a field that differs."""
        print_line(drift.describe())

    def end(self, figures: Mapping[str, Any]) -> None:
        """Print the counts."""
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
    """One JSON document, written incrementally: {"drift": [...], "run": {...}}."""

    def __init__(self) -> None:
        self._separator = ""

    def begin(self) -> None:
        """Open the document."""
        typer.echo('{"drift": [', nl=False)

    def add(self, drift: Drift) -> None:
        """Write a field that differs."""
        typer.echo(f"{self._separator}\n  {json_text(asdict(drift), indent=None)}", nl=False)
        self._separator = ","

    def end(self, figures: Mapping[str, Any]) -> None:
        """Write the run, and close the document."""
        typer.echo(f'\n],\n"run": {json_text(dict(figures), indent=None)}}}')


_Report = _TextReport | _JsonReport


async def _reconcile_all(
    since: int | None,
    report: _Report,
    *,
    dry_run: bool,
    restart: bool,
    restored: bool,
    announce: bool,
) -> int:
    """Reconcile everything; return the number of objects that still differ."""
    async with _open_context(announce=announce) as (context, line):
        by = command_line_actor()
        if restored:
            await runs.mark_restored(context.mirror.pool, by)
            await _reapply_erasures(context, by)
            restart = True  # a run in the backup has passed places where something is missing now
        request = RunRequest("command", context.mirror.livemode, dry_run, since, restart)
        run_id = await runs.open_run(context.mirror.pool, request, by)
        line.expect(await runs.estimate_objects(context.mirror.pool))
        try:
            if not await runs.continue_run(context, run_id):
                raise ConflictError("Another process has taken over the reconcile.")
        finally:
            line.end()
        if restored:
            await _reapply_erasures(context, by)  # of orders that the reconcile brought back
        return await _report(context, report, run_id)


async def _reapply_erasures(context: ReconcileContext, by: Actor) -> None:
    """Erase again what had been erased since the backup, if there is a ledger."""
    file = load_settings().erasures_file
    if file is not None and file.exists():
        count = await erasure.reapply_ledger(context.mirror.pool, file, by)
        typer.echo(f"erased {count} customers again, as ERASURES_FILE says", err=True)


async def _report(context: ReconcileContext, report: _Report, run_id: UUID) -> int:
    report.begin()
    async for drift in runs.list_drift(context.mirror.pool, run_id):
        report.add(drift)
    figures = await runs.show_run(context.mirror.pool, run_id)
    report.end(figures)
    left: int = figures["drift"] - figures["repaired"]
    return left


async def _reconcile_one(object_id: str, report: _Report, *, dry_run: bool, announce: bool) -> int:
    """Reconcile one object; return the number of fields that still differ."""
    async with _open_context(announce=announce) as (context, _):
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
async def _open_context(*, announce: bool) -> AsyncIterator[tuple[ReconcileContext, ProgressLine]]:
    settings = load_settings()
    line = ProgressLine(sys.stderr)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await create_pool(settings))
        drivers = await stack.enter_async_context(open_drivers(settings))
        gateway = await stack.enter_async_context(open_gateway(settings))
        stripe = PacedStripe(gateway, Pace(settings.reconcile_requests_per_second))
        mirror = Mirror(pool, stripe, settings.livemode, silent=not announce)
        yield ReconcileContext(mirror, drivers, on_progress=line.show), line
