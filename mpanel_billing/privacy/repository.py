"""Finds, exports and erases the rows about a person."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.mirror.types import MIRRORED_BY_NAME

_queries = load_queries("privacy")

Reason = Literal["request", "unpaid"]


@dataclass(frozen=True, slots=True)
class Who:
    """A person as an operator names them: exactly one field is set.

    `id` is of a customer record, or of its account in mPanel.
    """

    id: UUID | None = None
    stripe_customer_id: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """The rows about a person: ids of customer records, mPanel accounts, orders, at Stripe."""

    customers: Sequence[UUID] = ()
    users: Sequence[UUID] = ()
    subscriptions: Sequence[UUID] = ()
    stripe_customers: Sequence[str] = ()
    emails: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Erasure:
    """What is remembered of an erased person: an id, or the keyed hash of an address."""

    identifier: str
    kind: Literal["customer", "stripe_customer", "email"]
    reason: Reason
    erased_at: datetime


@dataclass(frozen=True, slots=True)
class StripeObject:
    """An object at Stripe; `kind` is the prefix of its id."""

    kind: str
    id: str


async def find_person(conn: Connection, who: Who, *, unerased: bool = False) -> Person:
    """Return the rows about a person; with `unerased` without customers erased before."""
    row = await _queries.find_person.fetch_one(conn, **asdict(who), unerased=unerased)
    return Person(**dict(row or {}))


async def list_obstacles(conn: Connection, person: Person) -> Sequence[str]:
    """Return what of them is still running, as sentences."""
    rows = await _queries.list_obstacles.fetch(
        conn,
        customers=person.customers,
        subscriptions=person.subscriptions,
        stripe_customers=person.stripe_customers,
    )
    return [row["obstacle"] for row in rows]


async def list_objects(conn: Connection, person: Person) -> Sequence[StripeObject]:
    """Return what they have at Stripe."""
    rows = await _queries.list_objects.fetch(
        conn,
        customers=person.customers,
        subscriptions=person.subscriptions,
        stripe_customers=person.stripe_customers,
    )
    return [StripeObject(row["kind"], row["id"]) for row in rows]


async def export_person(
    conn: Connection, person: Person, objects: Sequence[StripeObject]
) -> Mapping[str, Any]:
    """Return the rows about a person, by table; None if a table has none."""
    exported: Mapping[str, Any] = await _queries.export_person.fetch_value(
        conn,
        customers=person.customers,
        users=person.users,
        subscriptions=person.subscriptions,
        stripe_customers=person.stripe_customers,
        object_ids=[each.id for each in objects],
    )
    return exported


async def hash_emails(conn: Connection, emails: Sequence[str]) -> Sequence[str]:
    """Return the keyed hashes by which addresses are remembered."""
    rows = await _queries.hash_emails.fetch(conn, emails=emails)
    return [row["hash"] for row in rows]


async def remember_erasures(conn: Connection, erasures: Sequence[Erasure]) -> None:
    """Have the mirror and the inbox keep no personal data of these from the commit on."""
    await _queries.remember_erasures.execute(conn, erasures=[asdict(each) for each in erasures])


async def erase_rows(conn: Connection, person: Person) -> Mapping[str, int]:
    """Erase what is personal in the rows of a person; return the number of rows by table."""
    rows = await _queries.erase_rows.fetch(
        conn,
        customers=person.customers,
        subscriptions=person.subscriptions,
        stripe_customers=person.stripe_customers,
    )
    return {row["table_name"]: row["rows"] for row in rows}


async def erase_traces(
    conn: Connection, person: Person, objects: Sequence[StripeObject]
) -> Mapping[str, int]:
    """Erase events and logs about a person; return the number of rows by table."""
    rows = await _queries.erase_traces.fetch(
        conn,
        object_ids=[each.id for each in objects],
        stripe_customers=person.stripe_customers,
        emails=person.emails,
        mirrored_types=list(MIRRORED_BY_NAME),
    )
    return {row["table_name"]: row["rows"] for row in rows}


async def erase_events(conn: Connection, object_ids: Sequence[str]) -> None:
    """Erase the payloads of finished events about these objects at Stripe."""
    await _queries.erase_events.execute(conn, object_ids=object_ids)


async def await_writers_of_events(conn: Connection) -> None:
    """Wait until the transactions that now write events have ended."""
    await _queries.lock_events.execute(conn)
