"""`mpanel-billing domains`: who has which name, and the state of its registration."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import typer

from mpanel_billing.cli.database import with_pool
from mpanel_billing.cli.output import moment_text, print_line
from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.domains.names import DomainName, read_name
from mpanel_billing.domains.repository import names as repository
from mpanel_billing.domains.reserved import ReservedNames, load_reserved_names
from mpanel_billing.errors import NotFoundError
from mpanel_billing.settings import Settings, load_settings

app = typer.Typer(
    help="Domains: who has which name, and the state of its registration.", no_args_is_help=True
)


def read(text: str) -> DomainName:
    """Read a name that was typed."""
    try:
        return read_name(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} {error}") from None


Name = Annotated[
    DomainName, typer.Argument(parser=read, metavar="NAME", help="In ASCII or Unicode.")
]


@app.command("list")
def list_(
    *,
    state: Annotated[
        str | None, typer.Option(help="Only those in this state, such as `registering`.")
    ] = None,
    customer: Annotated[
        UUID | None, typer.Option(help="All of this customer, those that are only ordered too.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number.")] = 100,
) -> None:
    """List domains, those ordered last first."""
    if state is not None and customer is not None:
        raise typer.BadParameter("name a state or a customer")

    async def read(pool: Pool) -> Sequence[asyncpg.Record]:
        async with acquired(pool) as conn:
            if customer is not None:
                return await repository.list_of_customer(conn, customer, limit)
            return await repository.list_domains(conn, state, limit)

    rows = with_pool(read)
    for row in rows:
        print_line(_line(row))
    if not rows:
        typer.echo("no domains")


@app.command()
def show(name: Name) -> None:
    """Show who has a name, who had it, and which orders want it."""
    rows = with_pool(lambda pool: _rows_of(pool, name))
    for row in rows:
        print_line(_line(row))
        for column, event in _EVENTS.items():
            if row[column]:
                print_line(f"  {event} {moment_text(row[column])}")
        if row["expires_at"]:
            renewed = "renewed then" if row["auto_renew"] else "not renewed"
            print_line(f"  expires {moment_text(row['expires_at'])}, {renewed}")
        if row["needs"]:
            print_line(f"  the registrar still needs: {', '.join(row['needs'])}")
        if row["last_error"]:
            print_line(f"  the registrar: {row['last_error']}")
        if row["refund_error"]:
            print_line(f"  not refunded: {row['refund_error']}")
        if row["proof"]:
            _print_proof(row["proof"])
    if not rows:
        raise NotFoundError(f"Nobody has ordered {name.unicode}.")


@app.command()
def check(name: Name) -> None:
    """Say whether a new customer could order a name."""
    if reserved_names(load_settings()).reserve(name):
        print_line(f"{name.unicode}: nobody can order it")
    elif with_pool(lambda pool: _is_taken(pool, name)):
        print_line(f"{name.unicode}: a customer has it, one under or above it, or one like it")
    else:
        print_line(f"{name.unicode}: nobody has it here")


def reserved_names(settings: Settings) -> ReservedNames:
    """Return the names that nobody can order."""
    return load_reserved_names(
        settings.reserved_domains, (settings.tenant_suffix, settings.app_host)
    )


_EVENTS = {
    "created_at": "ordered",
    "held_at": "held since",
    "proven_at": "proven",
    "paid_at": "found paid",
    "registered_at": "registered or transferred",
    "expires_at": "expires",
    "given_back_at": "refunded, because it could not be obtained,",
}


def _print_proof(proof: Mapping[str, Any]) -> None:
    print_line(f"  to prove it: {proof['recordName']} TXT {proof['recordValue']}")
    if proof["nameservers"]:
        print_line(f"  or nameservers {' and '.join(proof['nameservers'])}")
    print_line(f"  {proof['missing'] or 'not checked yet'}")


async def _rows_of(pool: Pool, name: DomainName) -> Sequence[asyncpg.Record]:
    async with acquired(pool) as conn:
        return await repository.list_of_name(conn, name)


async def _is_taken(pool: Pool, name: DomainName) -> bool:
    async with acquired(pool) as conn:
        return bool(await repository.list_taken(conn, [name], vouched_customer=None))


def _line(row: asyncpg.Record) -> str:
    whose = f"customer {row['customer_id']}" if row["customer_id"] else "no customer record"
    what = f"subscription {row['subscription_id']}" if row["subscription_id"] else "no tenant"
    shown = f" ({row['unicode_name']})" if row["unicode_name"] != row["name"] else ""
    return f"{row['name']}{shown}  {row['mode']}  {row['state']}  {whose}  {what}"
