"""Bring the world to what the mirror wants for a subscription, as often as it takes (rule 8)."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import BillingError, DatabaseUnavailableError
from mpanel_billing.jobs.backoff import retry_seconds
from mpanel_billing.jobs.queue import enqueue_provisioning_retry
from mpanel_billing.provisioning import repository
from mpanel_billing.provisioning.clock import Clock, database_clock
from mpanel_billing.provisioning.desired import Desired, Phase, Policy, desired_services
from mpanel_billing.provisioning.dispatch import Desk, give_order
from mpanel_billing.provisioning.drivers.registry import Drivers
from mpanel_billing.provisioning.lease import (
    Lease,
    LeaseLostError,
    break_off,
    kept,
    take_lease,
)
from mpanel_billing.provisioning.service_state import Action, Leg, blocker, in_order, next_action
from mpanel_billing.provisioning.tenant import ensure_tenant
from mpanel_billing.provisioning.trial_charges import settle_charges
from mpanel_billing.provisioning.work import Work
from mpanel_billing.stripe_gateway.gateway import StripeGateway

logger = logging.getLogger(__name__)

_MOST_ROUNDS = 10
"""How often a run starts anew because the wish changed meanwhile, before another run goes on."""

_MOST_ORDERS = 5
"""The longest way of a leg: finish a creation, resume, change; with room to spare."""


@dataclass(frozen=True, slots=True)
class Provisioning:
    """What provisioning needs: the database, Stripe, the drivers, and the rules.

    `tenant_suffix` is the zone for tenants without a domain of their own; `livemode` the mode
    of the Stripe key; `clock` tells when grace, retention, leases and delays are over.
    """

    pool: Pool
    gateway: StripeGateway
    drivers: Drivers
    policy: Policy
    tenant_suffix: str
    livemode: bool
    clock: Clock = database_clock


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to; `error` says why it is not `done`."""

    done: bool
    error: str | None = None


AT_REST = Outcome(done=True)


async def provision_tenant_for_subscription(
    provisioning: Provisioning, subscription_id: UUID
) -> Outcome:
    """Bring a subscription's tenant and services to what they should be, as far as it goes now.

    Safe to repeat, and to run from anywhere: one run at a time works on a subscription, and what
    cannot be done now is tried again later by itself. Raises LeaseBusyError while another run is
    at it, and LeaseLostError if another has taken over.
    """
    lease = await take_lease(provisioning.pool, subscription_id, provisioning.clock)
    if lease is None:
        return AT_REST
    try:
        async with kept(provisioning.pool, lease):
            return await _converge(provisioning, lease)
    except LeaseLostError:
        raise
    except (Exception, asyncio.CancelledError) as error:
        # whatever it was, the row has to tell the operator, and the lease must not be waited for
        with suppress(DatabaseUnavailableError):
            await _break_off(provisioning.pool, lease, error)
        raise


async def _break_off(pool: Pool, lease: Lease, error: BaseException) -> None:
    if isinstance(error, asyncio.CancelledError):
        await break_off(pool, lease, None, 0)
        return
    text = str(error) if isinstance(error, BillingError) else f"broke: {type(error).__name__}"
    await break_off(pool, lease, text, retry_seconds(lease.attempts))


async def _converge(provisioning: Provisioning, lease: Lease) -> Outcome:
    """Run until the wish has not changed meanwhile."""
    for _ in range(_MOST_ROUNDS):
        outcome = await _run_once(provisioning, lease)
        if outcome is not None:
            _log(lease.subscription_id, outcome)
            return outcome
    await break_off(provisioning.pool, lease, None, 0)
    return Outcome(done=False, error="the wish keeps changing")


def _log(subscription_id: UUID, outcome: Outcome) -> None:
    fields = {"subscriptionId": str(subscription_id)}
    if outcome.done:
        logger.debug("all is as wished", extra=fields)
    else:
        logger.warning("not all is as wished: %s", outcome.error, extra=fields)


async def _run_once(provisioning: Provisioning, lease: Lease) -> Outcome | None:
    """Go through all that the subscription needs once; None: the wish has changed meanwhile."""
    async with acquired(provisioning.pool) as conn:
        work = await repository.get_work(conn, lease)
    if work is None:
        raise LeaseLostError
    charges_error = await settle_charges(
        provisioning.pool, provisioning.gateway, work, livemode=provisioning.livemode
    )
    desired = desired_services(work.entitlement, provisioning.policy, work.now)
    if any(service.wish == "active" for service in desired.services.values()):
        tenant = await ensure_tenant(provisioning.pool, work, provisioning.tenant_suffix)
        work = replace(work, tenant_id=tenant[0], tenant_domain=tenant[1])
    legs = await _drive_legs(provisioning, lease, work, desired)
    return await _finish(provisioning.pool, lease, _Run(work, desired, legs, charges_error))


async def _drive_legs(
    provisioning: Provisioning, lease: Lease, work: Work, desired: Desired
) -> Mapping[str, Leg]:
    """Drive each leg as far as it goes; answer the legs as they are then."""
    drivers = {
        product_type: provisioning.drivers.choose(product_type).driver.name
        for product_type in desired.services
    }
    legs = dict(work.legs)
    if desired.services:
        async with acquired(provisioning.pool) as conn:
            legs |= await repository.write_wishes(conn, lease, desired, drivers)
    desk = Desk(provisioning.pool, provisioning.drivers, lease)
    for leg in in_order(legs):
        if blocker(leg, legs) is None and _is_due(leg, work):
            provision = _BY_TYPE.get(leg.product_type, provision_service)
            legs[leg.product_type] = await provision(desk, work, leg)
    return legs


def _is_due(leg: Leg, work: Work) -> bool:
    if leg.stopped is not None:
        return False
    return leg.next_attempt_at is None or leg.next_attempt_at <= work.now


async def provision_hosting(desk: Desk, work: Work, leg: Leg) -> Leg:
    """Bring the hosting account to what it should be: space for sites on the tenant's domain.

    It is told how the buyer comes by the domain, and what other domains were paid for, because
    whoever hosts the site sees to their registration or transfer.
    """
    details = {
        **_owner(work),
        "domain": work.tenant_domain,
        "domainMode": work.tenant_domain_mode,
        "furtherDomains": list(work.further_domains),
    }
    return await _drive(desk, leg, details, work)


async def provision_email(desk: Desk, work: Work, leg: Leg) -> Leg:
    """Bring the mail account to what it should be: mailboxes under the tenant's domain."""
    details = {**_owner(work), "mailDomain": work.tenant_domain}
    return await _drive(desk, leg, details, work)


async def provision_storage(desk: Desk, work: Work, leg: Leg) -> Leg:
    """Bring the storage account to what it should be; it needs no domain."""
    return await _drive(desk, leg, _owner(work), work)


async def provision_service(desk: Desk, work: Work, leg: Leg) -> Leg:
    """Bring any other service to what it should be: an extra on the tenant's domain."""
    details = {"tenantId": str(work.tenant_id), "domain": work.tenant_domain}
    return await _drive(desk, leg, details, work)


_BY_TYPE = {
    "hosting": provision_hosting,
    "email": provision_email,
    "storage": provision_storage,
}


def _owner(work: Work) -> dict[str, Any]:
    buyer = work.buyer
    contact = {"email": buyer.email, "name": buyer.name, "company": buyer.company}
    return {"tenantId": str(work.tenant_id), "contact": contact}


async def _drive(desk: Desk, leg: Leg, details: Mapping[str, Any], work: Work) -> Leg:
    """Give order after order until the leg is as wished, or one fails."""
    for _ in range(_MOST_ORDERS):
        action = next_action(leg)
        if action is None:
            break
        leg = await give_order(desk, leg, action, _details_of(action, leg, details, work))
        if leg.last_error is not None:
            break
    return leg


def _details_of(
    action: Action, leg: Leg, details: Mapping[str, Any], work: Work
) -> Mapping[str, Any]:
    match action:
        case "create":
            return {**details, "resources": leg.desired_resources}
        case "change":
            return {"resources": leg.desired_resources}
        case "suspend":
            return {"reason": _reason(work)}
        case _:
            return {}


def _reason(work: Work) -> str:
    """Say why a service is suspended, in a word that the other side can act on."""
    entitlement = work.entitlement
    if entitlement.stripe_status in {"canceled", "incomplete_expired"}:
        return "ended"
    if work.hold_reason is not None:
        return "held"
    if entitlement.collection_paused or entitlement.stripe_status == "paused":
        return "paused"
    return "unpaid" if entitlement.stripe_status in {"past_due", "unpaid"} else "removed"


@dataclass(frozen=True, slots=True)
class _Run:
    """What a run has found and done."""

    work: Work
    desired: Desired
    legs: Mapping[str, Leg]
    charges_error: str | None

    @property
    def outcome(self) -> Outcome:
        errors = [error for error in (_legs_error(self.legs), self.charges_error) if error]
        return Outcome(done=not errors, error="; ".join(errors) or None)


async def _finish(pool: Pool, lease: Lease, run: _Run) -> Outcome | None:
    """Store what the run came to; None: the wish has changed meanwhile."""
    if run.outcome.done:
        async with acquired(pool) as conn:
            finished = await _store_end(conn, lease, run)
    else:
        async with transaction(pool) as conn:
            finished = await _store_end(conn, lease, run)
            if finished is not None:
                await _trigger_next(conn, run.work, *finished)
    return None if finished is None else run.outcome


async def _store_end(conn: Connection, lease: Lease, run: _Run) -> tuple[int, float | None] | None:
    return await repository.finish_work(
        conn,
        lease,
        run.work,
        done=run.outcome.done,
        error=run.outcome.error,
        wake_at=run.desired.wake_at,
        retry_seconds=retry_seconds(run.work.attempts) if run.charges_error else None,
        words=words_of(run.desired.phase, run.legs),
    )


async def _trigger_next(
    conn: Connection, work: Work, attempts: int, wake_seconds: float | None
) -> None:
    """Trigger the next try to the second; what only time changes is for the sweep to find."""
    if wake_seconds is not None:
        await enqueue_provisioning_retry(
            conn, work.subscription_id, work.version, attempts, wake_seconds
        )


def words_of(phase: Phase, legs: Mapping[str, Leg]) -> tuple[str, str] | None:
    """Return the status words of the subscription and of its tenant; None: as they are.

    They change when all has come about that the phase asks for, not before.
    """
    actual = {leg.actual for leg in legs.values()}
    match phase:
        case Phase.ACTIVE:
            wished = [leg for leg in legs.values() if leg.desired == "active"]
            return ("active", "active") if all(leg.settled for leg in wished) else None
        case Phase.SUSPENDED if "active" not in actual:
            return "suspended", "suspended"
        case Phase.ENDED if "active" not in actual:
            ended = "suspended" in actual
            return "cancelled", "suspended" if ended else "cancelled"
        case _:
            return None


def _legs_error(legs: Mapping[str, Leg]) -> str | None:
    """Say which legs are not as wished, and why."""
    parts = [
        f"{leg.product_type}: {leg.last_error or 'waits for ' + str(blocker(leg, legs))}"
        for leg in in_order(legs)
        if not leg.settled
    ]
    return "; ".join(parts) or None
