"""Erase a person: remember it first, so that nothing brings the data back, then blank the rows.

A killed erasure is completed by the same command: addresses are the last to go.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.mirror.locks import lock
from mpanel_billing.mirror.mirrored_type import LockKey
from mpanel_billing.privacy import ledger, repository
from mpanel_billing.privacy.repository import Erasure, Person, StripeObject, Who

if TYPE_CHECKING:  # loading the SDK takes longer than most commands
    from mpanel_billing.stripe_gateway.gateway import StripeGateway


class StillRunningError(ConflictError):
    """Something of the person still runs; the message says what."""

    code = "still_running"


@dataclass(frozen=True, slots=True)
class Prospect:
    """What an erasure would do, and what it leaves.

    `obstacles` are sentences; without any it can be done. `invoices`, `payments` and `refunds`
    are kept.
    """

    person: Person
    obstacles: Sequence[str]
    invoices: int
    payments: int
    refunds: int


async def preview_erasure(pool: Pool, who: Who) -> Prospect:
    """Return what an erasure would do; NotFoundError if nothing is held."""
    async with acquired(pool) as conn:
        person = await _find(conn, who)
        objects = await repository.list_objects(conn, person)
        obstacles = await repository.list_obstacles(conn, person)
    kinds = Counter(each.kind for each in objects)
    return Prospect(person, obstacles, kinds["in"], kinds["inpay"], kinds["re"])


async def erase(pool: Pool, who: Who, file: Path | None, by: Actor) -> Mapping[str, int]:
    """Erase a person, and return the number of rows by table.

    NotFoundError; StillRunningError, with nothing erased; SettingsError if the ledger in `file`
    cannot be written.
    """
    async with acquired(pool) as conn:
        person = await _find(conn, who)
    async with audit.attempt(pool, by, "customer.erase", _target(person)) as entry:
        await _remember(pool, person, file)
        rows = await _erase(pool, person, check=True)
        entry.note(rows=dict(rows))
    return rows


async def delete_at_stripe(
    pool: Pool, stripe: "StripeGateway", customer_ids: Sequence[str], by: Actor
) -> None:
    """Delete Stripe customers for good. Repeat it if Stripe was unavailable."""
    from mpanel_billing.stripe_gateway.customers import delete_customer  # noqa: PLC0415 - as above

    for id_ in customer_ids:
        async with audit.attempt(pool, by, "customer.delete", Target("stripe_customer", id_)):
            await delete_customer(stripe, id_)


async def reapply(pool: Pool, erasures: Sequence[Erasure], by: Actor) -> int:
    """Erase again, in a restored backup; return the number of customer records with data.

    What was erased here before is left alone: the person may have come back since.
    """
    async with audit.attempt(pool, by, "customer.reapply_erasures") as entry:
        async with transaction(pool) as conn:
            await repository.remember_erasures(conn, erasures)
        count = 0
        for who in _named(erasures):
            async with acquired(pool) as conn:
                person = await repository.find_person(conn, who, unerased=True)
            if person.customers or person.stripe_customers:
                await _erase(pool, person, check=False)
            count += len(person.customers)
        entry.note(customers=count)
    return count


async def reapply_ledger(pool: Pool, file: Path, by: Actor) -> int:
    """Do `reapply` with what is in the ledger."""
    return await reapply(pool, ledger.read(file), by)


async def _find(conn: Connection, who: Who) -> Person:
    """An address may be in events only, after mPanel has deleted the rows."""
    person = await repository.find_person(conn, who)
    if not (person.customers or person.stripe_customers or person.emails):
        raise NotFoundError("Nothing is held about this person.")
    return person


def _target(person: Person) -> Target | None:
    if person.customers:
        return Target("customer", str(person.customers[0]))
    if person.stripe_customers:
        return Target("stripe_customer", person.stripe_customers[0])
    return None


async def _remember(pool: Pool, person: Person, file: Path | None) -> None:
    """Remember the erasure, unless something still runs: first in the ledger, on disk."""
    async with transaction(pool) as conn:
        await _check(conn, person)
        hashes = await repository.hash_emails(conn, person.emails)
        erasures = _erasures_of(person, hashes)
        if file is not None:
            ledger.append(file, erasures)
        await repository.remember_erasures(conn, erasures)


def _erasures_of(person: Person, hashes: Sequence[str]) -> Sequence[Erasure]:
    now = datetime.now(UTC)
    return [
        *(Erasure(str(id_), "customer", "request", now) for id_ in person.customers),
        *(Erasure(id_, "stripe_customer", "request", now) for id_ in person.stripe_customers),
        *(Erasure(hash_, "email", "request", now) for hash_ in hashes),
    ]


async def _check(conn: Connection, person: Person) -> None:
    if obstacles := await repository.list_obstacles(conn, person):
        raise StillRunningError(f"Not erased: {'; '.join(obstacles)}.")


async def _erase(pool: Pool, person: Person, *, check: bool) -> Mapping[str, int]:
    async with transaction(pool) as conn:
        await repository.await_writers_of_events(conn)
    async with transaction(pool) as conn:
        objects = await repository.list_objects(conn, person)
        traces = await repository.erase_traces(conn, person, objects)
    async with transaction(pool) as conn:
        await lock(conn, _keys(objects))
        if check:
            await _check(conn, person)
        return {**await repository.erase_rows(conn, person), **traces}


def _keys(objects: Iterable[StripeObject]) -> Iterable[LockKey]:
    kinds = {"ch", "cn", "in", "re", "sub", "cus"}
    return ((each.kind, each.id) for each in objects if each.kind in kinds)


def _named(erasures: Sequence[Erasure]) -> Iterable[Who]:
    for erasure in erasures:
        if erasure.kind == "customer":
            yield Who(id=UUID(erasure.identifier))
        elif erasure.kind == "stripe_customer":
            yield Who(stripe_customer_id=erasure.identifier)
