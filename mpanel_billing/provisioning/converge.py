"""Bring a subscription's tenant and services to their desired state; retry until done (rule 8)."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import BillingError, DatabaseUnavailableError
from mpanel_billing.jobs.backoff import retry_seconds
from mpanel_billing.jobs.pace import Pace
from mpanel_billing.jobs.queue import enqueue_provisioning_retry
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning.adoption import adopt_accounts
from mpanel_billing.provisioning.after_end import close_invoices, will_terminate
from mpanel_billing.provisioning.debt import CHECKS_PER_SECOND, Waiting, confirm_debt, must_confirm
from mpanel_billing.provisioning.desired import Desired, Phase, Policy, desired_services
from mpanel_billing.provisioning.dispatch import Dispatcher
from mpanel_billing.provisioning.drivers.registry import Drivers
from mpanel_billing.provisioning.lease import (
    Clock,
    Lease,
    LeaseLostError,
    break_off,
    database_clock,
    kept,
    take_lease,
)
from mpanel_billing.provisioning.repository import runs
from mpanel_billing.provisioning.service_state import (
    Action,
    Service,
    blocker,
    in_order,
    next_action,
)
from mpanel_billing.provisioning.takeover import returns, take_over
from mpanel_billing.provisioning.tenant import ensure_tenant, own_domain
from mpanel_billing.provisioning.trial_charges import settle_charges
from mpanel_billing.provisioning.work import Work
from mpanel_billing.stripe_gateway.gateway import StripeGateway

logger = logging.getLogger(__name__)

_MAX_ROUNDS = 10
"""How often a run starts over because the desired state changed, before it leaves the rest."""

_MAX_COMMANDS = 5
"""The most that a service can need is three: finish a create, resume, change."""


@dataclass(frozen=True, slots=True)
class Provisioning:
    """What provisioning needs: the database, Stripe, the drivers, and the policy.

    `tenant_suffix` is the zone for tenants without a domain of their own, `livemode` the mode of
    the Stripe key.
    """

    pool: Pool
    gateway: StripeGateway
    drivers: Drivers
    policy: Policy
    tenant_suffix: str
    livemode: bool
    clock: Clock = database_clock
    debt_checks: Pace = field(default_factory=lambda: Pace(CHECKS_PER_SECOND))
    debtors: Waiting = field(default_factory=Waiting)

    @property
    def mirror(self) -> Mirror:
        """The mirror of what Stripe says."""
        return Mirror(self.pool, self.gateway, self.livemode)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run; `error` says why it is not `done`."""

    done: bool
    error: str | None = None


NOTHING_TO_DO = Outcome(done=True)


async def provision_tenant_for_subscription(
    provisioning: Provisioning, subscription_id: UUID
) -> Outcome:
    """Bring a subscription's tenant and services to their desired state, as far as possible now.

    Safe to repeat and to run anywhere: one run at a time works on a subscription, and whatever
    fails is retried later. Raises LeaseBusyError while another run works on it, and
    LeaseLostError if another has taken over.
    """
    lease = await take_lease(provisioning.pool, subscription_id, provisioning.clock)
    if lease is None:
        return NOTHING_TO_DO
    try:
        async with kept(provisioning.pool, lease):
            return await _converge(provisioning, lease)
    except LeaseLostError:
        raise
    except (Exception, asyncio.CancelledError) as error:
        # show the error to operators, and return the lease at once
        with suppress(DatabaseUnavailableError):
            await _break_off(provisioning.pool, lease, error)
        raise


async def _break_off(pool: Pool, lease: Lease, error: BaseException) -> None:
    if isinstance(error, asyncio.CancelledError):
        await break_off(pool, lease, None, 0)
        return
    text = str(error) if isinstance(error, BillingError) else f"failed: {type(error).__name__}"
    await break_off(pool, lease, text, retry_seconds(lease.attempts))


async def _converge(provisioning: Provisioning, lease: Lease) -> Outcome:
    """Run until the desired state has not changed during the run."""
    for _ in range(_MAX_ROUNDS):
        outcome = await _run_once(provisioning, lease)
        if outcome is not None:
            _log(lease.subscription_id, outcome)
            return outcome
    await break_off(provisioning.pool, lease, None, 0)
    return Outcome(done=False, error="the desired state keeps changing")


def _log(subscription_id: UUID, outcome: Outcome) -> None:
    fields = {"subscriptionId": str(subscription_id)}
    if outcome.done:
        logger.debug("provisioned as desired", extra=fields)
    else:
        logger.warning("not yet as desired: %s", outcome.error, extra=fields)


async def _run_once(provisioning: Provisioning, lease: Lease) -> Outcome | None:
    """Do everything that the subscription needs once; None: the desired state has changed."""
    work = await _read(provisioning.pool, lease)
    if work.to_inspect:
        await adopt_accounts(provisioning.pool, provisioning.drivers, lease, work)
        work = await _read(provisioning.pool, lease)
    if await take_over(provisioning.pool, lease, work):
        work = await _read(provisioning.pool, lease)
    charges_error = await settle_charges(
        provisioning.pool, provisioning.gateway, work, livemode=provisioning.livemode
    )
    desired = desired_services(work.entitlement, provisioning.policy, work.now)
    work = replace(work, suspension=desired.reason or "removed")
    if must_confirm(work, desired):
        return await _confirm(provisioning, lease, work)
    if will_terminate(work, desired):
        outcome = await _close_invoices(provisioning, lease, work)
        if outcome is not NOTHING_TO_DO:
            return outcome
    if desired.phase is Phase.ACTIVE and await returns(provisioning.pool, work, own_domain(work)):
        return None
    is_active = any(service.state == "active" for service in desired.services.values())
    if is_active or (work.adopted_from in {"stripe", "backup"} and work.services):
        tenant = await ensure_tenant(provisioning.pool, work, provisioning.tenant_suffix)
        work = replace(work, tenant_id=tenant[0], tenant_domain=tenant[1])
    services = await _drive_services(provisioning, lease, work, desired)
    return await _finish(provisioning.pool, lease, _Run(work, desired, services, charges_error))


async def _read(pool: Pool, lease: Lease) -> Work:
    async with acquired(pool) as conn:
        work = await runs.get_work(conn, lease)
    if work is None:
        raise LeaseLostError
    return work


async def _confirm(provisioning: Provisioning, lease: Lease, work: Work) -> Outcome | None:
    """Ask Stripe about the debt before it suspends; None: it has answered, so decide again."""
    seconds = provisioning.debtors.put_off()
    if seconds is not None:
        await break_off(provisioning.pool, lease, None, seconds)
        return Outcome(done=False, error="debt not confirmed: other debts come first")
    with provisioning.debtors.asking():
        error = await confirm_debt(provisioning.mirror, provisioning.debt_checks, lease, work)
    if error is None:
        return None
    await break_off(provisioning.pool, lease, None, retry_seconds(lease.attempts))
    return Outcome(done=False, error=f"debt not confirmed: {error}")


async def _close_invoices(provisioning: Provisioning, lease: Lease, work: Work) -> Outcome | None:
    """Close what can still be paid, before a termination; None: the desired state has changed."""
    error = await close_invoices(
        provisioning.mirror,
        provisioning.debt_checks,
        work,
        void=provisioning.policy.void_invoices_at_end,
    )
    if error is not None:
        await break_off(provisioning.pool, lease, error, retry_seconds(lease.attempts))
        return Outcome(done=False, error=error)
    reread = await _read(provisioning.pool, lease)
    return NOTHING_TO_DO if reread.version == work.version else None


async def _drive_services(
    provisioning: Provisioning, lease: Lease, work: Work, desired: Desired
) -> Mapping[str, Service]:
    """Drive each service as far as possible; return the services as they are then."""
    drivers = {
        product_type: provisioning.drivers.choose(product_type).driver.name
        for product_type in desired.services
    }
    services = dict(work.services)
    if desired.services:
        async with acquired(provisioning.pool) as conn:
            services |= await runs.write_desired(conn, lease, desired, drivers)
    dispatcher = Dispatcher(provisioning.pool, provisioning.drivers, lease)
    for service in in_order(services):
        if blocker(service, services) is None and _is_due(service, work):
            provision = _BY_TYPE.get(service.product_type, provision_service)
            services[service.product_type] = await provision(dispatcher, work, service)
    return services


def _is_due(service: Service, work: Work) -> bool:
    if service.stopped is not None:
        return False
    return service.next_attempt_at is None or service.next_attempt_at <= work.now


async def provision_hosting(dispatcher: Dispatcher, work: Work, service: Service) -> Service:
    """Bring the hosting account to its desired state: web space on the tenant's domain.

    The command says how the buyer gets the domain, and which further domains were paid for: the
    hosting service registers or transfers them.
    """
    details = {
        **_owner(work),
        "domain": work.tenant_domain,
        "domainMode": work.tenant_domain_mode,
        "furtherDomains": list(work.further_domains),
    }
    return await _drive(dispatcher, service, details, work)


async def provision_email(dispatcher: Dispatcher, work: Work, service: Service) -> Service:
    """Bring the mail account to its desired state: mailboxes on the tenant's domain."""
    details = {**_owner(work), "mailDomain": work.tenant_domain}
    return await _drive(dispatcher, service, details, work)


async def provision_storage(dispatcher: Dispatcher, work: Work, service: Service) -> Service:
    """Bring the storage account to its desired state; it needs no domain."""
    return await _drive(dispatcher, service, _owner(work), work)


async def provision_service(dispatcher: Dispatcher, work: Work, service: Service) -> Service:
    """Bring any other service to its desired state: an extra on the tenant's domain."""
    details = {"tenantId": str(work.tenant_id), "domain": work.tenant_domain}
    return await _drive(dispatcher, service, details, work)


_BY_TYPE = {
    "hosting": provision_hosting,
    "email": provision_email,
    "storage": provision_storage,
}


def _owner(work: Work) -> dict[str, Any]:
    buyer = work.buyer
    contact = {"email": buyer.email, "name": buyer.name, "company": buyer.company}
    return {"tenantId": str(work.tenant_id), "contact": contact}


async def _drive(
    dispatcher: Dispatcher, service: Service, details: Mapping[str, Any], work: Work
) -> Service:
    """Send commands until the service is as desired, or one fails."""
    for _ in range(_MAX_COMMANDS):
        action = next_action(service)
        if action is None:
            break
        sent = _details_of(action, service, details, work)
        service = await dispatcher.dispatch(service, action, sent)
        if service.last_error is not None:
            break
    return service


def _details_of(
    action: Action, service: Service, details: Mapping[str, Any], work: Work
) -> Mapping[str, Any]:
    match action:
        case "create":
            return {**details, "resources": service.desired_resources}
        case "change":
            return {"resources": service.desired_resources}
        case "suspend":
            return {"reason": work.suspension}
        case _:
            return {}


@dataclass(frozen=True, slots=True)
class _Run:
    """What a run has read and done."""

    work: Work
    desired: Desired
    services: Mapping[str, Service]
    charges_error: str | None

    @property
    def outcome(self) -> Outcome:
        errors = [error for error in (_services_error(self.services), self.charges_error) if error]
        return Outcome(done=not errors, error="; ".join(errors) or None)


async def _finish(pool: Pool, lease: Lease, run: _Run) -> Outcome | None:
    """Store the result of the run; None: the desired state has changed."""
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
    return await runs.finish_work(
        conn,
        lease,
        run.work,
        done=run.outcome.done,
        error=run.outcome.error,
        wake_at=run.desired.wake_at,
        retry_seconds=retry_seconds(run.work.attempts) if run.charges_error else None,
        statuses=statuses_of(run.desired.phase, run.services),
    )


async def _trigger_next(
    conn: Connection, work: Work, attempts: int, wake_seconds: float | None
) -> None:
    """Schedule the next try; what only time changes is found by the sweep."""
    if wake_seconds is not None:
        await enqueue_provisioning_retry(
            conn, work.subscription_id, work.version, attempts, wake_seconds
        )


def statuses_of(phase: Phase, services: Mapping[str, Service]) -> tuple[str, str] | None:
    """Return the new statuses of the subscription and of its tenant; None: unchanged.

    They change once the services are as the phase demands, not before.
    """
    actual = {service.actual for service in services.values()}
    match phase:
        case Phase.ACTIVE:
            wanted = [service for service in services.values() if service.desired == "active"]
            return ("active", "active") if all(service.settled for service in wanted) else None
        case Phase.SUSPENDED if "active" not in actual:
            return "suspended", "suspended"
        case Phase.ENDED if "active" not in actual:
            ended = "suspended" in actual
            return "cancelled", "suspended" if ended else "cancelled"
        case _:
            return None


def _services_error(services: Mapping[str, Service]) -> str | None:
    """Return which services are not as desired, and why."""
    parts = [
        f"{each.product_type}: {each.last_error or 'waiting for ' + str(blocker(each, services))}"
        for each in in_order(services)
        if not each.settled
    ]
    return "; ".join(parts) or None
