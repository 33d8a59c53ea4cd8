"""Say who a customer is: link a record with an account in mPanel, merge two records of one person.

The books become one, and lists show both; Stripe's customers stay apart, each with its cards. It is
mPanel's backend, or an operator, who says that they are one person: nothing here can know it.
docs/decisions/0057-merged-customers.md has what was weighed.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.checkout.repository.orders import lock_buyer
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError, InvalidRequestError, NotFoundError
from mpanel_billing.mirror.locks import lock
from mpanel_billing.subscriptions.lookup import CustomerRef, require_customer
from mpanel_billing.subscriptions.repository import customers
from mpanel_billing.subscriptions.repository import merges as repository

_LAST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class CustomerRequest:
    """Which customer record a request is about, and who asks; `named` has to be the same one."""

    by: Actor
    customer_id: UUID
    named: CustomerRef = field(default_factory=CustomerRef)


async def link_user(pool: Pool, request: CustomerRequest, user_id: UUID) -> None:
    """Give a customer record its account in mPanel; repeated, it has no further effect.

    NotFoundError; ConflictError if either has another one already.
    """
    customer_id, by = request.customer_id, request.by
    async with transaction(pool) as conn:
        await _require_named(conn, request)
        record = await repository.get_customer(conn, customer_id)
        if record is None:
            raise _unknown()
        account = await repository.find_of_user(conn, user_id)
        if account is None:
            raise _no_account()
        if record["user_id"] == user_id:
            return
        _refuse_link(record, account)
        await repository.link_user(conn, customer_id, user_id)
        details = {"userId": str(user_id)}
        await audit.record(conn, by, "customer.link_user", _target(customer_id), details)


@dataclass(frozen=True, slots=True)
class Link:
    """A record, and the account that is to be its own; `account` is None until one is named."""

    record: asyncpg.Record
    account: asyncpg.Record | None


async def preview_link(pool: Pool, customer_id: UUID, user_id: UUID | None) -> Link:
    """Return what `link_user` would link, and raise what it raises."""
    async with acquired(pool) as conn:
        record = await repository.preview_link(conn, customer_id)
        account = await repository.find_of_user(conn, user_id) if user_id else None
    if record is None:
        raise _unknown()
    if record["joined_id"] is not None:
        raise _joined(record["joined_id"])
    if user_id is not None and account is None:
        raise _no_account()
    if account is not None:
        _refuse_link(record, account)
    return Link(record, account)


def _refuse_link(record: asyncpg.Record, account: asyncpg.Record) -> None:
    if record["joined_id"] is not None:
        raise _joined(record["joined_id"])
    if record["user_id"] is not None:
        raise ConflictError(
            f"The customer has the account {record['user_id']} already.", code="has_account"
        )
    if account["customer_id"] is not None:
        raise ConflictError(
            f"The account has the customer {account['customer_id']} already: merge the two.",
            code="account_has_customer",
        )


async def merge_customers(pool: Pool, request: CustomerRequest, into_id: UUID) -> None:
    """Move everything of one record to another of the same person.

    NotFoundError; ConflictError if one of them has joined another record, or both have accounts.
    """
    customer_id, by = request.customer_id, request.by
    _refuse_itself(customer_id, into_id)
    async with _both(pool, customer_id, into_id) as conn:
        await _require_named(conn, request)
        pair = await repository.get_pair(conn, customer_id, into_id)
        if pair is None:
            raise _unknown()
        if pair["joined_id"] == into_id:
            return
        _refuse_merge(pair)
        await repository.merge(conn, customer_id, into_id, by.name)
        details = {"into": str(into_id)}
        await audit.record(conn, by, "customer.merge", _target(customer_id), details)


async def preview_merge(pool: Pool, customer_id: UUID, into_id: UUID) -> asyncpg.Record:
    """Return both records and how much of each kind would move; raises what the merge raises."""
    _refuse_itself(customer_id, into_id)
    async with acquired(pool) as conn:
        pair = await repository.preview_merge(conn, customer_id, into_id)
    if pair is None:
        raise _unknown()
    _refuse_merge(pair)
    return pair


def _refuse_itself(customer_id: UUID, into_id: UUID) -> None:
    if customer_id == into_id:
        raise InvalidRequestError(
            "A customer cannot be merged with itself.", fields={"intoCustomerId": "is the same"}
        )


def _refuse_merge(pair: asyncpg.Record) -> None:
    for joined_id in (pair["joined_id"], pair["into_joined_id"]):
        if joined_id is not None:
            raise _joined(joined_id)
    if pair["user_id"] is not None and pair["into_user_id"] not in {None, pair["user_id"]}:
        raise ConflictError(
            "Both have an account in mPanel: remove one of the two there, or merge the records of"
            " what was ordered without an account.",
            code="two_accounts",
        )


async def undo_merge(pool: Pool, request: CustomerRequest) -> UUID:
    """Take a merge back within a day; return the record that had everything.

    NotFoundError if the record was not merged; ConflictError if it is too late, or if the other
    record has joined another one meanwhile.
    """
    customer_id, by = request.customer_id, request.by
    async with acquired(pool) as conn:
        await _require_named(conn, request)
        found = await repository.get_undoable(conn, customer_id)
    if found is None:
        raise _not_merged()
    into_id: UUID = found["into_id"]
    async with _both(pool, customer_id, into_id) as conn:
        pair = await repository.get_pair(conn, customer_id, into_id)
        standing = await repository.get_undoable(conn, customer_id)
        if pair is None or standing is None:
            raise _not_merged()
        if not standing["is_undoable"]:
            raise ConflictError(
                "A merge can be undone within a day, and until the person is erased.",
                code="too_late",
            )
        if pair["into_joined_id"] is not None:
            raise _joined(pair["into_joined_id"])
        await repository.undo(conn, standing["id"], by.name)
        details = {"from": str(into_id)}
        await audit.record(conn, by, "customer.unmerge", _target(customer_id), details)
    return into_id


async def list_merges(pool: Pool, most: int, before: int | None) -> Sequence[asyncpg.Record]:
    """Return the latest merges, before an id; also those that were undone."""
    async with acquired(pool) as conn:
        return await repository.list_merges(conn, _LAST_ID if before is None else before, most)


async def show_merge(pool: Pool, customer_id: UUID) -> asyncpg.Record:
    """Return the merge of a record, and how much of each kind goes back if it is undone.

    NotFoundError if the record was not merged, or is apart again.
    """
    async with acquired(pool) as conn:
        found = await repository.show_merge(conn, customer_id)
    if found is None:
        raise _not_merged()
    return found


async def forget_former(pool: Pool) -> None:
    """Forget what it takes to undo merges that are a day old."""
    async with acquired(pool) as conn:
        await repository.forget_former(conn)


@asynccontextmanager
async def _both(pool: Pool, *ids: UUID) -> AsyncIterator[Connection]:
    """Open a transaction in which no order of the two and no event of theirs is applied."""
    async with transaction(pool) as conn:
        buyers = await repository.list_buyers(conn, ids)
        for buyer in sorted(buyers):
            await lock_buyer(conn, buyer)
        keys = [key for id_ in ids for key in await customers.list_lock_keys(conn, id_)]
        await lock(conn, keys)
        yield conn


async def _require_named(conn: Connection, request: CustomerRequest) -> None:
    """Raise NotFoundError if the request names another customer than its address."""
    if request.named.is_empty:
        return
    own = await require_customer(conn, CustomerRef(request.customer_id))
    if await require_customer(conn, request.named) != own:
        raise _unknown()


def _unknown() -> NotFoundError:
    return NotFoundError("Customer not found.", code="unknown_customer")


def _no_account() -> NotFoundError:
    return NotFoundError("mPanel has no such account.", code="unknown_user")


def _not_merged() -> NotFoundError:
    return NotFoundError("This customer was not merged.", code="not_merged")


def _joined(into_id: UUID) -> ConflictError:
    return ConflictError(f"The customer has joined the customer {into_id}.", code="has_joined")


def _target(customer_id: UUID) -> Target:
    return Target("customer", str(customer_id))
