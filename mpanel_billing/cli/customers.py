"""`mpanel-billing customers`: their page, what is held about a person, and its erasure."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.cli.customer_page import describe_customer, describe_entitlement
from mpanel_billing.cli.database import open_mirror, with_mirror, with_pool
from mpanel_billing.cli.output import json_text, print_line
from mpanel_billing.database.pool import Pool, create_pool
from mpanel_billing.privacy import erasure, ledger
from mpanel_billing.privacy.erasure import Prospect, StillRunningError
from mpanel_billing.privacy.export import export as export_rows
from mpanel_billing.privacy.repository import Who
from mpanel_billing.provisioning.policy import policy_of
from mpanel_billing.search.customer import MOST_SUBSCRIPTIONS, read_customer
from mpanel_billing.search.stripe_ids import is_asked_for
from mpanel_billing.settings import load_database_settings, load_settings
from mpanel_billing.subscriptions.entitlements import Entitlements, Granted
from mpanel_billing.subscriptions.paging import Span

app = typer.Typer(
    help="Show a customer; export or erase what is held about a person (docs/privacy.md).",
    no_args_is_help=True,
)

Named = Annotated[
    str,
    typer.Argument(
        metavar="WHO",
        help="An e-mail address, cus_..., or the id of a customer or of their mPanel account.",
    ),
]

Customer = Annotated[UUID, typer.Argument(metavar="CUSTOMER", help="The id of the record.")]
UserId = Annotated[UUID, typer.Argument(metavar="USER", help="The id of the account in mPanel.")]


@app.command()
def show(
    who: Annotated[
        list[str],
        typer.Argument(
            metavar="WHO",
            help="Whatever `find` takes: any id, an e-mail address, a domain, a name.",
        ),
    ],
) -> None:
    """Show a customer: who they are, subscriptions, services, invoices, trouble, changes."""
    text = " ".join(who)
    if is_asked_for(text):
        page = with_mirror(lambda mirror: read_customer(mirror.pool, text, mirror.stripe))
    else:
        page = with_pool(lambda pool: read_customer(pool, text))
    for line in describe_customer(page):
        print_line(line)


@app.command()
def entitlements(
    who: Annotated[list[str], typer.Argument(metavar="WHO", help="Whatever `find` takes.")],
) -> None:
    """Print what a customer may have now, why, and until when (docs/billing-api.md)."""
    settings = load_settings()

    async def read(pool: Pool) -> Sequence[Granted]:
        customer_id = (await read_customer(pool, " ".join(who))).customer["id"]
        asked = Entitlements(pool, policy_of(settings), settings.livemode)
        return await asked.of_customer(customer_id, Span(MOST_SUBSCRIPTIONS))

    granted = with_pool(read)
    for one in granted:
        for line in describe_entitlement(one):
            print_line(line)
    if not granted:
        typer.echo("nothing")


@app.command()
def export(who: Named) -> None:
    """Print all that is held about a person, as JSON."""
    named, by = _who(who), command_line_actor()
    typer.echo(json_text(with_pool(lambda pool: export_rows(pool, named, by))))


@app.command()
def erase(
    who: Named,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be erased and kept.")
    ] = False,
    at_stripe: Annotated[
        bool, typer.Option("--at-stripe", help="Also delete the Stripe customers, for good.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Erase the personal data of a person who has nothing running; it cannot be undone."""
    named = _who(who)
    prospect = with_pool(lambda pool: erasure.preview_erasure(pool, named))
    _print_prospect(prospect, at_stripe=at_stripe)
    if prospect.obstacles:
        raise StillRunningError(f"Not erased: {'; '.join(prospect.obstacles)}.")
    if dry_run:
        return
    if not yes:
        typer.confirm("Erase it? This cannot be undone", abort=True)
    _print_rows(asyncio.run(_erase(named, prospect, at_stripe=at_stripe)))


@app.command("link-user")
def link_user(customer: Customer, user: UserId) -> None:
    """Give a customer who has ordered without an account theirs in mPanel."""
    from mpanel_billing.subscriptions import merging  # noqa: PLC0415 - see `merge`

    by = command_line_actor()
    with_pool(lambda pool: merging.link_user(pool, merging.CustomerRequest(by, customer), user))
    typer.echo(f"{customer} has the account {user}")


@app.command()
def merge(
    customer: Customer,
    into: Annotated[UUID, typer.Option("--into", help="The customer that gets everything.")],
) -> None:
    """Merge a customer into another of the same person; Stripe's customers stay apart."""
    # loading what locks events takes longer than most commands
    from mpanel_billing.subscriptions import merging  # noqa: PLC0415

    by = command_line_actor()
    with_pool(
        lambda pool: merging.merge_customers(pool, merging.CustomerRequest(by, customer), into)
    )
    typer.echo(f"{into} has everything of {customer}; `customers undo-merge` within a day")


@app.command("undo-merge")
def undo_merge(customer: Customer) -> None:
    """Take a merge back within a day."""
    from mpanel_billing.subscriptions import merging  # noqa: PLC0415 - see `merge`

    by = command_line_actor()
    into = with_pool(lambda pool: merging.undo_merge(pool, merging.CustomerRequest(by, customer)))
    typer.echo(f"{customer} has its own again, apart from {into}")


@app.command("reapply-erasures")
def reapply_erasures(
    file: Annotated[
        Path | None, typer.Argument(help="A copy of the ledger; default: ERASURES_FILE.")
    ] = None,
) -> None:
    """Erase again, after a restored backup, what had been erased; nothing else is touched."""
    path = file or load_database_settings().erasures_file
    if path is None:
        raise typer.BadParameter("name a file, or set ERASURES_FILE")
    by = command_line_actor()
    count = with_pool(lambda pool: erasure.reapply(pool, ledger.read(path), by))
    typer.echo(f"erased {count} customers again")


async def _erase(who: Who, prospect: Prospect, *, at_stripe: bool) -> Mapping[str, int]:
    """Erase here first: a deletion at Stripe that fails can be repeated, by the id at Stripe."""
    by = command_line_actor()
    if not at_stripe:
        settings = load_database_settings()
        async with await create_pool(settings) as pool:
            return await erasure.erase(pool, who, settings.erasures_file, by)
    file = load_settings().erasures_file
    async with open_mirror() as mirror:
        rows = await erasure.erase(mirror.pool, who, file, by)
        ids = prospect.person.stripe_customers
        await erasure.delete_at_stripe(mirror.pool, mirror.stripe, ids, by)
    return rows


def _who(text: str) -> Who:
    if "@" in text:
        return Who(email=text.strip())
    if text.startswith("cus_"):
        return Who(stripe_customer_id=text)
    try:
        return Who(id=UUID(text))
    except ValueError:
        raise typer.BadParameter("WHO is an e-mail address, cus_... or an id") from None


def _print_prospect(prospect: Prospect, *, at_stripe: bool) -> None:
    person = prospect.person
    for name, ids in (
        ("customers", person.customers),
        ("orders and subscriptions", person.subscriptions),
        ("Stripe customers", person.stripe_customers),
    ):
        print_line(f"{name}: {', '.join(map(str, ids)) or 'none'}")
    print_line(
        f"kept, as the law demands: {prospect.invoices} invoices, {prospect.payments} payments, "
        f"{prospect.refunds} refunds"
    )
    for user in person.users:
        print_line(f"mPanel's own: account {user}; erase it in mPanel, afterwards")
    if at_stripe:
        print_line("Stripe deletes its customers with their cards. IT CANNOT BE UNDONE.")
    elif person.stripe_customers:
        print_line("Stripe keeps its customers; --at-stripe deletes them")
    if load_database_settings().erasures_file is None:
        sys.stderr.write("ERASURES_FILE is not set: a restored backup would bring the data back\n")


def _print_rows(rows: Mapping[str, int]) -> None:
    for table, count in rows.items():
        print_line(f"erased {count:>6} {table}")
