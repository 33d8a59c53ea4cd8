"""`mpanel-billing domains`: who has which name, and how far its registration is."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import asyncpg
import typer

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Target, command_line_actor
from mpanel_billing.cli.database import with_pool
from mpanel_billing.cli.output import moment_text, print_line
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.domains import repository
from mpanel_billing.domains.names import DomainName, read_name
from mpanel_billing.domains.reserved import load_reserved_names
from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.settings import load_settings

if TYPE_CHECKING:
    from mpanel_billing.domains.proof import Finding

app = typer.Typer(
    help="Domains: who has which name, and how far its registration is.", no_args_is_help=True
)


def _read(text: str) -> DomainName:
    try:
        return read_name(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} {error}") from None


Name = Annotated[
    DomainName, typer.Argument(parser=_read, metavar="NAME", help="In ASCII or Unicode.")
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
    settings = load_settings()
    reserved = load_reserved_names(
        settings.reserved_domains, (settings.tenant_suffix, settings.app_host)
    )
    if reserved.reserve(name):
        print_line(f"{name.unicode}: nobody can order it")
    elif with_pool(lambda pool: _is_taken(pool, name)):
        print_line(f"{name.unicode}: a customer has it, one under or above it, or one like it")
    else:
        print_line(f"{name.unicode}: nobody has it here")


@app.command()
def release(name: Name) -> None:
    """Let others have a name that a customer has kept after the end of their subscription."""
    customer_id = with_pool(lambda pool: _release(pool, name))
    typer.echo(f"released; it was customer {customer_id}'s")


@app.command()
def verify(name: Name) -> None:
    """Look now whether buyers have proven that a name is theirs."""
    from mpanel_billing.provisioning.proofs import check_now, proof_checks_of  # noqa: PLC0415

    settings = load_settings()

    async def check(pool: Pool) -> Sequence[str]:
        checks = proof_checks_of(settings, pool)
        return [
            f"customer {row['customer_id']}: {_result_of(await check_now(checks, row['id']))}"
            for row in await _unproven(pool, name)
        ]

    for line in with_pool(check):
        print_line(line)


def _result_of(finding: "Finding | None") -> str:
    if finding is None:
        return "checked a moment ago; try again in 20 seconds"
    return finding.missing if finding.proven_by is None else f"proven by {finding.proven_by}"


Customer = Annotated[UUID, typer.Option(help="Whose it is to be.")]
Reason = Annotated[str, typer.Option(help="Why, for the audit log.")]


@app.command()
def accept(name: Name, customer: Customer, reason: Reason) -> None:
    """Count a name as proven, after another proof that it is the customer's."""
    from mpanel_billing.provisioning.proofs import accept as count_as_proven  # noqa: PLC0415

    async def decide(conn: Connection, row: asyncpg.Record) -> None:
        await count_as_proven(conn, row["id"])

    with_pool(lambda pool: _decide(pool, name, customer, ("domain.accept", reason), decide))
    typer.echo("accepted; its tenant gets the name")


@app.command()
def reject(name: Name, customer: Customer, reason: Reason) -> None:
    """End the wait for a proof; the tenant keeps its name in our zone."""
    from mpanel_billing.provisioning.proofs import reject as end_waiting  # noqa: PLC0415

    async def decide(conn: Connection, row: asyncpg.Record) -> None:
        await end_waiting(conn, row["id"], row["subscription_id"])

    with_pool(lambda pool: _decide(pool, name, customer, ("domain.reject", reason), decide))
    typer.echo("rejected; the tenant keeps its name in our zone")


async def _unproven(
    pool: Pool, name: DomainName, customer: UUID | None = None
) -> Sequence[asyncpg.Record]:
    from mpanel_billing.provisioning.repository import proofs  # noqa: PLC0415

    async with acquired(pool) as conn:
        rows = await proofs.list_of_name(conn, name, customer)
    if not rows:
        raise NotFoundError(f"Nobody has to prove {name.unicode}: see `domains show`.")
    return rows


async def _decide(
    pool: Pool,
    name: DomainName,
    customer: UUID,
    why: tuple[str, str],
    decide: Callable[[Connection, asyncpg.Record], Awaitable[None]],
) -> None:
    """Decide what a customer has still to prove, and record who did and why."""
    action, reason = why
    for row in await _unproven(pool, name, customer):
        async with transaction(pool) as conn:
            await decide(conn, row)
            target = Target("customer", str(customer))
            content = {"domain": name.ascii, "reason": reason}
            await audit.record(conn, command_line_actor(), action, target, content)


_EVENTS = {
    "created_at": "ordered",
    "held_at": "held since",
    "proven_at": "proven",
    "paid_at": "found paid",
    "registered_at": "registered or transferred",
    "given_back_at": "refunded, because it could not be had,",
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


async def _release(pool: Pool, name: DomainName) -> UUID:
    async with transaction(pool) as conn:
        customer_id = await repository.release_kept(conn, name)
        if customer_id is None:
            raise ConflictError(f"No customer has kept {name.unicode}: see `domains show`.")
        target = Target("customer", str(customer_id))
        by = command_line_actor()
        await audit.record(conn, by, "domain.release", target, {"domain": name.ascii})
    return customer_id


def _line(row: asyncpg.Record) -> str:
    whose = f"customer {row['customer_id']}" if row["customer_id"] else "no customer record"
    what = f"subscription {row['subscription_id']}" if row["subscription_id"] else "no tenant"
    shown = f" ({row['unicode_name']})" if row["unicode_name"] != row["name"] else ""
    return f"{row['name']}{shown}  {row['mode']}  {row['state']}  {whose}  {what}"
