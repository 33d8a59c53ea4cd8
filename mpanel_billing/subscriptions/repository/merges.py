"""Customer records of one person: merged, apart again, and linked with an account in mPanel."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries

_queries = load_queries("merges")
_joining = load_queries("joining")


async def get_pair(conn: Connection, customer_id: UUID, into_id: UUID) -> asyncpg.Record | None:
    """Lock two records, and return what decides whether they can be merged; None without both."""
    return await _queries.get_pair.fetch_one(conn, customer_id=customer_id, into_id=into_id)


async def preview_merge(
    conn: Connection, customer_id: UUID, into_id: UUID
) -> asyncpg.Record | None:
    """Return two records and how much of each kind would move; None without both."""
    return await _queries.preview_merge.fetch_one(conn, customer_id=customer_id, into_id=into_id)


async def preview_link(conn: Connection, customer_id: UUID) -> asyncpg.Record | None:
    """Return a record as it is; None if there is none."""
    return await _queries.preview_link.fetch_one(conn, customer_id=customer_id)


async def list_buyers(conn: Connection, ids: Sequence[UUID]) -> list[str]:
    """Return the addresses of records, by which orders of theirs are locked."""
    return [row["email"] for row in await _queries.list_buyers.fetch(conn, ids=list(ids))]


async def merge(conn: Connection, customer_id: UUID, into_id: UUID, by: str) -> None:
    """Move everything of a record to the other one, and note what it takes to undo that."""
    had = await _queries.merge.fetch_one(
        conn, customer_id=customer_id, into_id=into_id, merged_by=by
    )
    await _joining.move_records.execute(conn, customer_id=customer_id, account_id=into_id)
    if had is not None and had["stripe_customer_id"] is not None:
        await _joining.inherit_principal.execute(
            conn,
            account_id=into_id,
            stripe_customer_id=had["stripe_customer_id"],
            paid_at=had["stripe_customer_paid_at"],
        )


async def get_undoable(conn: Connection, customer_id: UUID) -> asyncpg.Record | None:
    """Return the merge of a record that stands; None if there is none."""
    return await _queries.get_undoable.fetch_one(conn, customer_id=customer_id)


async def list_merges(conn: Connection, before: int, most: int) -> Sequence[asyncpg.Record]:
    """Return the latest merges before an id."""
    return await _queries.list_merges.fetch(conn, before=before, most=most)


async def show_merge(conn: Connection, customer_id: UUID) -> asyncpg.Record | None:
    """Return the merge of a record that stands, and how much would go back."""
    return await _queries.show_merge.fetch_one(conn, customer_id=customer_id)


async def undo(conn: Connection, merge_id: int, by: str) -> None:
    """Move everything back."""
    await _queries.undo_into.execute(conn, id=merge_id)
    await _queries.undo.execute(conn, id=merge_id, undone_by=by)


async def forget_former(conn: Connection) -> None:
    """Forget what it takes to undo merges that are a day old."""
    await _queries.forget_former.execute(conn)


async def get_customer(conn: Connection, customer_id: UUID) -> asyncpg.Record | None:
    """Lock a record and return its account and the record that it has joined."""
    return await _queries.get_customer.fetch_one(conn, customer_id=customer_id)


async def find_of_user(conn: Connection, user_id: UUID) -> asyncpg.Record | None:
    """Return an account in mPanel and its customer record; None if there is no such account."""
    return await _queries.find_of_user.fetch_one(conn, user_id=user_id)


async def link_user(conn: Connection, customer_id: UUID, user_id: UUID) -> None:
    """Give a record its account in mPanel."""
    await _queries.link_user.execute(conn, customer_id=customer_id, user_id=user_id)
