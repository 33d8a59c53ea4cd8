"""Ceilings of keys: calls in a minute, and minor units refunded in a day.

They bound what a leaked key can do before it is noticed. Keys of the settings and commands have
none.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

from mpanel_billing.access import repository
from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import BillingError, StripeError
from mpanel_billing.money import format_money


class TooManyCallsError(BillingError):
    """The key has made all calls that it may make in this minute."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "rate_limited"


class RefundCeilingError(BillingError):
    """The refund exceeds what the key may refund in a day."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "refund_ceiling_reached"


async def count_call(pool: Pool, key_id: str) -> None:
    """Count a call of a key; TooManyCallsError if it exceeds the key's ceiling."""
    async with acquired(pool) as conn:
        counted = await repository.spend(conn, key_id, "calls", 1)
    if counted and not counted.spent:
        raise TooManyCallsError(
            f"This key may make {counted.ceiling} calls a minute.", retry_after=counted.retry_after
        )


async def count_refund(conn: Connection, by: Actor, amount: int, currency: str) -> None:
    """Count a refund in the transaction that records it; RefundCeilingError if it exceeds.

    `amount` is in minor units.
    """
    if by.key_id is None:
        return
    counted = await repository.spend(conn, by.key_id, _measure(currency), amount)
    if counted and not counted.spent and counted.ceiling is not None:
        most = format_money(counted.ceiling, currency)
        raise RefundCeilingError(
            f"This key may refund {most} a day.", retry_after=counted.retry_after
        )


async def require_refundable(conn: Connection, by: Actor, amount: int, currency: str) -> None:
    """Raise RefundCeilingError if a key may not refund so much today; nothing is counted.

    For what is refunded in parts, each of which is counted: a part must not go without the rest.
    """
    await count_refund(conn, by, amount, currency)
    if by.key_id is not None:
        await repository.give_back(conn, by.key_id, _measure(currency), amount)


async def give_back_refund(pool: Pool, by: Actor, amount: int, currency: str) -> None:
    """Take off a refund that was counted and that Stripe has certainly not made."""
    if by.key_id is not None:
        async with acquired(pool) as conn:
            await repository.give_back(conn, by.key_id, _measure(currency), amount)


@dataclass(slots=True)
class CountedRefunds:
    """What one request has counted of what its key may refund, in minor units of `currency`."""

    by: Actor
    currency: str
    total: int = 0

    async def count(self, conn: Connection, amount: int) -> None:
        """Count a refund as `count_refund` does."""
        await count_refund(conn, self.by, amount, self.currency)
        self.total += amount


@asynccontextmanager
async def counted_refunds(pool: Pool, by: Actor, currency: str) -> AsyncIterator[CountedRefunds]:
    """Take what was counted off again if Stripe has certainly refused it."""
    counted = CountedRefunds(by, currency)
    try:
        yield counted
    except StripeError as error:
        if error.definite:
            await give_back_refund(pool, by, counted.total, currency)
        raise


def _measure(currency: str) -> str:
    return f"refunds:{currency.lower()}"
