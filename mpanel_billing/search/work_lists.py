"""What waits for a person, in lists: trouble, what is watched, who owes, trials, and domains."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.errors import NotFoundError
from mpanel_billing.search import repository

Row = Mapping[str, Any]

DomainList = Literal["troubled", "unproven", "expiring", "latest"]
"""What a registrar or a refund is not done with; what buyers have still to prove; by day of expiry;
those ordered last."""


_OF_DOMAINS = "domain_"
"""How the kinds of trouble begin whose object is a domain."""

_OF_INVOICE = re.compile(r"\b(?:in|issfr)_\w+")
"""An invoice, or a bank's warning about what paid one."""


async def list_trouble(pool: Pool, kind: str | None, most: int) -> Sequence[Row]:
    """Return what a person must act on, oldest first: at most `most` of one kind, or of each."""
    async with acquired(pool) as conn:
        return await repository.list_trouble(conn, kind, most)


async def list_watched(pool: Pool, kind: str | None, most: int) -> Sequence[Row]:
    """Return what Stripe or time settles, oldest first: at most `most` of one kind, or of each."""
    async with acquired(pool) as conn:
        return await repository.list_watched(conn, kind, most)


async def with_objects(pool: Pool, rows: Sequence[Row]) -> Sequence[Row]:
    """Return lines of trouble with our ids of what they are about: `domain_id`, `invoice_id`."""
    return await _with_invoices(pool, await _with_domains(pool, rows))


async def _with_invoices(pool: Pool, rows: Sequence[Row]) -> Sequence[Row]:
    """Add the invoice that a line names, or that was paid by what a bank warns of."""
    found = [_OF_INVOICE.search(f"{row['object_id']} {row['detail']}") for row in rows]
    names = [one[0] for one in found if one]
    ids: Mapping[str, UUID] = {}
    if names:
        async with acquired(pool) as conn:
            ids = await repository.find_invoices(conn, names)
    return [
        {**row, "invoice_id": ids.get(one[0]) if one else None}
        for row, one in zip(rows, found, strict=True)
    ]


async def _with_domains(pool: Pool, rows: Sequence[Row]) -> Sequence[Row]:
    """Add the domain of a line, which has only its name."""
    named = [row for row in rows if row["trouble"].startswith(_OF_DOMAINS)]
    ids: Mapping[tuple[str, UUID | None], UUID] = {}
    if named:
        async with acquired(pool) as conn:
            ids = await repository.find_domains(
                conn, [(row["object_id"], row["subscription_id"]) for row in named]
            )
    return [
        {**row, "domain_id": ids.get((row["object_id"], row["subscription_id"]))} for row in rows
    ]


async def list_debtors(pool: Pool, most: int, *, livemode: bool) -> Sequence[Row]:
    """Return the invoices whose payment has failed or is late; whom Stripe tries next first."""
    async with acquired(pool) as conn:
        return await repository.list_debtors(conn, most, livemode=livemode)


async def list_trials(pool: Pool, most: int, *, livemode: bool) -> Sequence[Row]:
    """Return the trials that end next, each with its customer and the first charge."""
    async with acquired(pool) as conn:
        return await repository.list_trials(conn, most, livemode=livemode)


async def list_domains(pool: Pool, which: DomainList, most: int) -> Sequence[Row]:
    """Return the domains of a list with their customers; the most urgent or the latest first."""
    async with acquired(pool) as conn:
        return await repository.list_domains(conn, which, most)


async def get_domain(pool: Pool, id_: UUID) -> Row:
    """Return how a domain stands; NotFoundError."""
    async with acquired(pool) as conn:
        row = await repository.get_domain(conn, id_)
    if row is None:
        raise NotFoundError("Domain not found.", code="unknown_domain")
    return row
