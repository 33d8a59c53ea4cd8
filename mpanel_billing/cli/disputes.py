"""`mpanel-billing disputes`: what banks dispute, and the evidence for them."""

from typing import Annotated, get_args

import asyncpg
import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.cli.database import with_mirror, with_pool
from mpanel_billing.cli.options import Reason
from mpanel_billing.cli.output import moment_text, print_line, print_text
from mpanel_billing.money import format_money
from mpanel_billing.settings import load_settings
from mpanel_billing.subscriptions import disputes
from mpanel_billing.subscriptions.evidence import EvidenceField
from mpanel_billing.subscriptions.repository.disputes import Wanted

app = typer.Typer(
    help="List and show disputes, and answer them (docs/disputes.md).", no_args_is_help=True
)

Named = Annotated[str, typer.Argument(metavar="DISPUTE", help="du_... or dp_...")]
_ALL = 10_000


@app.command("list")
def list_(
    *,
    open_: Annotated[bool, typer.Option("--open", help="Only those to be answered.")] = False,
    most: Annotated[int, typer.Option("--limit", min=1, max=_ALL)] = 50,
) -> None:
    """List disputes, the latest first; those to be answered by their deadline."""
    rows = _rows(Wanted(only_open=open_, most=most))
    for row in rows:
        due = row["evidence_due_at"]
        until = f"  until {moment_text(due)}" if due else ""
        print_line(
            f"{row['stripe_dispute_id']}  {row['status']}  {row['reason']}"
            f"  {format_money(row['amount'], row['currency'])}"
            f"  {row['stripe_number'] or row['stripe_charge_id']}{until}"
        )
    if not rows:
        typer.echo("there are none")


@app.command()
def show(dispute: Named) -> None:
    """Show what is on record about a dispute."""
    rows = _rows(Wanted(dispute))
    if not rows:
        raise typer.BadParameter("there is no such dispute", param_hint="DISPUTE")
    row = rows[0]
    fee = format_money(row["fee"], row["fee_currency"] or row["currency"])
    for name, value in {
        "status": row["status"],
        "reason": row["reason"],
        "amount": format_money(row["amount"], row["currency"]),
        "fee": fee,
        "opened": moment_text(row["stripe_created"]),
        "evidence until": row["evidence_due_at"] and moment_text(row["evidence_due_at"]),
        "evidence": _state_of_evidence(row),
        "can be refunded": "yes" if row["is_charge_refundable"] else "no",
        "charge": row["stripe_charge_id"],
        "invoice": row["stripe_number"] or row["stripe_invoice_id"],
        "subscription": row["subscription_id"],
        "waived": row["waived_by"] and f"by {row['waived_by']}: {row['waived_reason']}",
    }.items():
        print_line(f"{name + ':':<17}{'-' if value is None else value}")


@app.command()
def evidence(
    dispute: Named,
    *,
    field: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=TEXT", help="A field of Stripe's evidence, in your own words."),
    ] = None,
    submit: Annotated[
        bool, typer.Option("--submit", help="Send it to the bank: Stripe takes it once.")
    ] = False,
) -> None:
    """Stage evidence from our records at Stripe, and print it; --submit sends it to the bank."""
    given = dict(_pair(text) for text in field or ())
    by = command_line_actor()
    done = with_mirror(
        lambda mirror: disputes.give_evidence(mirror, dispute, given, by, submit=submit)
    )
    for name, text in sorted(done.fields.items()):
        print_text(f"{name}:\n{text}\n")
    typer.echo(
        "submitted" if done.submitted else "staged, and not submitted: look at it, then --submit"
    )


@app.command()
def waive(dispute: Named, *, reason: Reason) -> None:
    """Let the subscription go on despite a dispute: DISPUTE_POLICY leaves it alone."""
    by = command_line_actor()
    with_pool(lambda pool: disputes.waive(pool, dispute, reason, by))
    typer.echo("waived")


def _rows(wanted: Wanted) -> list[asyncpg.Record]:
    livemode = load_settings().livemode
    return list(with_pool(lambda pool: disputes.list_disputes(pool, wanted, livemode=livemode)))


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise typer.BadParameter("must be NAME=TEXT", param_hint="--field")
    if name not in (known := get_args(EvidenceField)):
        raise typer.BadParameter(f"{name} is none of {', '.join(known)}", param_hint="--field")
    return name, value


def _state_of_evidence(row: asyncpg.Record) -> str:
    if row["submissions"] > 0:
        return "submitted"
    return "staged" if row["has_evidence"] else "none"
