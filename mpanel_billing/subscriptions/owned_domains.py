"""What customers and operators do about the domains that customers have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.database.pool import acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.domains.repository import owned
from mpanel_billing.domains.repository.owned import OrderedYear, OwnedDomain
from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.jobs.queue import enqueue_domains
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning.drivers.registry import Drivers
from mpanel_billing.provisioning.registrar.leaving import fetch_auth_code
from mpanel_billing.provisioning.registrar.repository import order_renewal
from mpanel_billing.subscriptions.lookup import (
    CustomerRef,
    may_reach,
    require_customer,
    require_subscription,
)
from mpanel_billing.subscriptions.paging import Span

LATE_DAYS = 7
"""How long after the day of expiry a requested year is given up if it is not paid."""

_RENEWABLE = frozenset({"active", "renewing", "expired"})
_OVER = frozenset({"released", "failed", "transferred_out"})


@dataclass(frozen=True, slots=True)
class DomainRequest:
    """Who asks for something about which domain."""

    by: Actor
    id: UUID
    named: CustomerRef


async def list_domains(
    mirror: Mirror, named: CustomerRef, subscription_id: UUID | None, span: Span
) -> Sequence[OwnedDomain]:
    """Return a customer's domains, newest first, or those of a subscription, which are few.

    NotFoundError for an unknown customer or subscription.
    """
    before = (span.after.at, span.after.id) if span.after else None
    async with acquired(mirror.pool) as conn:
        if subscription_id is not None:
            held = await require_subscription(conn, mirror, subscription_id, named)
            ids = await owned.list_of_subscription(conn, held.id)
        else:
            customer_id = await require_customer(conn, named)
            ids = await owned.list_of_customer(conn, customer_id, before, span.most)
        return await owned.list_domains(conn, ids, livemode=mirror.livemode)


async def get_domain(mirror: Mirror, id_: UUID, named: CustomerRef) -> OwnedDomain:
    """Return a domain; NotFoundError if it is unknown, or another customer's."""
    async with acquired(mirror.pool) as conn:
        return await require_domain(conn, mirror, id_, named)


async def require_domain(
    conn: Connection, mirror: Mirror, id_: UUID, named: CustomerRef
) -> OwnedDomain:
    """Return a domain; NotFoundError if it is unknown, or another customer's."""
    found = await owned.list_domains(conn, [id_], livemode=mirror.livemode)
    if not found or not await may_reach(conn, named, found[0].customer_id):
        raise NotFoundError("Domain not found.", code="unknown_domain")
    return found[0]


async def _lock(conn: Connection, mirror: Mirror, request: DomainRequest) -> OwnedDomain:
    await owned.lock_domain(conn, request.id)
    return await require_domain(conn, mirror, request.id, request.named)


async def set_auto_renew(
    mirror: Mirror, request: DomainRequest, *, on: bool, price: int | None = None
) -> OwnedDomain:
    """Have further years charged, or not; what is not paid yet is taken back then.

    `price`: what the customer was shown; ConflictError if a year costs something else, or the
    domain cannot be renewed. NotFoundError.
    """
    now = datetime.now(UTC)
    async with transaction(mirror.pool) as conn:
        domain = await _lock(conn, mirror, request)
        if on:
            currency, amount = _price_of(domain, price, now)
            await owned.renew_yearly(conn, domain.id, currency, amount)
        else:
            await owned.renew_no_more(conn, domain.id, now)
        details = {"domain": domain.name, "autoRenew": on}
        await _record(conn, request, "domain.auto_renew", details)
        return await require_domain(conn, mirror, request.id, request.named)


async def order_year(
    mirror: Mirror, request: DomainRequest, *, price: int | None = None
) -> OwnedDomain:
    """Have the year that follows charged now; the worker charges and renews.

    ConflictError if it is charged already, or costs something else than `price`; NotFoundError.
    """
    now = datetime.now(UTC)
    async with transaction(mirror.pool) as conn:
        domain = await _lock(conn, mirror, request)
        currency, amount = _price_of(domain, price, now)
        pay_by = max(domain.expires_at or now, now) + timedelta(days=LATE_DAYS)
        year = OrderedYear(amount, currency, pay_by)
        ordered = await owned.order_year(conn, domain.id, year, now, livemode=mirror.livemode)
        if not ordered:
            raise ConflictError(
                "The year that follows is being charged or renewed already.",
                code="renewal_in_progress",
            )
        await _record(conn, request, "domain.renew", {"domain": domain.name, "amount": amount})
        return await require_domain(conn, mirror, request.id, request.named)


async def renew_paid(mirror: Mirror, request: DomainRequest, *, until: datetime) -> OwnedDomain:
    """Have a domain renewed that its customer has paid for by hand until then.

    ConflictError if it cannot be renewed, is paid for as long already, or is being charged: nobody
    pays twice. NotFoundError.
    """
    async with transaction(mirror.pool) as conn:
        domain = await _lock(conn, mirror, request)
        if await owned.is_being_charged(conn, domain.id):
            raise ConflictError(
                "A further year of it is being charged: mark that invoice as paid, or take it back"
                " first (`domains auto-renew NAME --off`).",
                code="renewal_in_progress",
            )
        due = await order_renewal(conn, domain.id, until)
        if due is None:
            raise ConflictError(
                f"{domain.name} cannot be renewed: no registrar manages it, it is not registered,"
                " or it is paid for as long already (see `domains show`).",
                code="not_renewable",
            )
        await enqueue_domains(conn, [(domain.id, due)])
        details = {"domain": domain.name, "paidUntil": until.date().isoformat()}
        await _record(conn, request, "domain.renew", details)
        return await require_domain(conn, mirror, request.id, request.named)


def price_of_year(domain: OwnedDomain) -> int:
    """Return what the year that follows costs now; ConflictError if none can be had."""
    _, amount = _price_of(domain, None, datetime.now(UTC))
    return amount


def _price_of(domain: OwnedDomain, price: int | None, now: datetime) -> tuple[str, int]:
    """Return the currency and what a year costs; ConflictError if it does not cost `price`."""
    if domain.driver is None or domain.expires_at is None or domain.state not in _RENEWABLE:
        raise ConflictError(
            "This domain cannot be renewed here: no registrar's driver has it, or it is"
            f" {domain.state}.",
            code="not_renewable",
        )
    amount = domain.price_at(now)
    if amount is None or domain.currency is None:
        raise ConflictError("Further years of this domain are not sold.", code="not_renewable")
    if price is not None and price != amount:
        raise ConflictError(
            "A further year has another price now.",
            code="price_changed",
            fields={"renewalPrice": f"is {amount} {domain.currency}"},
        )
    return domain.currency, amount


async def get_auth_code(
    mirror: Mirror, drivers: Drivers, request: DomainRequest
) -> tuple[OwnedDomain, str | None]:
    """Have the registrar unlock a domain, and return its auth code; None: it goes to the owner.

    ConflictError, NotFoundError, ServiceUnreachableError as `fetch_auth_code`.
    """
    domain = await get_domain(mirror, request.id, request.named)
    target, details = Target("domain", str(domain.id)), {"domain": domain.name}
    async with audit.attempt(mirror.pool, request.by, "domain.transfer_out", target, details):
        code = await fetch_auth_code(mirror.pool, drivers, domain.id, domain.name)
    return domain, code


async def release(mirror: Mirror, request: DomainRequest) -> OwnedDomain:
    """Let others have a name that a customer has kept after the end; ConflictError, NotFoundError.

    Nothing of it is charged any more.
    """
    async with transaction(mirror.pool) as conn:
        domain = await _lock(conn, mirror, request)
        await owned.renew_no_more(conn, domain.id, datetime.now(UTC))
        if not await owned.release_domain(conn, domain.id):
            raise ConflictError(
                "A tenant has this domain, or nobody has it any more.", code="domain_in_use"
            )
        await _record(conn, request, "domain.release", {"domain": domain.name})
        return await require_domain(conn, mirror, request.id, request.named)


async def move(mirror: Mirror, request: DomainRequest, subscription_id: UUID) -> OwnedDomain:
    """Give a domain to the tenant of another subscription of its customer.

    ConflictError for one that a tenant is known by, for another customer's subscription, or one
    that has ended; NotFoundError.
    """
    async with transaction(mirror.pool) as conn:
        domain = await _lock(conn, mirror, request)
        await require_subscription(conn, mirror, subscription_id, request.named)
        if domain.subscription_id == subscription_id:
            return domain
        if domain.state in _OVER or not await owned.move_domain(conn, domain.id, subscription_id):
            raise ConflictError(
                "This domain cannot be moved there: its tenant is known by it, or the subscription"
                " is another customer's or has ended.",
                code="domain_not_movable",
            )
        details = {"domain": domain.name, "subscription": str(subscription_id)}
        await _record(conn, request, "domain.move", details)
        return await require_domain(conn, mirror, request.id, request.named)


async def _record(
    conn: Connection, request: DomainRequest, action: str, details: Mapping[str, object]
) -> None:
    await audit.record(conn, request.by, action, Target("domain", str(request.id)), details)
