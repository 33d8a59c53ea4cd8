"""Finds customers, with their subscriptions, by what an operator knows of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.search import repository
from mpanel_billing.search.repository import Match
from mpanel_billing.search.stripe_ids import ask_for_owners, is_invoice_number
from mpanel_billing.search.terms import Address, Certain, Start, StripeId, read_terms

if TYPE_CHECKING:
    from mpanel_billing.stripe_gateway.gateway import StripeGateway

MOST_SUBSCRIPTIONS = 20
_NAMED = 5
"""Customers that a sentence names, if a text does not name one."""
_HOPS = 3
"""A dispute names its charge, the charge its payment, the payment its customer."""


@dataclass(frozen=True, slots=True)
class FoundCustomer:
    """A customer record, what was found of theirs, and their latest subscriptions."""

    customer: Mapping[str, Any]
    matches: Sequence[Match]
    subscriptions: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found; `strays` are objects without a customer record."""

    customers: Sequence[FoundCustomer]
    strays: Sequence[Match]
    is_cut: bool
    """Whether there are more customers than were asked for."""


async def find(pool: Pool, text: str, most: int, stripe: "StripeGateway | None" = None) -> Found:
    """Return at most `most` customers whom a text names, latest first.

    The text is an id, ours or Stripe's, an e-mail address, a domain (then also names under
    it), or beginnings of words of a name, a company or an e-mail address; of a domain or of one of
    our ids unless it is named whole, and of a whole address unless that is found. `stripe` is
    asked for an id that is not on record, and for the number of an invoice. What nothing else
    finds may be any part of a name, a company or an address, if the database has the index for it.
    Raises InvalidRequestError if the text is too short or too long, and StripeError.
    """
    terms = read_terms(text)
    matches: list[Match] = []
    is_named = False
    for term in terms:
        if is_named and (isinstance(term, Start) or isinstance(terms[0], Address)):
            continue
        async with acquired(pool) as conn:
            found = await repository.find(conn, term, most + 1)
            if not found and isinstance(term, StripeId):
                found = await _find_by_events(conn, term.id)
        if not found and isinstance(term, StripeId) and stripe is not None:
            found = await _find_by_asking(pool, stripe, term.id)
        is_named = is_named or (bool(found) and isinstance(term, Certain))
        matches += found
    if not matches and stripe is not None and is_invoice_number(text):
        matches = await _find_by_number(pool, stripe, text.strip())
    async with acquired(pool) as conn:
        if not matches:
            matches += await repository.find_part(conn, text.strip(), most + 1)
        return await _customers_of(conn, matches, most)


async def find_one(pool: Pool, text: str, stripe: "StripeGateway | None" = None) -> FoundCustomer:
    """Return the only customer whom a text names; records that joined others do not count.

    NotFoundError if it finds none, ConflictError if it finds several; StripeError.
    """
    found = await find(pool, text, _NAMED, stripe)
    joined = {each.customer["id"] for each in found.customers if each.customer["joined_id"]}
    left = [each for each in found.customers if each.customer["id"] not in joined]
    customers = left or found.customers
    if not customers:
        raise NotFoundError(f"Nothing found for {text}.")
    if len(customers) > 1 or found.is_cut:
        named = ", ".join(str(each.customer["id"]) for each in customers)
        raise ConflictError(f"{text} finds several customers: {named}. Name one by its id.")
    return customers[0]


async def find_at_stripe(pool: Pool, text: str, stripe: "StripeGateway") -> Sequence[str]:
    """Return the ids at Stripe of the subscriptions that a text names, else of the customer.

    Raises what `find_one` does.
    """
    found = await find_one(pool, text, stripe)
    named = {match.subscription_id for match in found.matches if match.subscription_id}
    subscriptions = [
        each["stripe_subscription_id"]
        for each in found.subscriptions
        if each["id"] in named and each["stripe_subscription_id"]
    ]
    return subscriptions or list(found.customer["stripe_customer_ids"])


async def _find_by_events(conn: Connection, stripe_id: str) -> Sequence[Match]:
    """Return whose an object is that has no row, going by what the events about it name."""
    asked, nearest = {stripe_id}, [stripe_id]
    for _ in range(_HOPS):
        mentioned = [id_ for near in nearest for id_ in await repository.list_mentioned(conn, near)]
        nearest = [id_ for id_ in dict.fromkeys(mentioned) if id_ not in asked]
        for id_ in nearest:
            found = await repository.find(conn, StripeId(id_), 1)
            if found:
                return [_seen_as(stripe_id, match) for match in found]
        asked.update(nearest)
    return []


async def _find_by_asking(pool: Pool, stripe: "StripeGateway", stripe_id: str) -> Sequence[Match]:
    """Return whose an object is, going by what Stripe says of it."""
    owners = await ask_for_owners(stripe, stripe_id)
    async with acquired(pool) as conn:
        for owner in owners:
            if found := await repository.find(conn, StripeId(owner), 1):
                return [_seen_as(stripe_id, match) for match in found]
    return []


async def _find_by_number(pool: Pool, stripe: "StripeGateway", number: str) -> list[Match]:
    from mpanel_billing.stripe_gateway.invoices import find_by_number  # noqa: PLC0415 - the SDK

    numbered = await find_by_number(stripe, number)
    async with acquired(pool) as conn:
        found = [await repository.find(conn, StripeId(id_), 1) for id_ in numbered]
    return [replace(match, object_id=number) for matches in found for match in matches]


def _seen_as(stripe_id: str, match: Match) -> Match:
    """Return a match of the object that was searched for, not of the one that led to it."""
    return replace(match, object_type="object", object_id=stripe_id)


async def _customers_of(conn: Connection, matches: Sequence[Match], most: int) -> Found:
    by_customer = _by_customer(matches)
    customers = await repository.list_customers(conn, list(by_customer))
    shown = customers[:most]
    subscriptions = await repository.list_subscriptions(
        conn,
        [each["id"] for each in shown],
        [each.subscription_id for each in matches if each.subscription_id],
        MOST_SUBSCRIPTIONS,
    )
    by_owner = {
        owner: [dict(row) for row in rows]
        for owner, rows in groupby(subscriptions, key=itemgetter("customer_id"))
    }
    return Found(
        [
            FoundCustomer(dict(each), by_customer[each["id"]], by_owner.get(each["id"], ()))
            for each in shown
        ],
        [match for match in matches if match.customer_id is None],
        is_cut=len(customers) > most,
    )


def _by_customer(matches: Iterable[Match]) -> Mapping[UUID, Sequence[Match]]:
    found: dict[UUID, list[Match]] = {}
    for match in matches:
        if match.customer_id is not None:
            found.setdefault(match.customer_id, []).append(match)
    return found
