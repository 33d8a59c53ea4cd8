"""Renew domains: tell, charge before they expire, have the registrar renew what was paid.

What is to be done is read from `billing_domain_renewals`: each run does a step of each that is due.
A crash between two steps is made good by the next run. The registrar is told through the row of the
domain (`paid_until`); `provisioning` calls it. Why: docs/decisions/0049-a-renewal-is-a-row.md.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.domains.repository import renewals
from mpanel_billing.domains.repository.renewals import PaidYear, Renewal
from mpanel_billing.errors import (
    BillingError,
    ConflictError,
    DatabaseUnavailableError,
    StripeError,
)
from mpanel_billing.jobs.backoff import retry_seconds
from mpanel_billing.jobs.queue import enqueue_domains
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning.registrar.repository import order_renewal
from mpanel_billing.stripe_gateway.domain_charges import get_line_total
from mpanel_billing.subscriptions.domain_charges import (
    NothingChargedError,
    charge,
    follow,
    is_billed,
    take_back,
)
from mpanel_billing.subscriptions.lookup import CustomerRef
from mpanel_billing.subscriptions.refunds import RequestedRefund, may_succeed_later, refund_invoice
from mpanel_billing.subscriptions.replaced_domains import put_in_place

logger = logging.getLogger(__name__)

MOST = 100
"""The limit of a run; the rest waits a minute."""

PRICE_NOTICE_DAYS = 30
"""How long after its customer was told a higher price counts."""

TOLD_DAYS = 30
"""How long before a domain expires its customer is told; they are told again a week before."""

_CALLS = 6
"""A renewal is leased for the time that this many calls to Stripe may take."""


@dataclass(frozen=True, slots=True)
class RenewalRules:
    """The rules of the host.

    `days`: how long before it expires a domain is charged. `outlives_plan`: also after the plan
    that it came with has ended.
    """

    days: int = 30
    outlives_plan: bool = True


async def tell_of_renewals(mirror: Mirror, at: datetime | None = None) -> None:
    """Tell customers of domains that expire, and of prices that rise, once each."""
    now = at or datetime.now(UTC)
    async with transaction(mirror.pool) as conn:
        await renewals.announce_prices(conn, now, PRICE_NOTICE_DAYS, MOST)
        await renewals.record_expiring(conn, now, TOLD_DAYS)


async def renew_domains(mirror: Mirror, rules: RenewalRules, at: datetime | None = None) -> int:
    """Do what is due of all renewals, and return of how many Stripe was asked."""
    now = at or datetime.now(UTC)
    live = mirror.livemode
    lease_seconds = _CALLS * mirror.stripe.longest_call_seconds
    await settle_renewals(mirror, now)
    async with transaction(mirror.pool) as conn:
        await renewals.open_due(
            conn, now, rules.days, MOST, outlives_plan=rules.outlives_plan, livemode=live
        )
        due = await renewals.claim_due(conn, now, lease_seconds, MOST, livemode=live)
    for renewal in due:
        await _do(mirror, renewal, now)
    await settle_renewals(mirror, now)
    return len(due)


async def settle_renewals(mirror: Mirror, now: datetime) -> None:
    """Store what follows: what was paid, what has become of it, what has expired."""
    live = mirror.livemode
    paid = await _list_paid(mirror, now)
    async with transaction(mirror.pool) as conn:
        for domain in await renewals.note_paid(conn, paid):
            await _have_renewed(conn, domain)
        await renewals.note_settled(conn, now, livemode=live)
        await renewals.note_unpaid(conn, now, livemode=live)
        for name in await renewals.note_expired(conn, now):
            logger.info("expired", extra={"domain": name})


async def _list_paid(mirror: Mirror, now: datetime) -> list[UUID]:
    """Return what was paid; what Stripe cannot tell of an invoice of the plan is asked again."""
    async with acquired(mirror.pool) as conn:
        payable = await renewals.list_payable(conn, livemode=mirror.livemode)
    paid = [year.id for year in payable if not year.with_plan]
    for year in payable:
        try:
            if year.with_plan and await is_billed(mirror, year, now):
                paid.append(year.id)
        except StripeError as error:
            logger.warning("is it paid? %s", error, extra={"renewalId": str(year.id)})
    return paid


async def _have_renewed(conn: Connection, domain: PaidYear) -> None:
    """Have the registrar renew what was paid; what it cannot renew is settled as refused.

    A name that was chosen in place of a lost one is had from now on as any that was ordered.
    """
    logger.info("year paid", extra={"domain": domain.name})
    if domain.paid_until is None:
        await put_in_place(conn, domain.id)
        return
    if not domain.is_renewable:
        return
    due = await order_renewal(conn, domain.id, domain.paid_until)
    if due is not None:
        await enqueue_domains(conn, [(domain.id, due)])


async def _do(mirror: Mirror, renewal: Renewal, now: datetime) -> None:
    """Do the next step of a renewal; a failure is stored, and repeated later."""
    try:
        await _step(mirror, renewal, now)
    except DatabaseUnavailableError:
        raise
    except NothingChargedError as refusal:
        await _note_failed(mirror, renewal, refusal.error, now, is_definite=True)
    except BillingError as error:
        await _note_failed(mirror, renewal, error, now, is_definite=False)


async def _note_failed(
    mirror: Mirror, renewal: Renewal, error: BillingError, now: datetime, *, is_definite: bool
) -> None:
    fields = {"domain": renewal.name, "renewalId": str(renewal.id)}
    logger.warning("renewal, %s: %s", renewal.state, error, extra=fields)
    again = now + timedelta(seconds=retry_seconds(renewal.failures + 1))
    async with acquired(mirror.pool) as conn:
        await renewals.note_failed(conn, renewal, str(error), again, is_definite=is_definite)


async def _step(mirror: Mirror, renewal: Renewal, now: datetime) -> None:
    match renewal.state:
        case "due" if renewal.amount > 0:
            await charge(mirror, renewal, now)
        case "charged":
            await follow(mirror, renewal, now)
        case "unpaid" | "withdrawn":
            await take_back(mirror, renewal, now)
        case "refused":
            await _give_back(mirror, renewal)


async def _give_back(mirror: Mirror, renewal: Renewal) -> None:
    """Refund what was paid for a renewal that the registrar refuses, once.

    What cannot be refunded, because it was paid otherwise or was refunded before, is left to a
    person: the reason is on its row.
    """
    refused = None
    if renewal.amount > 0 and renewal.invoice_id is not None:
        refused = await _refund(mirror, renewal, renewal.invoice_id)
    async with acquired(mirror.pool) as conn:
        await renewals.note_given_back(conn, renewal.id, refused)


async def _refund(mirror: Mirror, renewal: Renewal, invoice_id: UUID) -> str | None:
    """Refund it; returns why Stripe or we refuse for good."""
    try:
        request = RequestedRefund(
            by=Actor("worker"),
            invoice_id=invoice_id,
            named=CustomerRef(),
            amount=await _paid_for_it(mirror, renewal),
            key=renewal.key,
        )
        await refund_invoice(mirror, request)
    except DatabaseUnavailableError:
        raise
    except BillingError as error:
        if may_succeed_later(error):
            raise
        logger.warning("a person has to refund it: %s", error, extra={"domain": renewal.name})
        return f"not refunded: {error}"
    return None


async def _paid_for_it(mirror: Mirror, renewal: Renewal) -> int | None:
    """Return its part of an invoice, with taxes; None: all of it.

    ConflictError if the plan's invoice has no line of it: then nothing of it was paid for a domain.
    """
    if renewal.params and renewal.params["way"] == "own":
        return None
    total = await get_line_total(
        mirror.stripe, renewal.stripe_invoice_id or "", renewal.stripe_item_id or ""
    )
    if total is None:
        raise ConflictError(f"Invoice {renewal.stripe_invoice_id} has no line of {renewal.name}.")
    return total
