"""`mpanel-billing invoice`: what an invoice is for, and what is done about it, for support."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar
from uuid import UUID

import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.cli.database import with_mirror
from mpanel_billing.cli.options import Reason, Subscription, minor_units
from mpanel_billing.cli.output import moment_text, print_line
from mpanel_billing.cli.payers import Currency, Key, OfSubscription, Who, find_payer_of
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.money import format_money
from mpanel_billing.provisioning import operations

if TYPE_CHECKING:  # what calls Stripe loads its SDK, which takes longer than most commands
    from mpanel_billing.stripe_gateway.invoices import InvoiceSums, UpcomingInvoice
    from mpanel_billing.subscriptions.invoice_actions import InvoiceDetails, Verb
    from mpanel_billing.subscriptions.invoice_records import Tax
    from mpanel_billing.subscriptions.manual_invoices import NewLine

app = typer.Typer(help="What an invoice is for, and what is done about it.", no_args_is_help=True)

Result = TypeVar("Result")
Name = Annotated[
    str, typer.Argument(help="Our id, Stripe's (in_...), or its number.", metavar="INVOICE")
]
Lines = Annotated[
    list[str], typer.Option("--line", metavar="WHAT=MINOR_UNITS", help="What is billed.")
]
Net = Annotated[
    int | None,
    typer.Option(
        "--net",
        min=0,
        max=365,
        help="Send it, to be paid within this many days; default: charge the card.",
    ),
]
Memo = Annotated[str | None, typer.Option("--memo", help="What it says to the customer.")]
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
def upcoming(subscription: Subscription) -> None:
    """Show the next invoice of a subscription, as Stripe foresees it."""
    from mpanel_billing.subscriptions import invoice_actions, lookup  # noqa: PLC0415 - see above

    async def run(mirror: Mirror) -> "UpcomingInvoice | None":
        id_ = await operations.find_subscription(mirror.pool, subscription)
        return await invoice_actions.get_upcoming(mirror, id_, lookup.CustomerRef())

    found = with_mirror(run)
    if found is None:
        typer.echo("it is not billed again, as it stands")
        return
    print_upcoming(found)


@app.command()
def pdf(invoice: Name) -> None:
    """Print a fresh link to the PDF of an invoice."""
    from mpanel_billing.subscriptions import invoice_actions, lookup  # noqa: PLC0415 - see above

    async def run(mirror: Mirror, id_: UUID) -> str:
        return await invoice_actions.get_pdf(mirror, id_, lookup.CustomerRef())

    print_line(_with_invoice(invoice, run))


@app.command()
def draft(
    who: Who,
    *,
    line: Lines,
    currency: Currency,
    net: Net = None,
    subscription: OfSubscription = None,
    memo: Memo = None,
    reason: Reason,
    key: Key = None,
) -> None:
    """Make the draft of an invoice by hand: `finalize` has it paid, `delete` discards it."""
    from mpanel_billing.subscriptions import manual_invoices  # noqa: PLC0415 - see above

    by, lines = command_line_actor(), [new_line(text) for text in line]

    async def run(mirror: Mirror) -> "InvoiceDetails":
        payer = await find_payer_of(mirror, who, currency, subscription)
        request = manual_invoices.ManualInvoice(by, payer, lines, net, memo, reason, key)
        return await manual_invoices.draft_invoice(mirror, request)

    made = with_mirror(run)
    _print(made)
    id_ = made.invoice.stripe_invoice_id
    print_line(f"finalize it: mpanel-billing invoice finalize {id_} --reason TEXT")


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
def delete(invoice: Name, *, reason: Reason) -> None:
    """Delete a draft: nobody is billed by it."""
    _act(invoice, "delete_invoice", reason)


@app.command()
def uncollectible(invoice: Name, *, reason: Reason) -> None:
    """Write off an open invoice: it is owed, but no longer collected."""
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


def new_line(text: str) -> "NewLine":
    """Return the line that an option names; BadParameter."""
    from mpanel_billing.subscriptions.manual_invoices import NewLine  # noqa: PLC0415 - see above

    description, equals, amount = text.rpartition("=")
    if not equals or not description.strip():
        raise typer.BadParameter(
            "must be WHAT=MINOR_UNITS, such as 'Migration=4900' for $49.00", param_hint="--line"
        )
    return NewLine(description.strip(), minor_units(amount))


def print_upcoming(found: "UpcomingInvoice") -> None:
    """Print an invoice that is still to come."""
    print_line(f"charged {moment_text(found.at)}")
    balance = [(found.balance, "balance")] if found.balance else []
    _print_sums(found.sums, *balance, (found.amount_due, "due"))


def _print_sums(sums: "InvoiceSums", *after: tuple[int, str]) -> None:
    """Print lines and sums, with their amounts in one column."""
    lines = [(line.amount, line.description) for line in sums.lines]
    less_and_more = [(-sums.discount, "discount"), (sums.tax - sums.tax_included, "tax")]
    between = [(amount, name) for amount, name in less_and_more if amount]
    included = [(sums.tax_included, "of it tax")] if sums.tax_included else []
    rows = [*lines, *between, (sums.total, "total"), *included, *after]
    texts = [format_money(amount, sums.currency) for amount, _ in rows]
    width = max(map(len, texts))
    for text, (_, name) in zip(texts, rows, strict=True):
        print_line(f"  {text:>{width}}  {name}")


def _print(found: "InvoiceDetails") -> None:
    invoice, sums = found.invoice, found.sums
    print_line(f"{invoice.stripe_number or invoice.stripe_invoice_id}  {invoice.stripe_status}")
    _print_sums(sums)
    for tax in found.taxes:
        print_line(_tax_text(tax, invoice.currency))
    for one in found.attempts:
        reason = f": {one.reason}" if one.reason else ""
        charged = format_money(one.amount, one.currency)
        print_line(f"{moment_text(one.at)}  {charged}  {one.status}{reason}")


def _tax_text(tax: "Tax", currency: str) -> str:
    rate = "" if tax.rate is None else f" {tax.rate.normalize():f} %"
    place = f" {tax.jurisdiction}" if tax.jurisdiction else ""
    reason = f" ({tax.reason})" if tax.reason else ""
    net = format_money(tax.net, currency)
    return f"{tax.name or 'tax'}{place}{rate}: {format_money(tax.tax, currency)} on {net}{reason}"
