"""Access data of accounts, encrypted, as they are on record."""

from collections.abc import Sequence
from uuid import UUID

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.provisioning.lease import Lease

_queries = load_queries("access_data")


async def keep(
    conn: Connection, lease: Lease, product_type: str, generation: int, sealed: str
) -> None:
    """Keep what a service returned for a create, unless it was kept before."""
    await _queries.keep.execute(
        conn,
        subscription_id=lease.subscription_id,
        token=lease.token,
        product_type=product_type,
        generation=generation,
        sealed=sealed,
    )


async def hand_out(
    conn: Connection, subscription_id: UUID, product_type: str, to: str
) -> str | None:
    """Return what was kept, and keep it no longer; None if nothing is."""
    sealed: str | None = await _queries.hand_out.fetch_value(
        conn, subscription_id=subscription_id, product_type=product_type, handed_out_to=to
    )
    return sealed


async def list_kept(conn: Connection, subscription_id: UUID) -> Sequence[str]:
    """Return the product types of a subscription of which something is kept."""
    rows = await _queries.list_kept.fetch(conn, subscription_id=subscription_id)
    return [row["product_type"] for row in rows]
