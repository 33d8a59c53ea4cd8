"""The worker's jobs about proofs, further years and replaced names of domains."""

from pgqueuer import PgQueuer
from pgqueuer.models import Schedule

from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning.lease import Clock
from mpanel_billing.provisioning.proofs import ProofChecks, check_due
from mpanel_billing.settings import Settings
from mpanel_billing.subscriptions.domain_renewals import (
    RenewalRules,
    renew_domains,
    tell_of_renewals,
)
from mpanel_billing.subscriptions.replaced_domains import tell_stripe

_EVERY_MINUTE = "* * * * *"


def renewal_rules_of(settings: Settings) -> RenewalRules:
    """Return the host's rules about further years of domains."""
    return RenewalRules(
        days=settings.domain_renewal_days, outlives_plan=settings.domains_after_end == "renew"
    )


def schedule_renewals(queue: PgQueuer, mirror: Mirror, rules: RenewalRules, clock: Clock) -> None:
    """Charge domains, tell customers of those that expire, and Stripe of names that were chosen."""

    @queue.schedule("domain_renewals", _EVERY_MINUTE)
    async def renew(_: Schedule) -> None:
        await renew_domains(mirror, rules, clock())

    @queue.schedule("domains_expiring", "17 * * * *")
    async def tell(_: Schedule) -> None:
        await tell_of_renewals(mirror, clock())

    @queue.schedule("replaced_domains", _EVERY_MINUTE)
    async def tell_of_replaced(_: Schedule) -> None:
        await tell_stripe(mirror)


def schedule_proofs(queue: PgQueuer, checks: ProofChecks) -> None:
    """Look every minute whether buyers have proven that their domains are theirs."""

    @queue.schedule("domain_proofs", _EVERY_MINUTE)
    async def check(_: Schedule) -> None:
        await check_due(checks)
