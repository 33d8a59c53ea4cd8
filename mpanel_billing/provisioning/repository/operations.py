"""What operators see of provisioning, and change."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.provisioning.drivers.protocol import Account, Found

_queries = load_queries("operations")
_adoptions = load_queries("adoptions")


async def find_subscription(conn: Connection, name: str) -> UUID | None:
    """Return the subscription's id, given our id or Stripe's."""
    found: UUID | None = await _queries.find_subscription.fetch_value(conn, name=name)
    return found


async def list_stuck(conn: Connection, after: UUID, most: int) -> Sequence[asyncpg.Record]:
    """Return the subscriptions that are not as desired, or in trouble, and why; by id."""
    return await _queries.list_stuck.fetch(conn, after=after, most=most)


async def list_holds(conn: Connection) -> Sequence[asyncpg.Record]:
    """Return the operators' suspensions that are in force."""
    return await _queries.list_holds.fetch(conn)


async def get_hold(conn: Connection, subscription_id: UUID) -> asyncpg.Record | None:
    """Return the suspension by an operator that is in force: reason, by whom, when."""
    return await _queries.get_hold.fetch_one(conn, subscription_id=subscription_id)


async def list_services(conn: Connection, subscription_id: UUID) -> Sequence[asyncpg.Record]:
    """Return the desired and actual state of a subscription's services."""
    return await _queries.list_services.fetch(conn, subscription_id=subscription_id)


async def list_calls(
    conn: Connection, subscription_id: UUID, most: int
) -> Sequence[asyncpg.Record]:
    """Return the latest calls to drivers for a subscription, oldest first."""
    return await _queries.list_calls.fetch(conn, subscription_id=subscription_id, most=most)


async def list_timeline(
    conn: Connection, subscription_ids: Sequence[UUID]
) -> Sequence[asyncpg.Record]:
    """Return everything on record about subscriptions: at, kind, what, detail, state."""
    return await _queries.list_timeline.fetch(conn, subscription_ids=subscription_ids)


async def release_services(conn: Connection, subscription_id: UUID) -> None:
    """Reset the attempts of services that are stopped or wait for a retry."""
    await _queries.release_services.execute(conn, subscription_id=subscription_id)


async def renew_work(conn: Connection, subscription_id: UUID) -> int | None:
    """Return a new version of the subscription's work; None if there is none."""
    version: int | None = await _queries.renew_work.fetch_value(
        conn, subscription_id=subscription_id
    )
    return version


async def renew_works_of_customer(
    conn: Connection, subscription_id: UUID
) -> Sequence[tuple[UUID, int]]:
    """Return new versions of the works of all subscriptions of this one's customer."""
    rows = await _queries.renew_works_of_customer.fetch(conn, subscription_id=subscription_id)
    return [(row["subscription_id"], row["version"]) for row in rows]


async def add_leniency(
    conn: Connection,
    subscription_id: UUID,
    *,
    whole_customer: bool,
    grace_days: int | None,
    not_before: datetime | None,
    reason: str,
    set_by: str,
) -> bool:
    """Store an agreement; False if there is one, or no customer to agree with."""
    added = await _queries.add_leniency.fetch_value(
        conn,
        subscription_id=subscription_id,
        whole_customer=whole_customer,
        grace_days=grace_days,
        not_before=not_before,
        reason=reason,
        set_by=set_by,
    )
    return added is not None


async def end_leniency(
    conn: Connection, subscription_id: UUID, *, whole_customer: bool
) -> str | None:
    """Delete an agreement; returns its reason, or None if there was none."""
    reason: str | None = await _queries.end_leniency.fetch_value(
        conn, subscription_id=subscription_id, whole_customer=whole_customer
    )
    return reason


async def list_leniency(conn: Connection, subscription_id: UUID) -> Sequence[asyncpg.Record]:
    """Return the agreements that apply to a subscription: its own, then its customer's."""
    return await _queries.list_leniency.fetch(conn, subscription_id=subscription_id)


async def get_outside_price(conn: Connection, id_: str) -> asyncpg.Record:
    """Return what is known of a price, by its id at Stripe or that of an item."""
    row = await _queries.get_outside_price.fetch_one(conn, id=id_)
    assert row is not None  # noqa: S101 - there is one for any id
    return row


async def list_ignored_prices(conn: Connection, most: int) -> Sequence[asyncpg.Record]:
    """Return the ignored prices with their reasons, the latest first."""
    return await _queries.list_ignored_prices.fetch(conn, most=most)


async def ignore_price(conn: Connection, stripe_price_id: str, reason: str, set_by: str) -> bool:
    """Declare that a price gives nothing; False if the catalogue has it or its product."""
    ignored = await _queries.ignore_price.fetch_value(
        conn, stripe_price_id=stripe_price_id, reason=reason, set_by=set_by
    )
    return ignored is not None


async def heed_price(conn: Connection, stripe_price_id: str) -> str | None:
    """Take the declaration back; returns its reason, or None if there was none."""
    reason: str | None = await _queries.heed_price.fetch_value(
        conn, stripe_price_id=stripe_price_id
    )
    return reason


async def renew_works_of_price(
    conn: Connection, stripe_price_id: str, after: UUID, most: int
) -> Sequence[tuple[UUID, int | None]]:
    """Return the next subscriptions with an item at an unknown price, each with its work's version.

    The version is a new one, or None if it has no work.
    """
    rows = await _queries.renew_works_of_price.fetch(
        conn, stripe_price_id=stripe_price_id, after=after, most=most
    )
    return [(row["subscription_id"], row["version"]) for row in rows]


async def place_hold(
    conn: Connection, subscription_id: UUID, *, reason: str, operator: str
) -> bool:
    """Suspend the subscription; False if an operator has already suspended it."""
    placed = await _queries.place_hold.fetch_value(
        conn, subscription_id=subscription_id, reason=reason, placed_by=operator
    )
    return placed is not None


async def lift_hold(conn: Connection, subscription_id: UUID, *, operator: str) -> str | None:
    """Lift the operator's suspension and return its reason; None if there is none."""
    reason: str | None = await _queries.lift_hold.fetch_value(
        conn, subscription_id=subscription_id, lifted_by=operator
    )
    return reason


async def skip_service(conn: Connection, subscription_id: UUID, product_type: str) -> bool:
    """Skip a service; False if the subscription has none of that type."""
    skipped = await _queries.skip_service.fetch_value(
        conn, subscription_id=subscription_id, product_type=product_type
    )
    return skipped is not None


async def settle_trouble(conn: Connection, subscription_id: UUID) -> bool:
    """Clear the subscription's trouble; False if it has none."""
    settled = await _queries.settle_trouble.fetch_value(conn, subscription_id=subscription_id)
    adopted = await _adoptions.settle_adoption.fetch_value(conn, subscription_id=subscription_id)
    kept = await _queries.keep_orders.fetch_value(conn, subscription_id=subscription_id)
    return any(done is not None for done in (settled, adopted, kept))


async def list_accounts(
    conn: Connection, after: tuple[UUID, str], most: int
) -> Sequence[asyncpg.Record]:
    """Return the next accounts after one, in order of subscription and product type."""
    return await _queries.list_accounts.fetch(
        conn, after_subscription=after[0], after_type=after[1], most=most
    )


async def adopt_finding(conn: Connection, account: Account, generation: int, found: Found) -> bool:
    """Record the account as found; False if it has changed or a run is working on it."""
    adopted = await _queries.adopt_finding.fetch_value(
        conn,
        subscription_id=account.subscription_id,
        product_type=account.product_type,
        generation=generation,
        actual=found.actual,
        external_ref=found.external_ref,
        resources=found.resources,
        suspended_by_service=found.suspended_by_service,
        found_generation=found.generation,
    )
    return adopted is not None


async def list_late_payments(conn: Connection, subscription_id: UUID) -> Sequence[asyncpg.Record]:
    """Return what was paid after the end: invoice, amount in minor units, currency."""
    return await _queries.list_late_payments.fetch(conn, subscription_id=subscription_id)


async def keep_payments(
    conn: Connection, subscription_id: UUID, reason: str, kept_by: str
) -> Sequence[asyncpg.Record]:
    """Settle what was paid after the end: returns invoice, amount in minor units, currency."""
    return await _queries.keep_payments.fetch(
        conn, subscription_id=subscription_id, reason=reason, kept_by=kept_by
    )
