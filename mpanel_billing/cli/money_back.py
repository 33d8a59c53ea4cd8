"""`mpanel-billing refund` and `credit`: give back money of an invoice, for support."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args
from uuid import UUID

import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.cli.database import with_mirror
from mpanel_billing.cli.options import OptionalReason, minor_units
from mpanel_billing.cli.output import print_line
from mpanel_billing.money import format_money
from mpanel_billing.subscriptions import credit_notes, refunds
from mpanel_billing.subscriptions.credit_notes import NoteReason, RequestedNote, To
from mpanel_billing.subscriptions.invoice_records import Invoice
from mpanel_billing.subscriptions.lookup import CustomerRef, find_invoice
from mpanel_billing.subscriptions.money_back import EndService
from mpanel_billing.subscriptions.refunds import Reason, RequestedRefund

if TYPE_CHECKING:  # it needs the SDK, which takes long to load
    from mpanel_billing.mirror.mirror import Mirror

Asked = TypeVar("Asked", RequestedRefund, RequestedNote)

Named = Annotated[
    str, typer.Argument(metavar="INVOICE", help="Our id, Stripe's (in_...), or its number.")
]
Amount = Annotated[
    int | None,
    typer.Option(
        parser=minor_units,
        metavar="MINOR_UNITS",
        help="Of the invoice's currency, 500 is $5.00; default: all that is left.",
    ),
]
End = Annotated[
    str,
    typer.Option(
        "--end-service",
        help="What becomes of the subscription: now or period_end ends it, keep does not.",
    ),
]
Goes = Annotated[
    str | None,
    typer.Option(
        "--to", help="Of a paid invoice: balance, card, or out_of_band if it is back already."
    ),
]
Memo = Annotated[str | None, typer.Option("--memo", help="What it says to the customer.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print what would be given back.")]
Key = Annotated[
    str | None,
    typer.Option("--key", help="The same key again does nothing; another repeats a refund."),
]


def refund(
    invoice: Named,
    *,
    amount: Amount = None,
    reason: OptionalReason = None,
    end_service: End = "keep",
    dry_run: DryRun = False,
    key: Key = None,
) -> None:
    """Refund what was paid of an invoice, or a part of it, to where it came from."""
    named: dict[str, Any] = {
        "amount": amount,
        "reason": _one_of(reason, Reason, "--reason"),
        "end_service": _one_of(end_service, EndService, "--end-service"),
        "key": key,
    }
    _of_invoice(
        invoice,
        lambda id_: RequestedRefund(command_line_actor(), id_, CustomerRef(), **named),
        _preview_refund if dry_run else _refund,
    )


async def _preview_refund(mirror: "Mirror", request: RequestedRefund) -> None:
    preview = await refunds.preview_refund(mirror, request)
    left = format_money(preview.left, preview.currency)
    given = format_money(preview.amount, preview.currency)
    print_line(f"would refund {given}; {left} would be left of it")


async def _refund(mirror: "Mirror", request: RequestedRefund) -> None:
    done = await refunds.refund_invoice(mirror, request)
    given = format_money(done.refund.amount, done.refund.currency)
    print_line(f"{done.refund.id}: refunded {given} ({done.refund.status})")
    _print_after(done.invoice, done.service_end)


def credit(
    invoice: Named,
    *,
    to: Goes = None,
    amount: Amount = None,
    reason: OptionalReason = None,
    memo: Memo = None,
    end_service: End = "keep",
    dry_run: DryRun = False,
    key: Key = None,
) -> None:
    """Issue a credit note for an invoice, or a part of it."""
    named: dict[str, Any] = {
        "amount": amount,
        "to": _one_of(to, To, "--to"),
        "reason": _one_of(reason, NoteReason, "--reason"),
        "memo": memo,
        "end_service": _one_of(end_service, EndService, "--end-service"),
        "key": key,
    }
    _of_invoice(
        invoice,
        lambda id_: RequestedNote(command_line_actor(), id_, CustomerRef(), **named),
        _preview_note if dry_run else _issue_note,
    )


async def _preview_note(mirror: "Mirror", request: RequestedNote) -> None:
    preview = await credit_notes.preview_note(mirror, request)
    given = format_money(preview.amount, preview.currency)
    tax = format_money(preview.tax, preview.currency)
    print_line(f"would credit {given}, of which {tax} tax")


async def _issue_note(mirror: "Mirror", request: RequestedNote) -> None:
    done = await credit_notes.issue_note(mirror, request)
    note = done.credit_note
    given = format_money(note.amount, note.currency)
    print_line(f"{note.number or note.id}: credited {given}  {note.pdf or ''}")
    _print_after(done.invoice, done.service_end)


def _of_invoice(
    name: str, ask: Callable[[UUID], Asked], do: Callable[["Mirror", Asked], Awaitable[None]]
) -> None:
    """Carry out what is asked of the invoice with this id or number."""

    async def run(mirror: "Mirror") -> None:
        await do(mirror, ask(await find_invoice(mirror, name)))

    with_mirror(run)


def _one_of(value: str | None, choices: Any, option: str) -> str | None:
    allowed = get_args(choices)
    if value is not None and value not in allowed:
        raise typer.BadParameter(f"is one of {', '.join(allowed)}", param_hint=option)
    return value


def _print_after(invoice: Invoice, service_end: str | None) -> None:
    returned = format_money(invoice.amount_refunded + invoice.amount_credited, invoice.currency)
    total = format_money(invoice.amount_invoiced, invoice.currency)
    print_line(
        f"{invoice.stripe_number or invoice.stripe_invoice_id}: {returned} of {total} is back"
    )
    if service_end == "done":
        print_line("its subscription was ended, or is set to end")
    if service_end == "pending":
        print_line("its subscription is not ended yet: the worker tries again every minute")
