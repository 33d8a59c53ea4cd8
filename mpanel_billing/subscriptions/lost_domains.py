"""Refund what was paid for a domain that another customer got first; by the worker.

The rest of the order is as it was ordered. The refund has a key made of our row's id, so a run
that crashed is repeated without a second one.
"""

import logging

from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import acquired
from mpanel_billing.domains import repository
from mpanel_billing.domains.repository import LostDomain
from mpanel_billing.errors import BillingError, ConflictError, InvalidRequestError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.subscriptions.lookup import CustomerRef
from mpanel_billing.subscriptions.refunds import RequestedRefund, refund_invoice

logger = logging.getLogger(__name__)

MOST = 100
"""The limit of a run; the rest waits a minute."""


async def give_back_lost(mirror: Mirror) -> int:
    """Refund lost domains that were paid for, and return how many; the rest is tried again.

    What cannot be refunded, because it was paid otherwise or was refunded before, is left to a
    person: the reason is on its row.
    """
    async with acquired(mirror.pool) as conn:
        lost = await repository.list_lost(conn, livemode=mirror.livemode, most=MOST)
    given_back = 0
    for domain in lost:
        try:
            given_back += await _give_back(mirror, domain)
        except BillingError as error:
            logger.warning("not refunded yet: %s", error, extra={"domain": domain.name})
    return given_back


async def _give_back(mirror: Mirror, domain: LostDomain) -> bool:
    request = RequestedRefund(
        by=Actor("worker"),
        invoice_id=domain.invoice_id,
        named=CustomerRef(),
        amount=domain.amount,
        key=f"lost-domain-{domain.id}",
    )
    refused = None
    try:
        await refund_invoice(mirror, request)
    except (ConflictError, InvalidRequestError) as error:
        if error.retry_after:  # another change of the invoice, or a run that was killed in its own
            raise
        refused = str(error)
        logger.warning("a person has to refund it: %s", error, extra={"domain": domain.name})
    async with acquired(mirror.pool) as conn:
        await repository.note_given_back(conn, domain.id, refused)
    return refused is None
