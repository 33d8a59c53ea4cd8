"""Make the open invoices of an ended subscription unpayable before its accounts are terminated.

Else a customer could pay for what cannot be given any more.
"""

import logging
from contextlib import suppress

from mpanel_billing.database.pool import acquired
from mpanel_billing.errors import StripeError, StripeObjectMissingError
from mpanel_billing.jobs.pace import Pace
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.mirror.reading import UnreadableObjectError
from mpanel_billing.provisioning.desired import Desired, Phase
from mpanel_billing.provisioning.repository import money
from mpanel_billing.provisioning.service_state import next_action
from mpanel_billing.provisioning.work import Work
from mpanel_billing.stripe_gateway.charges import void_invoice

logger = logging.getLogger(__name__)

_PAYABLE = frozenset({"open", "uncollectible"})


def will_terminate(work: Work, desired: Desired) -> bool:
    """Whether the run would terminate an account of a subscription that has ended."""
    if desired.phase is not Phase.ENDED:
        return False
    return any(
        service.actual in {"active", "suspended"} or next_action(service) == "create"
        for name, service in work.services.items()
        if name in desired.services and desired.services[name].state == "terminated"
    )


async def close_invoices(mirror: Mirror, pace: Pace, work: Work, *, void: bool) -> str | None:
    """Bring the open invoices up to date from Stripe, and void them if `void`.

    Returns None once that is done for all of them, else the error. One that was paid in the
    meantime changes what is desired.
    """
    async with acquired(mirror.pool) as conn:
        invoices = await money.list_open_term_invoices(conn, work.subscription_id)
    for invoice_id in invoices:
        try:
            await _close(
                mirror,
                pace,
                invoice_id,
                f"void-{invoice_id}-{work.version}-{work.attempts}",
                void=void,
            )
        except (StripeError, UnreadableObjectError) as error:
            logger.warning(
                "invoice not closed: %s",
                error,
                extra={"subscriptionId": str(work.subscription_id), "invoiceId": invoice_id},
            )
            return f"its invoice {invoice_id} can still be paid: {error}"
    return None


async def _close(mirror: Mirror, pace: Pace, invoice_id: str, key: str, *, void: bool) -> None:
    with suppress(StripeObjectMissingError):
        await pace.turn()
        invoice = await mirror.refresh("invoice", invoice_id)
        if void and invoice.get("status") in _PAYABLE:
            await pace.turn()
            await void_invoice(mirror.stripe, invoice_id, key)
            await pace.turn()
            await mirror.refresh("invoice", invoice_id)
