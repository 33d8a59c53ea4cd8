"""Bring a subscription's tenant and services to their desired state; retry until done (rule 8)."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from uuid import UUID

from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.domains.proof import ProofRules
from mpanel_billing.encryption import Vault
from mpanel_billing.errors import BillingError, DatabaseUnavailableError
from mpanel_billing.jobs.backoff import retry_seconds
from mpanel_billing.jobs.queue import enqueue_domains
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning.adoption import adopt_accounts
from mpanel_billing.provisioning.after_end import close_invoices, will_terminate
from mpanel_billing.provisioning.claims import claim_domains, close_rival_pages
from mpanel_billing.provisioning.debt import confirm_debt, must_confirm
from mpanel_billing.provisioning.desired import Desired, Phase, Policy, desired_services
from mpanel_billing.provisioning.dispatch import Dispatcher
from mpanel_billing.provisioning.drivers.registry import Drivers
from mpanel_billing.provisioning.finishing import NOTHING_TO_DO, Outcome, Run, finish_run
from mpanel_billing.provisioning.lease import Clock, Lease, LeaseLostError, database_clock
from mpanel_billing.provisioning.leasing import break_off, kept, take_lease
from mpanel_billing.provisioning.moving import carry_moves
from mpanel_billing.provisioning.registrar.repository import list_due_of
from mpanel_billing.provisioning.repository import runs
from mpanel_billing.provisioning.service_state import Service, in_order
from mpanel_billing.provisioning.services import WITHOUT_DOMAIN, is_due, provision
from mpanel_billing.provisioning.stripe_turns import StripeTurns
from mpanel_billing.provisioning.takeover import returns, take_over
from mpanel_billing.provisioning.tenant import ensure_tenant
from mpanel_billing.provisioning.trial_charges import settle_charges
from mpanel_billing.provisioning.trials import CheckedTrial, TrialRules, check_trial
from mpanel_billing.provisioning.work import Work
from mpanel_billing.stripe_gateway.gateway import StripeGateway

logger = logging.getLogger(__name__)

_MAX_ROUNDS = 10
"""How often a run starts over because the desired state changed, before it leaves the rest."""


@dataclass(frozen=True, slots=True)
class Provisioning:
    """What provisioning needs: the database, Stripe, the drivers, and the policy.

    `tenant_suffix` is the zone for tenants without a domain of their own, `livemode` the mode of
    the Stripe key. `trials` recognise a second trial; None: nothing is recognised. `proof_rules`:
    how buyers prove that a domain is theirs; None: they need not. The `vault` keeps access data.
    """

    pool: Pool
    gateway: StripeGateway
    drivers: Drivers
    policy: Policy
    tenant_suffix: str
    livemode: bool
    trials: TrialRules | None = None
    proof_rules: ProofRules | None = None
    vault: Vault = field(default_factory=lambda: Vault(()))
    clock: Clock = database_clock
    stripe_turns: StripeTurns = field(default_factory=StripeTurns)

    @property
    def mirror(self) -> Mirror:
        """The mirror of what Stripe says."""
        return Mirror(self.pool, self.gateway, self.livemode)


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
    work = await _read(provisioning, lease)
    if work.to_inspect:
        await adopt_accounts(provisioning.pool, provisioning.drivers, lease, work)
        work = await _read(provisioning, lease)
    if await take_over(provisioning.pool, lease, work):
        work = await _read(provisioning, lease)
    trial = await _check_trial(provisioning, work)
    if trial.ended:
        return None
    charges_error = trial.error or await settle_charges(
        provisioning.pool, provisioning.gateway, work, livemode=provisioning.livemode
    )
    desired = desired_services(work.entitlement, provisioning.policy, work.now)
    work = replace(work, suspension=desired.reason or "removed")
    outcome = await _ask_stripe(provisioning, lease, work, desired)
    if outcome is not NOTHING_TO_DO:
        return outcome
    if desired.phase is Phase.ACTIVE and await _get_names(provisioning, lease, work):
        return None
    is_active = any(service.state == "active" for service in desired.services.values())
    if is_active or (work.adopted_from in {"stripe", "backup"} and work.services):
        tenant = await ensure_tenant(provisioning.pool, lease, work, provisioning.tenant_suffix)
        work = replace(work, tenant_id=tenant[0], tenant_domain=tenant[1])
    services, move_errors = await _drive_services(provisioning, lease, work, desired)
    pages_error = await close_rival_pages(provisioning.mirror, work)
    errors = tuple(each for each in (charges_error, pages_error, *move_errors) if each is not None)
    return await finish_run(provisioning.pool, lease, Run(work, desired, services, errors))


async def _get_names(provisioning: Provisioning, lease: Lease, work: Work) -> bool:
    """Give the subscription the names that were ordered; False if that is decided already.

    A customer who comes back gets them with the tenant that they had.
    """
    pool, rules = provisioning.pool, provisioning.proof_rules
    return await returns(pool, work) or await claim_domains(pool, lease, work, rules)


async def _read(provisioning: Provisioning, lease: Lease) -> Work:
    async with acquired(provisioning.pool) as conn:
        work = await runs.get_work(conn, lease)
    if work is None:
        raise LeaseLostError
    return replace(work, has_registrar=provisioning.drivers.registrar is not None)


async def _check_trial(provisioning: Provisioning, work: Work) -> CheckedTrial:
    if provisioning.trials is None:
        return CheckedTrial()
    pace = provisioning.stripe_turns.pace
    return await check_trial(provisioning.mirror, pace, provisioning.trials, work)


async def _ask_stripe(
    provisioning: Provisioning, lease: Lease, work: Work, desired: Desired
) -> Outcome | None:
    """Ask Stripe what has to be certain before services are suspended or terminated.

    NOTHING_TO_DO: there is nothing left to ask. None: the desired state may have changed.
    """
    if must_confirm(work, desired):
        ask = _confirm
    elif will_terminate(work, desired):
        ask = _close_invoices
    else:
        return NOTHING_TO_DO
    seconds = provisioning.stripe_turns.put_off()
    if seconds is not None:
        await break_off(provisioning.pool, lease, None, seconds)
        return Outcome(done=False, error="Stripe is being asked about other subscriptions first")
    with provisioning.stripe_turns.asking():
        return await ask(provisioning, lease, work)


async def _confirm(provisioning: Provisioning, lease: Lease, work: Work) -> Outcome | None:
    """Confirm the debt that is to suspend; None: Stripe has answered, so decide again."""
    pace = provisioning.stripe_turns.pace
    error = await confirm_debt(provisioning.mirror, pace, lease, work)
    if error is None:
        return None
    await break_off(provisioning.pool, lease, None, retry_seconds(lease.attempts))
    return Outcome(done=False, error=f"debt not confirmed: {error}")


async def _close_invoices(provisioning: Provisioning, lease: Lease, work: Work) -> Outcome | None:
    """Close what can still be paid, before a termination; None: the desired state has changed."""
    error = await close_invoices(
        provisioning.mirror,
        provisioning.stripe_turns.pace,
        work,
        void=provisioning.policy.void_invoices_at_end,
    )
    if error is not None:
        await break_off(provisioning.pool, lease, error, retry_seconds(lease.attempts))
        return Outcome(done=False, error=error)
    reread = await _read(provisioning, lease)
    return NOTHING_TO_DO if reread.version == work.version else None


async def _drive_services(
    provisioning: Provisioning, lease: Lease, work: Work, desired: Desired
) -> tuple[Mapping[str, Service], tuple[str, ...]]:
    """Drive each service as far as possible.

    Returns the services as they are then, and which of their moves have to be tried again.
    """
    drivers = {
        product_type: provisioning.drivers.choose(product_type).driver.name
        for product_type in desired.services
    }
    services = dict(work.services)
    if desired.services:
        services |= await _write_desired(provisioning, lease, work, desired, drivers)
    pool, known = provisioning.pool, provisioning.drivers
    carried, move_errors = await carry_moves(pool, known, lease, work, services)
    services = dict(carried)
    dispatcher = Dispatcher(pool, known, lease, provisioning.vault)
    for service in in_order(services):
        if is_due(service, work):
            services[service.product_type] = await provision(dispatcher, work, service, services)
    return services, move_errors


async def _write_desired(
    provisioning: Provisioning,
    lease: Lease,
    work: Work,
    desired: Desired,
    drivers: Mapping[str, str],
) -> Mapping[str, Service]:
    """Store what each service should be; have the registrar called for domains that are paid."""
    registrar = provisioning.drivers.registrar
    names = work.registrar_domains if registrar else ()
    names = work.paid_for(names, is_order_paid=desired.orders_domains)
    async with transaction(provisioning.pool) as conn:
        services = await runs.write_desired(
            conn,
            lease,
            desired,
            drivers,
            _domains_of(work, desired),
            registrar=registrar.registrar.name if registrar else None,
            registrar_domains=names,
        )
        if names:
            due = await list_due_of(conn, work.subscription_id, lease.clock())
            await enqueue_domains(conn, due)
    return services


def _domains_of(work: Work, desired: Desired) -> Mapping[str, Sequence[str]]:
    """Return what each service should have been told of domains.

    Hosting: what it has to order. All: the name that the tenant has got since it was made.
    """
    gained = () if work.gained_domain is None else (work.gained_domain,)
    ordered = work.paid_for(work.hosting_domains, is_order_paid=desired.orders_domains)
    return {
        product_type: tuple(
            dict.fromkeys((*gained, *(ordered if product_type == "hosting" else ())))
        )
        for product_type in desired.services
        if product_type not in WITHOUT_DOMAIN
    }
