"""Tax those whose notice is over, as the command would that told them.

Each minute a worker looks at what the rows say, so nothing is lost with a trigger or a worker. Why:
docs/decisions/0070-notices-end-by-themselves.md.
"""

import logging
from datetime import UTC, datetime, timedelta
from uuid import UUID

from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import acquired
from mpanel_billing.errors import BillingError, DatabaseUnavailableError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.subscriptions.repository import tax_notices as repository
from mpanel_billing.subscriptions.repository.tax_notices import Chosen
from mpanel_billing.subscriptions.taxing import TAXED, Enabling, Outcome, enable_taxes

logger = logging.getLogger(__name__)

MOST = 100
"""The limit of a run; the rest waits a minute."""

_LATER = timedelta(hours=1)


async def tax_those_told(mirror: Mirror) -> int:
    """Tax the subscriptions whose notice is over, and return how many.

    It is on record under who ordered it. What cannot be taxed now is looked at again in an hour.
    """
    async with acquired(mirror.pool) as conn:
        due = await repository.list_due(conn, MOST, livemode=mirror.livemode)
    return sum([await _look_at(mirror, id_, Actor(told_by)) for id_, told_by in due])


async def _look_at(mirror: Mirror, id_: UUID, by: Actor) -> bool:
    """Return whether a subscription is taxed now; if not, store why."""
    found: list[Outcome] = []
    chosen = Chosen(mirror.livemode, subscription_id=id_)
    try:
        await enable_taxes(mirror, Enabling(chosen, by), found.append)
    except DatabaseUnavailableError:
        raise
    except BillingError as error:
        logger.warning("not taxed yet: %s", error, extra={"subscriptionId": str(id_)})
        await _put_off(mirror, id_, datetime.now(UTC) + _LATER, error.message)
        return False
    if not found:
        await _put_off(mirror, id_, None, "it has ended")
        return False
    if found[0].done == "enabled" or found[0].why == TAXED:
        return True
    await _put_off(mirror, id_, datetime.now(UTC) + _LATER, found[0].why or "")
    return False


async def _put_off(mirror: Mirror, id_: UUID, until: datetime | None, why: str) -> None:
    async with acquired(mirror.pool) as conn:
        await repository.put_off(conn, id_, until, why)
