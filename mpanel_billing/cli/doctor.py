"""`mpanel-billing doctor`: check that the service has everything it needs."""

import asyncio
import json
import os
import shutil
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import typer

from mpanel_billing.database.pool import create_pool
from mpanel_billing.doctor.examination import DatabaseSide, StripeSide, examine
from mpanel_billing.doctor.exposure import find_exposed
from mpanel_billing.doctor.finding import Finding, is_well, report_json, report_table
from mpanel_billing.doctor.variables import check_variables, describe_faults
from mpanel_billing.errors import SettingsError
from mpanel_billing.provisioning.drivers.registry import check_services
from mpanel_billing.settings import (
    DatabaseSettings,
    Settings,
    StripeSettings,
    load_database_settings,
    load_settings,
    load_stripe_settings,
)
from mpanel_billing.stripe_gateway.gateway import open_gateway


def doctor(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    settings: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Only check the settings, with this file as .env."
        ),
    ] = None,
) -> None:
    """Check settings, database, schema, catalogue, Stripe, webhooks, worker and queue.

    Exits with 1 if anything failed, else with 0 (there may be warnings). Each line says what to do.
    """
    findings = _check_settings(settings or Path(".env"))
    if settings is None:
        findings += asyncio.run(_examine())
    if as_json:
        typer.echo(json.dumps(report_json(findings), indent=2))
    else:
        coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        width = shutil.get_terminal_size().columns
        for line in report_table(findings, width=width, coloured=coloured):
            typer.echo(line)
    if not is_well(findings):
        raise typer.Exit(1)


def _check_settings(env_file: Path) -> list[Finding]:
    try:
        settings = load_settings(env_file)
        check_services(settings)
        return [*check_variables(settings, env_file), *find_exposed(settings, env_file)]
    except SettingsError as error:
        return describe_faults(str(error))


async def _examine() -> list[Finding]:
    """Examine the database and Stripe, each even if the settings of the other are wrong."""
    async with AsyncExitStack() as stack:
        db, stripe = None, None
        if settings := _database_settings():
            db = DatabaseSide(
                settings, await stack.enter_async_context(await create_pool(settings))
            )
        if stripe_settings := _stripe_settings():
            gateway = await stack.enter_async_context(open_gateway(stripe_settings))
            stripe = StripeSide(stripe_settings, gateway)
        return await examine(db, stripe, _service_settings())


def _database_settings() -> DatabaseSettings | None:
    try:
        return load_database_settings()
    except SettingsError:
        return None


def _stripe_settings() -> StripeSettings | None:
    try:
        return load_stripe_settings()
    except SettingsError:
        return None


def _service_settings() -> Settings | None:
    try:
        return load_settings()
    except SettingsError:
        return None
