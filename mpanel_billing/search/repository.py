"""Looks up what was searched for."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, Query, load_queries
from mpanel_billing.domains.names import DomainName
from mpanel_billing.search.terms import Address, DomainStart, IdStart, OurId, StripeId, Term, Words

_queries = load_queries("search")
_parts = load_queries("search_parts")
_prices = load_queries("price_use")
_work = load_queries("work_lists")
_notes = load_queries("notes")

_LAST = "\U0010ffff"
"""No name goes on with anything after it."""


@dataclass(frozen=True, slots=True)
class Match:
    """An object that was found, and whose it is.

    `object_type` is Stripe's word for it, or `email`, `name`, `account`, `tenant`, `domain`,
    `order`, `message`; `object_id` its id, or the text that matched.
    """

    object_type: str
    object_id: str
    customer_id: UUID | None
    subscription_id: UUID | None


async def find(conn: Connection, term: Term, most: int) -> Sequence[Match]:
    """Return what a term names; words find at most `most` customers."""
    return [Match(**row) for row in await _fetch(conn, term, most)]


async def _fetch(conn: Connection, term: Term, most: int) -> Sequence[asyncpg.Record]:
    match term:
        case OurId() | IdStart():
            return await _queries.find_by_id.fetch(conn, least=term.least, greatest=term.greatest)
        case DomainStart(start=start):
            return await _queries.find_by_domain_start.fetch(
                conn, least=start, greatest=start + _LAST, most=most
            )
        case StripeId(id=stripe_id):
            return await _queries.find_by_stripe_id.fetch(conn, id=stripe_id)
        case Address(email=email):
            return await _queries.find_by_email.fetch(conn, email=email)
        case DomainName():
            return await _queries.find_by_domain.fetch(
                conn, name=term.ascii, forms=list(term.forms), registrable=term.registrable
            )
        case Words():
            return await _queries.find_by_words.fetch(conn, words=term.tsquery, most=most)


async def find_part(conn: Connection, text: str, most: int) -> Sequence[Match]:
    """Return customers who have a text anywhere in name, company or e-mail address.

    None, unless the database has the index for it, which an operator makes (docs/operations.md).
    """
    if not await _parts.has_index.fetch_value(conn):
        return []
    pattern = re.sub(r"([\\%_])", r"\\\1", text.lower())
    return [Match(**row) for row in await _parts.find_part.fetch(conn, pattern=pattern, most=most)]


async def list_mentioned(conn: Connection, stripe_id: str) -> Sequence[str]:
    """Return the ids that events about an object name, or that an event names; nearest first."""
    return [row["id"] for row in await _queries.list_mentioned.fetch(conn, id=stripe_id)]


async def list_customers(conn: Connection, ids: Sequence[UUID]) -> Sequence[asyncpg.Record]:
    """Return customer records by their ids, latest first."""
    return await _queries.list_customers.fetch(conn, ids=ids)


async def list_subscriptions(
    conn: Connection, customer_ids: Sequence[UUID], subscription_ids: Sequence[UUID], most: int
) -> Sequence[asyncpg.Record]:
    """Return at most `most` subscriptions of each customer: those named, then the latest."""
    return await _queries.list_subscriptions.fetch(
        conn, customer_ids=customer_ids, subscription_ids=subscription_ids, most=most
    )


async def show_customer(conn: Connection, customer_id: UUID) -> Mapping[str, Any] | None:
    """Return a customer record: name, addresses, ids."""
    row = await _queries.show_customer.fetch_one(conn, customer_id=customer_id)
    return dict(row) if row else None


async def list_customer_subscriptions(
    conn: Connection, customer_id: UUID, most: int
) -> Sequence[Mapping[str, Any]]:
    """Return the lines of `billing_overview` of their latest subscriptions."""
    return await _list(conn, _queries.list_customer_subscriptions, customer_id, most)


async def list_customer_trouble(
    conn: Connection, customer_id: UUID, most: int
) -> Sequence[Mapping[str, Any]]:
    """Return the trouble of their latest subscriptions."""
    return await _list(conn, _queries.list_customer_trouble, customer_id, most)


async def list_customer_invoices(
    conn: Connection, customer_id: UUID, most: int
) -> Sequence[Mapping[str, Any]]:
    """Return their latest invoices at Stripe; amounts in minor units."""
    return await _list(conn, _queries.list_customer_invoices, customer_id, most)


async def list_subscription_trouble(
    conn: Connection, subscription_id: UUID
) -> Sequence[Mapping[str, Any]]:
    """Return the trouble of a subscription."""
    rows = await _queries.list_subscription_trouble.fetch(conn, subscription_id=subscription_id)
    return [dict(row) for row in rows]


async def list_customer_payments(
    conn: Connection, customer_id: UUID, most: int
) -> Sequence[Mapping[str, Any]]:
    """Return the latest attempts to charge them; amounts in minor units."""
    return await _list(conn, _queries.list_customer_payments, customer_id, most)


async def list_customer_debts(conn: Connection, customer_id: UUID) -> Sequence[Mapping[str, Any]]:
    """Return what they owe on open invoices, by currency; amounts in minor units."""
    rows = await _queries.list_customer_debts.fetch(conn, customer_id=customer_id)
    return [dict(row) for row in rows]


async def list_customer_returns(
    conn: Connection, customer_id: UUID, most: int
) -> Sequence[Mapping[str, Any]]:
    """Return their latest refunds and credit notes; amounts in minor units."""
    return await _list(conn, _queries.list_customer_returns, customer_id, most)


async def _list(
    conn: Connection, query: Query, customer_id: UUID, most: int
) -> Sequence[Mapping[str, Any]]:
    return [dict(row) for row in await query.fetch(conn, customer_id=customer_id, most=most)]


async def list_customer_changes(
    conn: Connection, customer_id: UUID, subscription_ids: Sequence[UUID], most: int
) -> Sequence[Mapping[str, Any]]:
    """Return the latest changes by operators and keys: of a customer, and of what is theirs."""
    rows = await _queries.list_customer_changes.fetch(
        conn, customer_id=customer_id, subscription_ids=subscription_ids, most=most
    )
    return [dict(row) for row in rows]


async def list_trouble(
    conn: Connection, kind: str | None, most: int
) -> Sequence[Mapping[str, Any]]:
    """Return the rows of billing_trouble with their kind and customer, oldest first."""
    return [dict(row) for row in await _work.list_trouble.fetch(conn, kind=kind, most=most)]


async def list_watched(
    conn: Connection, kind: str | None, most: int
) -> Sequence[Mapping[str, Any]]:
    """Return the rows of billing_watch with their kind and customer, oldest first."""
    return [dict(row) for row in await _work.list_watched.fetch(conn, kind=kind, most=most)]


async def list_debtors(
    conn: Connection, most: int, *, livemode: bool
) -> Sequence[Mapping[str, Any]]:
    """Return open invoices whose payment has failed or is late, by Stripe's next attempt."""
    return [dict(row) for row in await _work.list_debtors.fetch(conn, livemode=livemode, most=most)]


async def list_trials(
    conn: Connection, most: int, *, livemode: bool
) -> Sequence[Mapping[str, Any]]:
    """Return trials by their end, each with its customer and what is charged then."""
    return [dict(row) for row in await _work.list_trials.fetch(conn, livemode=livemode, most=most)]


async def list_domains(conn: Connection, which: str, most: int) -> Sequence[Mapping[str, Any]]:
    """Return the domains of a list, `which` of `list_domains`, with their customers."""
    return [dict(row) for row in await _work.list_domains.fetch(conn, which=which, most=most)]


async def find_domains(
    conn: Connection, named: Sequence[tuple[str, UUID | None]]
) -> Mapping[tuple[str, UUID | None], UUID]:
    """Return the ids of domains by their name and subscription; of several the latest."""
    rows = await _work.find_domains.fetch(
        conn, names=[name for name, _ in named], subscription_ids=[id_ for _, id_ in named]
    )
    return {(row["name"], row["subscription_id"]): row["id"] for row in rows}


async def find_invoices(conn: Connection, names: Sequence[str]) -> Mapping[str, UUID]:
    """Return the ids of invoices by their id at Stripe, or that of a warning about a payment."""
    return {row["name"]: row["id"] for row in await _work.find_invoices.fetch(conn, names=names)}


async def get_domain(conn: Connection, id_: UUID) -> Mapping[str, Any] | None:
    """Return how a domain stands."""
    row = await _work.get_domain.fetch_one(conn, id=id_)
    return dict(row) if row else None


async def find_same_note(
    conn: Connection,
    customer_id: UUID,
    *,
    body: str,
    written_by: str,
    person: str | None,
    seconds: float,
) -> int | None:
    """Return the same note of the same person, if it was written so shortly before.

    Until the end of the transaction nobody else notes anything about the customer.
    """
    await _notes.lock_notes.execute(conn, customer_id=customer_id)
    id_: int | None = await _notes.find_same_note.fetch_value(
        conn,
        customer_id=customer_id,
        body=body,
        written_by=written_by,
        person=person,
        seconds=seconds,
    )
    return id_


async def add_note(
    conn: Connection, customer_id: UUID, *, body: str, written_by: str, person: str | None
) -> int | None:
    """Store a note and return its id; None if there is no such customer."""
    id_: int | None = await _notes.add_note.fetch_value(
        conn, customer_id=customer_id, body=body, written_by=written_by, person=person
    )
    return id_


async def list_notes(conn: Connection, customer_id: UUID, most: int) -> Sequence[asyncpg.Record]:
    """Return the latest notes about a customer."""
    return await _notes.list_notes.fetch(conn, customer_id=customer_id, most=most)


async def list_prices(
    conn: Connection, kind: str, most: int, *, most_counted: int, livemode: bool
) -> Sequence[Mapping[str, Any]]:
    """Return the prices of a kind of product that are sold or still paid."""
    rows = await _prices.list_prices.fetch(
        conn, kind=kind, livemode=livemode, most_counted=most_counted, most=most
    )
    return [dict(row) for row in rows]


async def get_price(
    conn: Connection, id_: UUID, *, most_counted: int | None, livemode: bool
) -> Mapping[str, Any] | None:
    """Return a price and how many pay it."""
    row = await _prices.get_price.fetch_one(
        conn, id=id_, livemode=livemode, most_counted=most_counted
    )
    return dict(row) if row else None


async def list_payers(
    conn: Connection, price_id: UUID, after: UUID, most: int, *, livemode: bool
) -> Sequence[Mapping[str, Any]]:
    """Return a page of the subscriptions that have a price."""
    rows = await _prices.list_payers.fetch(
        conn, price_id=price_id, livemode=livemode, after=after, most=most
    )
    return [dict(row) for row in rows]
