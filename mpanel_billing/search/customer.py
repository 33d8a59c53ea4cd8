"""All that support needs to know of one customer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.search import repository
from mpanel_billing.search.service import find

MOST_SUBSCRIPTIONS = 50
MOST_INVOICES = 10
MOST_CHANGES = 10
_NAMED = 5
"""Customers that a sentence names, if a text does not name one."""

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


async def read_customer(pool: Pool, text: str) -> CustomerPage:
    """Return the page of the customer whom a text finds, as `find` does.

    NotFoundError if it finds nobody, ConflictError if it finds several.
    """
    customer_id = await _only_customer(pool, text)
    async with acquired(pool) as conn:
        customer = await repository.show_customer(conn, customer_id)
        if customer is None:
            raise NotFoundError(f"Customer {customer_id} not found.")
        subscriptions = await repository.list_customer_subscriptions(
            conn, customer_id, MOST_SUBSCRIPTIONS
        )
        targets = [customer_id, *(each["subscription_id"] for each in subscriptions)]
        return CustomerPage(
            customer,
            subscriptions,
            await repository.list_customer_trouble(conn, customer_id, MOST_SUBSCRIPTIONS),
            await repository.list_customer_invoices(conn, customer_id, MOST_INVOICES),
            await repository.list_customer_changes(conn, targets, MOST_CHANGES),
        )


async def _only_customer(pool: Pool, text: str) -> UUID:
    """Return the one customer; of records that have joined others, the one they joined."""
    found = await find(pool, text, _NAMED)
    ids: dict[UUID, None] = dict.fromkeys(
        each.customer["joined_id"] or each.customer["id"] for each in found.customers
    )
    if not ids:
        raise NotFoundError(f"Nothing found for {text}.")
    if len(ids) > 1 or found.is_cut:
        named = ", ".join(map(str, ids))
        raise ConflictError(f"{text} finds several customers: {named}. Name one by its id.")
    return next(iter(ids))
