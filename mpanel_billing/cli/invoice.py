"""`mpanel-billing invoice`: what an invoice is for, and what is done about it, for support."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar
from uuid import UUID

import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.cli.database import with_mirror
from mpanel_billing.cli.options import Reason
from mpanel_billing.cli.output import moment_text, print_line
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.money import format_money

if TYPE_CHECKING:  # what calls Stripe loads its SDK, which takes longer than most commands
    from mpanel_billing.subscriptions.invoice_actions import InvoiceDetails, Verb

app = typer.Typer(help="What an invoice is for, and what is done about it.", no_args_is_help=True)

Result = TypeVar("Result")
Name = Annotated[
    str, typer.Argument(help="Our id, Stripe's (in_...), or its number.", metavar="INVOICE")
]
Method = Annotated[
    str | None, typer.Option("--with", help="Another payment method of the customer (pm_...).")
]


@app.command()
def show(invoice: Name) -> None:
    """Show the lines of an invoice, and the attempts to collect it."""
    from mpanel_billing.subscriptions import invoice_actions, lookup  # noqa: PLC0415 - see above

    async def run(mirror: Mirror, id_: UUID) -> "InvoiceDetails":
        return await invoice_actions.get_details(mirror, id_, lookup.CustomerRef())

    _print(_with_invoice(invoice, run))


@app.command()
def finalize(invoice: Name, *, reason: Reason) -> None:
    """Finalize a draft: Stripe then collects it."""
    _act(invoice, "finalize_invoice", reason)


@app.command()
def pay(invoice: Name, *, reason: Reason, method: Method = None) -> None:
    """Charge the customer for an open invoice now."""
    _act(invoice, "pay_invoice", reason, method)


@app.command("mark-paid")
def mark_paid(invoice: Name, *, reason: Reason) -> None:
    """Note that an invoice was paid outside of Stripe."""
    _act(invoice, "mark_paid", reason)


@app.command()
def void(invoice: Name, *, reason: Reason) -> None:
    """Void an open invoice: it was never owed."""
    _act(invoice, "void_invoice", reason)


@app.command()
def uncollectible(invoice: Name, *, reason: Reason) -> None:
    """Write an open invoice off: it is owed, and not collected."""
    _act(invoice, "mark_uncollectible", reason)


def _with_invoice(name: str, do: Callable[[Mirror, UUID], Awaitable[Result]]) -> Result:
    from mpanel_billing.subscriptions.lookup import find_invoice  # noqa: PLC0415

    async def run(mirror: Mirror) -> Result:
        return await do(mirror, await find_invoice(mirror, name))

    return with_mirror(run)


def _act(name: str, verb: "Verb", reason: str, method: str | None = None) -> None:
    from mpanel_billing.subscriptions import invoice_actions, lookup  # noqa: PLC0415 - see above

    by = command_line_actor()

    async def run(mirror: Mirror, id_: UUID) -> invoice_actions.ActedOn:
        request = invoice_actions.InvoiceRequest(
            by, verb, id_, lookup.CustomerRef(), method, reason
        )
        return await invoice_actions.act(mirror, request)

    done = _with_invoice(name, run)
    already = "" if done.changed else " already"
    print_line(f"{done.invoice.stripe_invoice_id} is{already} {done.invoice.stripe_status}")


def _print(found: "InvoiceDetails") -> None:
    invoice, sums = found.invoice, found.sums
    print_line(f"{invoice.stripe_number or invoice.stripe_invoice_id}  {invoice.stripe_status}")
    for line in sums.lines:
        print_line(f"  {format_money(line.amount, sums.currency)}  {line.description}")
    for name, amount in (("discount", -sums.discount), ("tax", sums.tax), ("total", sums.total)):
        print_line(f"  {format_money(amount, sums.currency)}  {name}")
    for one in found.attempts:
        reason = f": {one.reason}" if one.reason else ""
        charged = format_money(one.amount, one.currency)
        print_line(f"{moment_text(one.at)}  {charged}  {one.status}{reason}")
