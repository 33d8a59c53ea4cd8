"""What operators note about customers: for each other, and until the customer is erased."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TypedDict
from uuid import UUID

import asyncpg

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.errors import NotFoundError
from mpanel_billing.search import repository

LONGEST = 4000
MOST = 50

REPEATABLE_FOR = timedelta(minutes=10)
"""As for a refund without a key."""


class _Note(TypedDict):
    """What is written, and by whom."""

    body: str
    written_by: str
    person: str | None


async def add_note(pool: Pool, customer_id: UUID, body: str, by: Actor) -> int:
    """Note something about a customer, and return the note's id; NotFoundError.

    The same words of the same person within REPEATABLE_FOR are a form that was sent twice.
    The audit log has that it was written, not what it says: that can be erased.
    """
    async with transaction(pool) as conn:
        note: _Note = {"body": body, "written_by": by.name, "person": by.person}
        seconds = REPEATABLE_FOR.total_seconds()
        same = await repository.find_same_note(conn, customer_id, seconds=seconds, **note)
        if same is not None:
            return same
        id_ = await repository.add_note(conn, customer_id, **note)
        if id_ is None:
            raise NotFoundError(f"Customer {customer_id} not found.", code="unknown_customer")
        target = Target("customer", str(customer_id))
        await audit.record(conn, by, "customer.note", target, {"note": id_})
    return id_


async def list_notes(pool: Pool, customer_id: UUID) -> Sequence[asyncpg.Record]:
    """Return the latest notes about a customer, and about the records that have joined theirs."""
    async with acquired(pool) as conn:
        return await repository.list_notes(conn, customer_id, MOST)
