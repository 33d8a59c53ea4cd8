"""The commands of `mpanel-billing domains` about names that customers have."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.cli.database import with_drivers, with_mirror
from mpanel_billing.cli.domains import Name, app
from mpanel_billing.cli.output import moment_text, print_line
from mpanel_billing.database.pool import acquired
from mpanel_billing.domains.names import DomainName
from mpanel_billing.errors import ConflictError
from mpanel_billing.money import format_money

__all__ = ["app"]  # of `domains`, with these commands

if TYPE_CHECKING:  # what calls Stripe loads its SDK, which takes longer than most commands
    from mpanel_billing.domains.repository.owned import OwnedDomain
    from mpanel_billing.mirror.mirror import Mirror
    from mpanel_billing.provisioning.drivers.registry import Drivers
    from mpanel_billing.subscriptions.owned_domains import DomainRequest

Price = Annotated[
    int | None,
    typer.Option(min=0, help="What the customer was shown for a year, in minor units."),
]
PaidUntil = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], help="The day to which it was paid for by hand, UTC."),
]
Of = Annotated[UUID, typer.Option("--customer", help="Whose it is.")]
To = Annotated[UUID | None, typer.Option("--subscription", help="The one whose tenant has it.")]
Plan = Annotated[UUID, typer.Argument(metavar="SUBSCRIPTION", help="Whose tenant gets it.")]


@app.command()
def renew(name: Name, *, price: Price = None, paid_until: PaidUntil = None) -> None:
    """Have the year that follows charged now, also of a name that has just expired.

    With --paid-until nothing is charged: its customer has paid for it, such as with an invoice by
    hand.
    """
    from mpanel_billing.subscriptions import owned_domains  # noqa: PLC0415 - see above

    if paid_until is None:
        _print_year(_with_domain(name, partial(owned_domains.order_year, price=price)))
        return
    if price is not None:
        raise typer.BadParameter("--price is for a year that is charged, not for one paid by hand")
    until = paid_until.replace(tzinfo=UTC)
    _with_domain(name, partial(owned_domains.renew_paid, until=until))
    typer.echo("the worker renews it")


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
    from mpanel_billing.domains.repository import owned  # noqa: PLC0415 - see above
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
