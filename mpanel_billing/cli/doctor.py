"""`mpanel-billing doctor`: is everything there that the service needs."""

import asyncio
import json
from dataclasses import asdict
from typing import Annotated

import typer

from mpanel_billing.database.pool import create_pool
from mpanel_billing.doctor.checks import Finding, examine
from mpanel_billing.errors import SettingsError
from mpanel_billing.settings import Settings, load_settings
from mpanel_billing.stripe_gateway.gateway import open_gateway


def doctor(
    *, as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False
) -> None:
    """Check settings, database, schema, catalogue, Stripe key and webhook endpoint."""
    findings = _findings()
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            typer.echo(_line(finding))
    if not all(finding.well for finding in findings):
        raise typer.Exit(1)


def _findings() -> list[Finding]:
    try:
        settings = load_settings()
    except SettingsError as error:
        return [
            Finding("settings", well=False, detail=line, advice="see .env.example")
            for line in str(error).splitlines()
        ]
    return asyncio.run(_examine(settings))


async def _examine(settings: Settings) -> list[Finding]:
    gateway = open_gateway(settings)
    try:
        async with await create_pool(settings) as pool:
            return await examine(settings, pool, gateway)
    finally:
        await gateway.close()


def _line(finding: Finding) -> str:
    word = typer.style("ok  ", fg="green") if finding.well else typer.style("FAIL", fg="red")
    advice = f"  -> {finding.advice}" if not finding.well and finding.advice else ""
    return f"{word} {finding.name:<17} {finding.detail}{advice}"
