"""`mpanel-billing balance`: what Stripe applies to a customer's next invoice, for support."""

from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.cli.database import with_mirror
from mpanel_billing.cli.options import Reason, minor_units
from mpanel_billing.cli.output import moment_text, print_line
from mpanel_billing.cli.payers import Currency, Key, OfSubscription, Who, find_payer_of
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.money import format_money
from mpanel_billing.search.service import find_one

if TYPE_CHECKING:  # what calls Stripe loads its SDK, which takes longer than most commands
    from mpanel_billing.subscriptions.balances import BalancePreview, History, Move, Moved
    from mpanel_billing.subscriptions.records import Balance

app = typer.Typer(
    help="Customers' balances: what Stripe applies to their next invoice.", no_args_is_help=True
)

Amount = Annotated[
    int, typer.Argument(parser=minor_units, metavar="AMOUNT", help="In minor units: 500 is $5.00.")
]
Preview = Annotated[bool, typer.Option("--preview", help="Only show what it does.")]


@app.command()
def show(who: Who) -> None:
    """Show a customer's balances, and what has changed them."""
    from mpanel_billing.subscriptions import balances, lookup  # noqa: PLC0415 - see above

    async def run(mirror: Mirror) -> "History":
        customer = (await find_one(mirror.pool, who, mirror.stripe)).customer
        named = lookup.CustomerRef(customer["joined_id"] or customer["id"])
        return await balances.get_history(mirror, named)

    found = with_mirror(run)
    for one in found.balances:
        print_line(f"{one.stripe_customer_id}  {_said(one)}")
    if not found.balances:
        typer.echo("no credit, and nothing owed")
    for each in found.movements:
        moved = format_money(each.amount, each.currency)
        print_line(f"{moment_text(each.created)}  {moved}  {each.type}  {each.description or ''}")


@app.command()
def add(
    who: Who,
    amount: Amount,
    *,
    currency: Currency,
    reason: Reason,
    subscription: OfSubscription = None,
    preview: Preview = False,
    key: Key = None,
) -> None:
    """Give a customer credit, which their next invoices use up."""
    _move("add", _Wanted(who, currency, subscription, amount, reason, key), preview=preview)


@app.command()
def take(
    who: Who,
    amount: Amount,
    *,
    currency: Currency,
    reason: Reason,
    subscription: OfSubscription = None,
    preview: Preview = False,
    key: Key = None,
) -> None:
    """Take credit away, at most what is left."""
    _move("take", _Wanted(who, currency, subscription, amount, reason, key), preview=preview)


class _Wanted(NamedTuple):
    """How much of whose balance, and why."""

    who: str
    currency: str
    subscription: str | None
    amount: int
    reason: str
    key: str | None


def _move(move: "Move", wanted: _Wanted, *, preview: bool) -> None:
    from mpanel_billing.subscriptions import balances  # noqa: PLC0415 - see above

    by = command_line_actor()

    async def run(mirror: Mirror) -> "BalancePreview | Moved":
        payer = await find_payer_of(mirror, wanted.who, wanted.currency, wanted.subscription)
        request = balances.BalanceRequest(by, payer, move, wanted.amount, wanted.reason, wanted.key)
        do = balances.preview_balance if preview else balances.change_balance
        return await do(mirror, request)

    done = with_mirror(run)
    if isinstance(done, balances.Moved):
        print_line(f"{done.movement_id}: {_said(done.balance)}")
    else:
        print_line(f"{_said(done.before)}; then {_said(done.after)}")


def _said(held: "Balance") -> str:
    amount = format_money(abs(held.balance), held.currency)
    return f"{amount} owed" if held.balance > 0 else f"{amount} of credit"
