"""The balances of customers at Stripe: what was added to them and taken off, and by what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from mpanel_billing.stripe_gateway.charges import CHANGE_ID
from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.objects import PAGE_SIZE

if TYPE_CHECKING:
    from stripe.params import CustomerBalanceTransactionCreateParams


@dataclass(frozen=True, slots=True)
class Movement:
    """A transaction of a balance, in minor units: negative is a credit.

    `balance_after` is the balance after it, `type` Stripe's word for what made it, `change_id` our
    change that made it, if any.
    """

    id: str
    stripe_customer_id: str
    amount: int
    currency: str
    balance_after: int
    type: str
    description: str | None
    stripe_invoice_id: str | None
    created: datetime
    change_id: str | None


async def move_balance(
    gateway: StripeGateway, customer_id: str, params: Mapping[str, Any], key: str
) -> str:
    """Add to a balance (a negative amount is a credit), and return the transaction's id."""
    async with translated():
        made = await gateway.client.v1.customers.balance_transactions.create_async(
            customer_id,
            cast("CustomerBalanceTransactionCreateParams", dict(params)),
            {"idempotency_key": key},
        )
    return made.id


async def list_movements(gateway: StripeGateway, customer_id: str) -> Sequence[Movement]:
    """Return the latest hundred transactions of a customer's balance, the newest first."""
    async with translated():
        page = await gateway.client.v1.customers.balance_transactions.list_async(
            customer_id, {"limit": PAGE_SIZE}
        )
    return [_movement(customer_id, one.to_dict()) for one in page.data]


def _movement(customer_id: str, fields: Mapping[str, Any]) -> Movement:
    return Movement(
        id=fields["id"],
        stripe_customer_id=customer_id,
        amount=fields["amount"],
        currency=fields["currency"],
        balance_after=fields["ending_balance"],
        type=fields["type"],
        description=fields.get("description"),
        stripe_invoice_id=fields.get("invoice"),
        created=datetime.fromtimestamp(fields["created"], UTC),
        change_id=(fields.get("metadata") or {}).get(CHANGE_ID),
    )
