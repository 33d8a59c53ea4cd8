"""`mpanel-billing tax enable` and `withdraw`: taxes of subscriptions that there are."""

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.cli.database import with_mirror
from mpanel_billing.cli.output import print_line
from mpanel_billing.errors import InvalidRequestError
from mpanel_billing.money import format_money
from mpanel_billing.provisioning import operations
from mpanel_billing.settings import load_settings

if TYPE_CHECKING:  # what calls Stripe loads its SDK, which takes longer than most commands
    from mpanel_billing.mirror.mirror import Mirror
    from mpanel_billing.subscriptions.repository.tax_notices import Chosen
    from mpanel_billing.subscriptions.taxing import Outcome

OfProduct = Annotated[
    str | None, typer.Option("--product", metavar="CODE", help="Those with a plan or an add-on.")
]
OneSubscription = Annotated[
    str | None, typer.Option("--subscription", metavar="ID", help="Our id, or Stripe's (sub_...).")
]
All = Annotated[bool, typer.Option("--all", help="All that Stripe bills.")]
Notice = Annotated[
    int | None,
    typer.Option(
        min=0, max=730, help="Notify those who would pay more, this many days before they do."
    ),
]


def enable(
    *,
    product: OfProduct = None,
    subscription: OneSubscription = None,
    all_: All = False,
    notice: Notice = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what it does to each next invoice.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it.")] = False,
    untold: Annotated[
        bool, typer.Option("--untold", help="Also if no receiver gets tax.starting.")
    ] = False,
) -> None:
    """Have Stripe compute the taxes of existing subscriptions (docs/taxes.md).

    Those who pay as much as before are taxed at once. Others are told with --notice, and taxed by
    the worker, or this command, once their notice is over. Safe to repeat: it resumes where it
    ended.
    """
    if dry_run == yes:
        raise typer.BadParameter("pass one of the two", param_hint="--dry-run, --yes")
    _require_taxes()
    shown = _Shown(dry_run=dry_run)

    async def run(mirror: "Mirror") -> None:
        from mpanel_billing.subscriptions import taxing  # noqa: PLC0415 - see above

        chosen = await _choose(mirror, product, subscription, all_=all_)
        if yes and notice is not None and not untold:
            await taxing.require_receiver(mirror)
        by = command_line_actor() if yes else None
        await taxing.enable_taxes(mirror, taxing.Enabling(chosen, by, notice), shown.show)

    with_mirror(run)
    shown.sum_up()


def _require_taxes() -> None:
    if load_settings().tax == "off":
        raise InvalidRequestError(
            "TAX is off: new orders would go without taxes. Set TAX=automatic first"
            " (docs/taxes.md)."
        )


def withdraw(
    *,
    product: OfProduct = None,
    subscription: OneSubscription = None,
    all_: All = False,
) -> None:
    """Withdraw the notices of coming taxes; those who are taxed already stay taxed."""

    async def run(mirror: "Mirror") -> int:
        from mpanel_billing.subscriptions import taxing  # noqa: PLC0415 - see above

        chosen = await _choose(mirror, product, subscription, all_=all_)
        return await taxing.withdraw_notices(mirror, chosen, command_line_actor())

    typer.echo(f"taken back of {with_mirror(run)} subscriptions; tell their customers")


async def _choose(
    mirror: "Mirror", product: str | None, subscription: str | None, *, all_: bool
) -> "Chosen":
    """Return what is meant; BadParameter unless it is said once, NotFoundError."""
    from mpanel_billing.subscriptions.repository.tax_notices import Chosen  # noqa: PLC0415

    if [product is not None, subscription is not None, all_].count(True) != 1:
        raise typer.BadParameter(
            "pass one of the three", param_hint="--product, --subscription, --all"
        )
    found = await operations.find_subscription(mirror.pool, subscription) if subscription else None
    return Chosen(mirror.livemode, product, found)


class _Shown:
    """Prints each subscription, and adds up what was done."""

    def __init__(self, *, dry_run: bool) -> None:
        """Take whether anything is done."""
        self._dry_run = dry_run
        self._counts: Counter[str] = Counter({self._would("taxed"): 0, self._would("told"): 0})
        self._sums: dict[tuple[str, str], Counter[str]] = {}

    def show(self, outcome: "Outcome") -> None:
        """Print a subscription with what happens to its next invoice."""
        group = self._group(outcome)
        self._counts[group] += 1
        parts = [outcome.stripe_subscription_id, outcome.email or "no e-mail address"]
        if effect := outcome.effect:
            before, after = effect.before, effect.after
            parts.append(_change(before.total, after.total, after.tax, after.currency))
            sums = self._sums.setdefault((group, after.currency), Counter())
            sums.update(before=before.total, after=after.total, tax=after.tax)
        until = ""
        if outcome.not_before and outcome.done != "enabled":
            until = f", not taxed before {outcome.not_before:%Y-%m-%d}"
        print_line("  ".join([*parts, group + until]))

    def sum_up(self) -> None:
        """Print how many there are of each kind, and what their next invoices come to."""
        for group, count in self._counts.items():
            print_line(f"{group}: {count}")
            for (summed, currency), sums in sorted(self._sums.items()):
                if summed == group:
                    change = _change(sums["before"], sums["after"], sums["tax"], currency)
                    print_line(f"  their next invoices: {change}")
        if self._dry_run:
            typer.echo("nothing was changed")

    def _group(self, outcome: "Outcome") -> str:
        if outcome.done == "left":
            return f"left alone, {outcome.why}"
        return self._would("taxed" if outcome.done == "enabled" else "told")

    def _would(self, done: str) -> str:
        return f"would be {done}" if self._dry_run else done


def _change(before: int, after: int, tax: int, currency: str) -> str:
    without, with_tax, part = (format_money(each, currency) for each in (before, after, tax))
    total = without if before == after else f"{without} -> {with_tax}"
    return f"{total}, including {part} tax"
