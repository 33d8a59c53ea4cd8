"""Ask Stripe whether a debt still stands before it suspends anybody.

The mirror may have missed the payment: an outage of the webhooks must not cut off those who have
paid. Until Stripe has confirmed the debt, services stay as they are.
"""

import logging
from collections.abc import Mapping

from mpanel_billing.database.pool import acquired
from mpanel_billing.errors import StripeError
from mpanel_billing.jobs.pace import Pace
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.mirror.reading import UnreadableObjectError
from mpanel_billing.provisioning.desired import Desired
from mpanel_billing.provisioning.lease import Lease
from mpanel_billing.provisioning.repository import money
from mpanel_billing.provisioning.service_state import Service
from mpanel_billing.provisioning.work import Work

logger = logging.getLogger(__name__)


def must_confirm(work: Work, desired: Desired) -> bool:
    """Whether the run would suspend a running service for a debt that Stripe has not confirmed."""
    if desired.reason != "unpaid" or work.debt_confirmed:
        return False
    return any(_would_suspend(work.services, desired, name) for name in desired.services)


def _would_suspend(services: Mapping[str, Service], desired: Desired, product_type: str) -> bool:
    service = services.get(product_type)
    if service is None or desired.services[product_type].state == "active":
        return False
    # a pending command may have been carried out
    return service.actual == "active" or service.pending in {"create", "resume"}


async def confirm_debt(mirror: Mirror, pace: Pace, lease: Lease, work: Work) -> str | None:
    """Bring the subscription and its unpaid invoices up to date from Stripe.

    Returns None once Stripe has answered for all of them: the version that was worked on is then
    confirmed, unless an answer has changed it. Else returns the error; it is recorded since when
    the debt could not be confirmed.
    """
    try:
        await _refresh(mirror, pace, work)
    except (StripeError, UnreadableObjectError) as error:
        logger.warning(
            "debt not confirmed: %s", error, extra={"subscriptionId": str(work.subscription_id)}
        )
        async with acquired(mirror.pool) as conn:
            await money.note_debt_unconfirmed(conn, lease, str(error))
        return str(error)
    async with acquired(mirror.pool) as conn:
        await money.note_debt_confirmed(conn, lease, work.version)
    return None


async def _refresh(mirror: Mirror, pace: Pace, work: Work) -> None:
    async with acquired(mirror.pool) as conn:
        invoices = await money.list_unpaid_invoices(conn, work.subscription_id)
    for invoice_id in invoices:
        await pace.turn()
        await mirror.refresh("invoice", invoice_id)
    if work.stripe_subscription_id is not None:
        await pace.turn()
        await mirror.refresh("subscription", work.stripe_subscription_id)
