"""`mpanel-billing domains`: who has which name, and how far its registration is."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import asyncpg
import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.cli.database import with_drivers, with_mirror, with_pool
from mpanel_billing.cli.output import moment_text, print_line
from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.domains import repository
from mpanel_billing.domains.names import DomainName, read_name
from mpanel_billing.domains.reserved import load_reserved_names
from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.money import format_money
from mpanel_billing.settings import load_settings

if TYPE_CHECKING:  # what calls Stripe loads its SDK, which takes longer than most commands
    from mpanel_billing.domains.owned import OwnedDomain
    from mpanel_billing.mirror.mirror import Mirror
    from mpanel_billing.provisioning.drivers.registry import Drivers
    from mpanel_billing.subscriptions.owned_domains import DomainRequest

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


Price = Annotated[
    int | None,
    typer.Option(min=0, help="What the customer was shown for a year, in minor units."),
]
Of = Annotated[UUID, typer.Option("--customer", help="Whose it is.")]
To = Annotated[UUID | None, typer.Option("--subscription", help="The one whose tenant has it.")]
Plan = Annotated[UUID, typer.Argument(metavar="SUBSCRIPTION", help="Whose tenant gets it.")]


@app.command()
def renew(name: Name, *, price: Price = None) -> None:
    """Have the year that follows charged now, also of a name that has just expired."""
    from mpanel_billing.subscriptions import owned_domains  # noqa: PLC0415 - see above

    _print_year(_with_domain(name, partial(owned_domains.order_year, price=price)))


@app.command("auto-renew")
def auto_renew(
    name: Name,
    *,
    on: Annotated[bool, typer.Option("--on/--off", help="Whether further years are charged.")],
    price: Price = None,
) -> None:
    """Have further years of a name charged, as its customer agreed, or not."""
    from mpanel_billing.subscriptions import owned_domains  # noqa: PLC0415 - see above

    _print_year(_with_domain(name, partial(owned_domains.set_auto_renew, on=on, price=price)))


@app.command()
def adopt(name: Name, *, customer: Of, subscription: To = None) -> None:
    """Take over a name that the registrar has in your account; no further year is charged yet."""
    from mpanel_billing.subscriptions import adopted_domains  # noqa: PLC0415 - see above

    wanted = adopted_domains.Adoption(name, customer, subscription)

    async def run(mirror: "Mirror", drivers: "Drivers") -> datetime:
        by = command_line_actor()
        found = await adopted_domains.adopt(mirror.pool, drivers, by, wanted)
        return found.expires_at

    expires_at = with_drivers(run)
    print_line(f"{name.unicode} expires {moment_text(expires_at)}; further years are not charged")
    print_line("until the customer has agreed: domains auto-renew NAME --on")


@app.command("transfer-out")
def transfer_out(name: Name) -> None:
    """Unlock a name for its owner to take it elsewhere, and print the auth code for that."""
    from mpanel_billing.subscriptions import owned_domains  # noqa: PLC0415 - see above

    async def run(mirror: "Mirror", drivers: "Drivers") -> str | None:
        request = await _request(mirror, name)
        _, code = await owned_domains.get_auth_code(mirror, drivers, request)
        return code

    typer.echo(with_drivers(run) or "the registrar sends it to the owner")


@app.command()
def release(name: Name) -> None:
    """Let others have a name that a customer has kept after the end of their subscription."""
    from mpanel_billing.subscriptions import owned_domains  # noqa: PLC0415 - see above

    domain = _with_domain(name, owned_domains.release)
    typer.echo(f"released; it was customer {domain.customer_id}'s")


@app.command()
def move(name: Name, subscription: Plan) -> None:
    """Give a name to the tenant of another subscription of its customer."""
    from mpanel_billing.subscriptions import owned_domains  # noqa: PLC0415 - see above

    domain = _with_domain(name, partial(owned_domains.move, subscription_id=subscription))
    print_line(f"{domain.name} belongs to subscription {domain.subscription_id}")


def _with_domain(
    name: DomainName, do: Callable[["Mirror", "DomainRequest"], Awaitable["OwnedDomain"]]
) -> "OwnedDomain":
    """Do something about the domain that has a name now; ConflictError if nobody has it."""

    async def run(mirror: "Mirror") -> "OwnedDomain":
        return await do(mirror, await _request(mirror, name))

    return with_mirror(run)


async def _request(mirror: "Mirror", name: DomainName) -> "DomainRequest":
    from mpanel_billing.domains import owned  # noqa: PLC0415 - see above
    from mpanel_billing.subscriptions.lookup import CustomerRef  # noqa: PLC0415 - see above
    from mpanel_billing.subscriptions.owned_domains import DomainRequest  # noqa: PLC0415

    async with acquired(mirror.pool) as conn:
        id_ = await owned.find_live(conn, name)
    if id_ is None:
        raise ConflictError(f"Nobody has {name.unicode}: see `domains show`.")
    return DomainRequest(command_line_actor(), id_, CustomerRef())


def _print_year(domain: "OwnedDomain") -> None:
    yearly = "further years are charged" if domain.auto_renew else "no further years are charged"
    print_line(f"{domain.name}  {domain.state}  {yearly}")
    if domain.expires_at:
        print_line(f"  expires {moment_text(domain.expires_at)}")
    if domain.told_price is not None and domain.currency:
        print_line(f"  {format_money(domain.told_price, domain.currency)} a year")
    if domain.year:
        print_line(f"  year from {domain.year.of}: {domain.year.state}")


_EVENTS = {
    "created_at": "ordered",
    "held_at": "held since",
    "paid_at": "found paid",
    "registered_at": "registered or transferred",
    "expires_at": "expires",
    "given_back_at": "refunded, because it could not be had,",
}


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
