"""Who holds a domain name, in PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, get_args
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.domains.names import DomainName

NameState = Literal[
    "ordered", "verifying", "held", "proven", "chosen", "registered", "refused", "released"
]
"""What was decided of a name that a subscription is for; `ordered`: nothing yet.

`verifying`: its buyer has to prove that it is theirs. Held are also `proven`, after that, `chosen`
in place of a name that could not be obtained, and `registered`: we have registered or transferred
it already."""

DomainMode = Literal["register", "transfer", "new-or-transfer", "existing", "subdomain"]
"""The value of `billing_domains.mode`."""

BUYERS_OWN = frozenset({"existing", "subdomain"})
"""The modes in which the buyer has the name already."""

MODES: Mapping[str, DomainMode] = {mode: mode for mode in get_args(DomainMode)}

_queries = load_queries("domains")


async def lock_names(conn: Connection, names: Collection[DomainName]) -> None:
    """Lock out others who order or get names in the same registrable domains.

    Until the transaction ends.
    """
    registrable = sorted({name.registrable for name in names})
    await _queries.lock_names.execute(conn, registrable=registrable)


async def list_taken(
    conn: Connection,
    names: Collection[DomainName],
    *,
    vouched_customer: UUID | None,
    subscription_id: UUID | None = None,
    tenant_id: UUID | None = None,
) -> set[str]:
    """Return those of the names, in ASCII, that another customer holds; `lock_names` comes first.

    Names that lie under or above are held too. `vouched_customer`: what they hold is not taken.
    `subscription_id`: a paid order asks, so that others that are paid but have not got their
    names yet do not count, and `tenant_id` is its tenant.
    """
    rows = await _queries.list_taken.fetch(
        conn,
        names=[_row(name) for name in names],
        customer_id=vouched_customer,
        subscription_id=subscription_id,
        tenant_id=tenant_id,
    )
    return {row["name"] for row in rows}


def _row(name: DomainName) -> Mapping[str, object]:
    return {
        "name": name.ascii,
        "registrable": name.registrable,
        "forms": list(name.forms),
        "lineage": list(name.lineage),
        "imitates": name.imitates,
    }


def domain_row(name: DomainName, mode: DomainMode) -> dict[str, object]:
    """Return a name as a row of `billing_domains`."""
    return {
        "name": name.ascii,
        "unicode_name": name.unicode,
        "skeleton": name.skeleton,
        "registrable": name.registrable,
        "mode": mode,
    }


async def list_owned(
    conn: Connection, names: Collection[DomainName], customer_id: UUID
) -> dict[str, bool]:
    """Return those of the names, in ASCII, whose registration a customer must not pay for.

    We have registered them for the customer, or a subscription of theirs that lives has them
    (True).
    """
    rows = await _queries.list_owned.fetch(
        conn,
        names=[name.ascii for name in names],
        registrable=sorted({name.registrable for name in names}),
        customer_id=customer_id,
    )
    return {row["name"]: row["is_at_work"] for row in rows}


async def attach_kept(
    conn: Connection, subscription_id: UUID, names: Collection[DomainName], customer_id: UUID
) -> set[str]:
    """Give a subscription the names that its customer has kept; returns those, in ASCII."""
    wanted = [name.ascii for name in names]
    rows = await _queries.list_kept.fetch(conn, names=wanted, customer_id=customer_id)
    kept = [row["name"] for row in rows]
    if kept:
        dropped = await _queries.drop_ordered.fetch(
            conn, subscription_id=subscription_id, names=kept
        )
        await _queries.attach_kept.execute(
            conn,
            subscription_id=subscription_id,
            names=kept,
            customer_id=customer_id,
            replaces={
                row["name"]: str(row["replaces_id"]) for row in dropped if row["replaces_id"]
            },
        )
    return set(kept)


async def list_covered(
    conn: Connection, names: Collection[DomainName], customer_id: UUID
) -> set[str]:
    """Return those of the names, in ASCII, that lie in what a customer has for certain."""
    rows = await _queries.list_covered.fetch(
        conn,
        names=[{"name": name.ascii, "registrable": name.registrable} for name in names],
        customer_id=customer_id,
    )
    return {row["name"] for row in rows}


@dataclass(frozen=True, slots=True)
class AskedProof:
    """What a buyer is given to prove that a name, in ASCII, is theirs."""

    name: str
    token: str
    nameservers: tuple[str, ...]
    seconds: float


async def settle_names(
    conn: Connection,
    subscription_id: UUID,
    token: UUID,
    names: Mapping[DomainName, DomainMode],
    *,
    taken: Collection[str],
    proofs: Collection[AskedProof],
    trouble: str | None,
) -> bool:
    """Store which of its names a paid order gets: all but those `taken`, in ASCII.

    `proofs`: of these only once they are proven. False if the lease is lost. `trouble`: something
    for an operator to settle.
    """
    unproven = {proof.name for proof in proofs}
    settled = await _queries.settle_names.fetch_value(
        conn,
        subscription_id=subscription_id,
        token=token,
        names=[
            {**domain_row(name, mode), "state": _state(name, mode, taken, unproven)}
            for name, mode in names.items()
        ],
        proofs=[asdict(proof) for proof in proofs],
        trouble=trouble,
    )
    return settled is not None


def _state(
    name: DomainName, mode: DomainMode, taken: Collection[str], unproven: Collection[str]
) -> str:
    if name.ascii in taken:
        return "failed"
    if name.ascii in unproven:
        return "verifying"
    return "active" if mode in BUYERS_OWN else "ordered"


async def list_domains(conn: Connection, state: str | None, most: int) -> Sequence[asyncpg.Record]:
    """Return domains in a state, or all (None) but those that are only ordered; newest first."""
    return await _queries.list_domains.fetch(conn, state=state, most=most)


async def list_of_customer(
    conn: Connection, customer_id: UUID, most: int
) -> Sequence[asyncpg.Record]:
    """Return the domains that a customer has, had or has ordered; newest first."""
    return await _queries.list_of_customer.fetch(conn, customer_id=customer_id, most=most)


async def list_of_name(conn: Connection, name: DomainName) -> Sequence[asyncpg.Record]:
    """Return who has a name, and who had it or wants it."""
    return await _queries.list_of_name.fetch(conn, name=name.ascii, registrable=name.registrable)


@dataclass(frozen=True, slots=True)
class LostDomain:
    """A name that was paid for and could not be obtained; `amount` in minor units.

    `attempts`: failed attempts to refund it.
    """

    id: UUID
    name: str
    invoice_id: UUID
    amount: int
    attempts: int


async def list_lost(conn: Connection, *, livemode: bool, most: int) -> list[LostDomain]:
    """Return what is to be given back now, oldest first."""
    rows = await _queries.list_lost.fetch(conn, livemode=livemode, most=most)
    return [LostDomain(**row) for row in rows]


async def note_given_back(conn: Connection, id_: UUID) -> None:
    """Record that the price of a lost name was refunded."""
    await _queries.note_given_back.execute(conn, id=id_)


async def note_not_given_back(
    conn: Connection, id_: UUID, error: str, retry_seconds: float | None
) -> None:
    """Record why the price of a lost name was not refunded, and when that is tried again.

    None: it was refused, and a person has to do it.
    """
    await _queries.note_not_given_back.execute(
        conn, id=id_, error=error, retry_seconds=retry_seconds
    )


async def retry_refund(conn: Connection, name: DomainName, id_: UUID | None = None) -> UUID | None:
    """Have the worker try again to refund a lost name; None if no refund of one has failed.

    `id_`: only if it is this row that could not have it.
    """
    found: UUID | None = await _queries.retry_refund.fetch_value(
        conn, name=name.ascii, registrable=name.registrable, id=id_
    )
    return found


async def settle_failed(conn: Connection, name: DomainName) -> UUID | None:
    """Note that a name that could not be obtained is settled with its buyer.

    None if there is none, or its price is still to be refunded.
    """
    found: UUID | None = await _queries.settle_failed.fetch_value(
        conn, name=name.ascii, registrable=name.registrable
    )
    return found


async def call_off_rivals(conn: Connection, subscription_ids: Collection[UUID]) -> None:
    """Mark unpaid orders as superseded, and cancel attempts whose session is being created."""
    await _queries.call_off_rivals.execute(conn, subscription_ids=list(subscription_ids))


async def hand_in_auth_code(
    conn: Connection,
    name: DomainName,
    auth_code: str,
    *,
    subscription_id: UUID | None = None,
) -> UUID | None:
    """Store an auth code, encrypted, for a transfer that is still to be asked for.

    `subscription_id`: only for a name of this order. None if there is no such transfer.
    """
    found: UUID | None = await _queries.hand_in_auth_code.fetch_value(
        conn,
        name=name.ascii,
        registrable=name.registrable,
        subscription_id=subscription_id,
        auth_code=auth_code,
    )
    return found
