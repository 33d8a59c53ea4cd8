"""What a run asks Stripe about a subscription's debts, and has it charge at the end of a trial."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.provisioning.lease import Lease
from mpanel_billing.provisioning.repository.accounts import moment_of
from mpanel_billing.provisioning.work import Charge

_queries = load_queries("provisioning")
_charges = load_queries("charges")


async def list_unpaid_invoices(conn: Connection, subscription_id: UUID) -> list[str]:
    """Return the Stripe ids of the subscription's open and uncollectible invoices, oldest first."""
    rows = await _queries.list_unpaid_invoices.fetch(conn, subscription_id=subscription_id)
    return [row["stripe_invoice_id"] for row in rows]


async def list_open_term_invoices(conn: Connection, subscription_id: UUID) -> list[str]:
    """Return the Stripe ids of the invoices for terms that can still be paid, oldest first."""
    rows = await _queries.list_open_term_invoices.fetch(conn, subscription_id=subscription_id)
    return [row["stripe_invoice_id"] for row in rows]


async def note_debt_confirmed(conn: Connection, lease: Lease, version: int) -> None:
    """Record that Stripe has confirmed what a version of the work owes."""
    await _queries.note_debt_confirmed.execute(
        conn,
        subscription_id=lease.subscription_id,
        token=lease.token,
        version=version,
        now=lease.clock(),
    )


async def note_debt_unconfirmed(conn: Connection, lease: Lease, error: str) -> None:
    """Record why Stripe could not be asked; the first time is kept."""
    await _queries.note_debt_unconfirmed.execute(
        conn,
        subscription_id=lease.subscription_id,
        token=lease.token,
        error=error,
        now=lease.clock(),
    )


def charge_of(row: Mapping[str, Any]) -> Charge:
    """Read a row of subscription_charges as JSON."""
    return Charge(
        id=UUID(row["id"]),
        kind=row["kind"],
        code=row["code"],
        description=row["description"],
        amount=row["amount"],
        currency=row["currency"],
        state=row["state"],
        stripe_id=row["stripe_id"],
        attempt=row["attempt"],
        tried_at=moment_of(row["tried_at"]),
        lost=row["lost"],
    )


async def begin_attaching(conn: Connection, charge: Charge) -> bool:
    """Record that Stripe is about to be called; False if another run has changed the charge."""
    begun = await _charges.begin_attaching.fetch_value(conn, id=charge.id, attempt=charge.attempt)
    return begun is not None


async def mark_attached(
    conn: Connection, charge: Charge, stripe_id: str, created: datetime | None
) -> None:
    """Store that the charge is attached in Stripe; `created`: when the invoice item was made."""
    await _charges.mark_attached.execute(
        conn, id=charge.id, attempt=charge.attempt, stripe_id=stripe_id, stripe_created=created
    )


async def drop_charge(conn: Connection, charge: Charge) -> None:
    """Forget a charge that is not owed any more."""
    await _charges.drop_charge.execute(conn, id=charge.id, attempt=charge.attempt)


async def mark_removed(conn: Connection, charge: Charge) -> None:
    """Store that the charge is removed; if it is attached again, it is a new attempt."""
    await _charges.mark_removed.execute(conn, id=charge.id, attempt=charge.attempt)
