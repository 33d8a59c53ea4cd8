"""The command of `mpanel-billing domains` that gives an order another name than a lost one."""

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.cli.database import with_mirror
from mpanel_billing.cli.domains import Name, read, reserved_names
from mpanel_billing.cli.options import Subscription
from mpanel_billing.cli.output import print_line
from mpanel_billing.cli.registrar import app
from mpanel_billing.database.pool import acquired
from mpanel_billing.domains.names import DomainName
from mpanel_billing.domains.repository import replacements
from mpanel_billing.domains.repository.names import BUYERS_OWN, DomainMode
from mpanel_billing.errors import NotFoundError
from mpanel_billing.money import format_money
from mpanel_billing.provisioning import operations
from mpanel_billing.settings import load_settings

__all__ = ["app"]  # of `domains`, with this command

if TYPE_CHECKING:  # what calls Stripe loads its SDK, which takes longer than most commands
    from mpanel_billing.mirror.mirror import Mirror
    from mpanel_billing.subscriptions.owned_domains import DomainRequest
    from mpanel_billing.subscriptions.replaced_domains import QuotedName

With = Annotated[
    DomainName, typer.Option("--with", parser=read, metavar="NAME", help="The one it gets.")
]
Mode = Annotated[DomainMode, typer.Option(help="How the customer gets it.")]
FirstYear = Annotated[
    int | None,
    typer.Option(
        "--price", min=0, help="What they were told that it costs, in minor units: it is charged."
    ),
]


@app.command("replace")
def replace_(
    subscription: Subscription,
    lost: Name,
    *,
    name: With,
    mode: Mode = "register",
    price: FirstYear = None,
) -> None:
    """Give an order another name in place of one that could not be obtained.

    What is registered or transferred is charged by an invoice of its own: without --price the
    command says what it costs, and does nothing.
    """
    from mpanel_billing.checkout.cart import DomainChoice  # noqa: PLC0415 - see above
    from mpanel_billing.subscriptions import replaced_domains  # noqa: PLC0415

    choice = DomainChoice(mode, name.ascii)

    async def run(mirror: "Mirror") -> str:
        replacing = replaced_domains.Replacing(mirror, reserved_names(load_settings()))
        request = await _request(mirror, subscription, lost)
        if price is None and mode not in BUYERS_OWN:
            return _costs(await replaced_domains.quote_name(replacing, request, choice))
        chosen = await replaced_domains.choose_name(replacing, request, choice, price=price)
        return f"{chosen.name} is chosen: see `domains show`"

    print_line(with_mirror(run))


async def _request(mirror: "Mirror", subscription: str, lost: DomainName) -> "DomainRequest":
    from mpanel_billing.subscriptions.lookup import CustomerRef  # noqa: PLC0415
    from mpanel_billing.subscriptions.owned_domains import DomainRequest  # noqa: PLC0415

    id_ = await operations.find_subscription(mirror.pool, subscription)
    async with acquired(mirror.pool) as conn:
        domain_id: UUID | None = await replacements.find_lost(conn, id_, lost)
    if domain_id is None:
        raise NotFoundError(f"{lost.unicode} is no name of this order that could not be obtained.")
    return DomainRequest(command_line_actor(), domain_id, CustomerRef())


def _costs(quoted: "QuotedName") -> str:
    amount = quoted.priced.first_year if quoted.priced else 0
    cost = format_money(amount, quoted.currency)
    return f"{quoted.domain.unicode} costs {cost}: charge it with --price {amount}"
