"""All that support needs to know of one customer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import NotFoundError
from mpanel_billing.search import repository
from mpanel_billing.search.service import find_one

if TYPE_CHECKING:
    from mpanel_billing.stripe_gateway.gateway import StripeGateway

MOST_SUBSCRIPTIONS = 50
MOST_INVOICES = 10
MOST_PAYMENTS = 20
MOST_CHANGES = 10

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CustomerPage:
    """A customer record with its latest subscriptions, invoices and changes, and its trouble.

    Amounts are minor units of each row's currency.
    """

    customer: Row
    subscriptions: Sequence[Row]
    trouble: Sequence[Row]
    invoices: Sequence[Row]
    changes: Sequence[Row]


async def read_customer(
    pool: Pool, text: str, stripe: "StripeGateway | None" = None
) -> CustomerPage:
    """Return the page of the only customer whom a text names, or of the record they have joined.

    NotFoundError if it finds nobody, ConflictError if it finds several; StripeError.
    """
    return await read_record(pool, (await find_one(pool, text, stripe)).customer["id"])


async def read_record(pool: Pool, id_: UUID) -> CustomerPage:
    """Return the page of a customer record, or of the one that it has joined; NotFoundError."""
    async with acquired(pool) as conn:
        customer = await _follow(conn, id_)
        customer_id: UUID = customer["id"]
        subscriptions = await repository.list_customer_subscriptions(
            conn, customer_id, MOST_SUBSCRIPTIONS
        )
        held = [each["subscription_id"] for each in subscriptions]
        return CustomerPage(
            customer,
            subscriptions,
            await repository.list_customer_trouble(conn, customer_id, MOST_SUBSCRIPTIONS),
            await repository.list_customer_invoices(conn, customer_id, MOST_INVOICES),
            await repository.list_customer_changes(conn, customer_id, held, MOST_CHANGES),
        )


async def _follow(conn: Connection, id_: UUID) -> Row:
    customer = await repository.show_customer(conn, id_)
    if customer is not None and customer["joined_id"] is not None:
        customer = await repository.show_customer(conn, customer["joined_id"])
    if customer is None:
        raise NotFoundError(f"Customer {id_} not found.")
    return customer


@dataclass(frozen=True, slots=True)
class CustomerMoney:
    """What a customer owes, was charged and given back, the latest first; minor units."""

    debts: Sequence[Row]
    payments: Sequence[Row]
    returns: Sequence[Row]


async def read_money(pool: Pool, customer_id: UUID) -> CustomerMoney:
    """Return what a customer owes, and the latest payments, refunds and credit notes."""
    async with acquired(pool) as conn:
        return CustomerMoney(
            await repository.list_customer_debts(conn, customer_id),
            await repository.list_customer_payments(conn, customer_id, MOST_PAYMENTS),
            await repository.list_customer_returns(conn, customer_id, MOST_PAYMENTS),
        )


async def read_trouble(pool: Pool, subscription_id: UUID) -> Sequence[Row]:
    """Return the trouble of a subscription, the oldest first."""
    async with acquired(pool) as conn:
        return await repository.list_subscription_trouble(conn, subscription_id)
