"""Customer records, their Stripe customers and balances, and how records join an account."""

from dataclasses import dataclass
from uuid import UUID

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.mirror.mirrored_type import LockKey
from mpanel_billing.subscriptions.records import Balance

_queries = load_queries("customer_records")
_joining = load_queries("joining")


@dataclass(frozen=True, slots=True)
class Joinable:
    """A customer record without an account, and the account whose verified address it names.

    `account_id` is the account's own record; None if mPanel has made none. A record that has joined
    already has no `user_id`, and its id as `buyer`.
    """

    id: UUID
    buyer: str
    user_id: UUID | None
    account_id: UUID | None


async def list_joinable(conn: Connection, most: int) -> list[Joinable]:
    """Return records that can join an account that is noted, oldest first."""
    rows = await _joining.list_joinable.fetch(conn, most=most)
    return [Joinable(*row.values()) for row in rows]


async def forget_noted(conn: Connection) -> None:
    """Forget the accounts that were noted an hour ago and have nothing to join."""
    await _joining.forget_noted.execute(conn)


async def list_lock_keys(conn: Connection, customer_id: UUID) -> list[LockKey]:
    """Return what events of the customer lock."""
    row = await _joining.list_stripe_objects.fetch_one(conn, customer_id=customer_id)
    assert row  # noqa: S101 - a query without FROM returns a row
    subscriptions = [("sub", id_) for id_ in row["subscriptions"]]
    return [*subscriptions, *(("cus", id_) for id_ in row["customers"])]


async def give_to_account(conn: Connection, record: Joinable) -> bool:
    """Make the record that of the account; False if that is no longer right."""
    given = await _joining.give_to_account.fetch_value(
        conn, customer_id=record.id, user_id=record.user_id
    )
    return given is not None


async def join_account(conn: Connection, record_id: UUID, account_id: UUID) -> bool:
    """Move everything of a record to that of an account; False if that is no longer right."""
    had = await _joining.join_account.fetch_one(conn, customer_id=record_id, account_id=account_id)
    if had is None:
        return False
    await _joining.move_records.execute(conn, customer_id=record_id, account_id=account_id)
    if had["stripe_customer_id"] is not None:
        await _joining.inherit_principal.execute(
            conn,
            account_id=account_id,
            stripe_customer_id=had["stripe_customer_id"],
            paid_at=had["stripe_customer_paid_at"],
        )
    return True


async def find_customer(
    conn: Connection, customer_id: UUID | None, user_id: UUID | None, email: str | None
) -> UUID | None:
    """Return the customer who matches all the given references."""
    found: UUID | None = await _queries.find_customer.fetch_value(
        conn, customer_id=customer_id, user_id=user_id, email=email
    )
    return found


async def list_stripe_customers(
    conn: Connection,
    customer_id: UUID,
    subscription_id: UUID | None,
    currency: str | None,
    *,
    livemode: bool,
) -> list[str]:
    """Return a customer's Stripe customers, the most likely first.

    Only that of the subscription, or those with subscriptions in the currency, if given.
    """
    rows = await _queries.list_stripe_customers.fetch(
        conn,
        customer_id=customer_id,
        subscription_id=subscription_id,
        currency=currency,
        livemode=livemode,
    )
    return [row["id"] for row in rows]


async def list_balances(conn: Connection, customer_id: UUID, *, livemode: bool) -> list[Balance]:
    """Return the balances of a customer's Stripe customers that are not zero."""
    rows = await _queries.list_balances.fetch(conn, customer_id=customer_id, livemode=livemode)
    return [Balance(*row.values()) for row in rows]


async def get_balance(conn: Connection, stripe_customer_id: str, currency: str) -> int:
    """Return a Stripe customer's balance in a currency, in minor units: negative is a credit."""
    balance: int | None = await _queries.get_balance.fetch_value(
        conn, stripe_customer_id=stripe_customer_id, currency=currency
    )
    return balance or 0


async def find_running(conn: Connection, customer_id: UUID, stripe_customer_id: str) -> str | None:
    """Return Stripe's id of the latest subscription of a Stripe customer that has not ended."""
    found: str | None = await _queries.find_running.fetch_value(
        conn, customer_id=customer_id, stripe_customer_id=stripe_customer_id
    )
    return found
