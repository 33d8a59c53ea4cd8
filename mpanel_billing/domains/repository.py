"""Who holds a domain name, in PostgreSQL."""

from collections.abc import Collection, Mapping
from typing import Literal
from uuid import UUID

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.domains.names import DomainName

NameState = Literal["ordered", "held", "refused", "released"]
"""The value of `order_domains.state`."""

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
    }


async def settle_names(
    conn: Connection,
    subscription_id: UUID,
    token: UUID,
    states: Mapping[DomainName, NameState],
    trouble: str | None,
) -> bool:
    """Store which of its names a paid order gets; False if the lease is lost.

    `trouble`: something for an operator to settle.
    """
    settled = await _queries.settle_names.fetch_value(
        conn,
        subscription_id=subscription_id,
        token=token,
        names=[{**_row(name), "state": state} for name, state in states.items()],
        trouble=trouble,
    )
    return settled is not None


async def call_off_rivals(conn: Connection, subscription_ids: Collection[UUID]) -> None:
    """Mark unpaid orders as superseded, and cancel attempts whose session is being created."""
    await _queries.call_off_rivals.execute(conn, subscription_ids=list(subscription_ids))
