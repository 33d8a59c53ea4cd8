"""Who is billed or credited by a command, and in which currency."""

from typing import TYPE_CHECKING, Annotated

import typer

from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning import operations
from mpanel_billing.search.service import find_one

if TYPE_CHECKING:  # what calls Stripe loads its SDK, which takes longer than most commands
    from mpanel_billing.subscriptions.payers import PayerOf

Who = Annotated[
    str,
    typer.Argument(
        metavar="WHO", help="Whatever `find` takes: any id, an e-mail address, a domain, a name."
    ),
]
Currency = Annotated[str, typer.Option(help="ISO 4217, such as usd.")]
OfSubscription = Annotated[
    str | None, typer.Option("--subscription", help="Of this subscription's Stripe customer.")
]
Key = Annotated[
    str | None, typer.Option("--key", help="The same key again returns the first result.")
]


async def find_payer_of(
    mirror: Mirror, who: str, currency: str, subscription: str | None
) -> "PayerOf":
    """Return the payer that a command names; NotFoundError, ConflictError for several."""
    from mpanel_billing.subscriptions.lookup import CustomerRef  # noqa: PLC0415 - see above
    from mpanel_billing.subscriptions.payers import PayerOf  # noqa: PLC0415

    customer = (await find_one(mirror.pool, who, mirror.stripe)).customer
    named = CustomerRef(customer["joined_id"] or customer["id"])
    held = await operations.find_subscription(mirror.pool, subscription) if subscription else None
    return PayerOf(named, currency.lower(), held)
