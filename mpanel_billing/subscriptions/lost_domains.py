"""Refund what was paid for a domain that could not be obtained; by the worker.

The rest of the order is as it was ordered. The refund has a key made of our row's id, so a run
that crashed is repeated without a second one.
"""

import logging

from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import acquired
from mpanel_billing.domains.repository import names as repository
from mpanel_billing.domains.repository.names import LostDomain
from mpanel_billing.errors import BillingError, DatabaseUnavailableError
from mpanel_billing.jobs.backoff import retry_seconds
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.subscriptions.lookup import CustomerRef
from mpanel_billing.subscriptions.refunds import RequestedRefund, may_succeed_later, refund_invoice

logger = logging.getLogger(__name__)

MOST = 100
"""The limit of a run; the rest waits a minute."""


async def give_back_lost(mirror: Mirror) -> int:
    """Refund lost domains that were paid for, and return how many.

    What Stripe could not be asked, or what another change stands in the way of, is tried again
    later. What is refused for good, because it was paid otherwise or was refunded before, is left
    to a person: the reason is on its row.
    """
    async with acquired(mirror.pool) as conn:
        lost = await repository.list_lost(conn, livemode=mirror.livemode, most=MOST)
    return sum([await _give_back(mirror, domain) for domain in lost])


async def _give_back(mirror: Mirror, domain: LostDomain) -> bool:
    request = RequestedRefund(
        by=Actor("worker"),
        invoice_id=domain.invoice_id,
        named=CustomerRef(),
        amount=domain.amount,
        key=f"lost-domain-{domain.id}",
    )
    try:
        await refund_invoice(mirror, request)
    except DatabaseUnavailableError:
        raise
    except BillingError as error:
        await _put_off(mirror, domain, error)
        return False
    async with acquired(mirror.pool) as conn:
        await repository.note_given_back(conn, domain.id)
    return True


async def _put_off(mirror: Mirror, domain: LostDomain, error: BillingError) -> None:
    """Record why it was not refunded, and when it is tried again: never, if it was refused."""
    seconds = None
    if may_succeed_later(error):
        seconds = retry_seconds(domain.attempts + 1, error.retry_after)
    then = "a person has to refund it" if seconds is None else "not refunded yet"
    logger.warning("%s: %s", then, error, extra={"domain": domain.name})
    async with acquired(mirror.pool) as conn:
        await repository.note_not_given_back(conn, domain.id, str(error), seconds)
