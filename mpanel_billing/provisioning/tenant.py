"""The tenant of a subscription: exactly one, with a domain that no other tenant has."""

import logging
import re
import unicodedata
from uuid import UUID, uuid5

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError
from mpanel_billing.provisioning.lease import Lease
from mpanel_billing.provisioning.repository import runs, takeovers
from mpanel_billing.provisioning.takeover import may_take_over
from mpanel_billing.provisioning.work import Buyer, Work

logger = logging.getLogger(__name__)

_LONGEST_NAME = 255
_LONGEST_SLUG = 30


async def ensure_tenant(
    pool: Pool, lease: Lease, work: Work, suffix: str
) -> tuple[UUID, str | None]:
    """Create the subscription's tenant unless it has one; return its id and domain.

    It gets the ordered domain. If none was ordered, its buyer has still to prove that it is theirs,
    or another tenant has it, it gets a name under `suffix`; a taken domain is also recorded as
    trouble for an operator to settle. Once the domain is proven, or another one is chosen in its
    place, the tenant is renamed.
    """
    if work.tenant_id is None:
        async with acquired(pool) as conn:
            return await _make_tenant(conn, work, suffix)
    if not _is_to_be_renamed(work):
        return work.tenant_id, work.tenant_domain
    async with acquired(pool) as conn:
        renamed = await runs.rename_tenant(conn, lease, str(work.gained_domain))
    if renamed is None:
        raise ConflictError(f"Another tenant has {work.gained_domain}, or the lease is lost.")
    return work.tenant_id, renamed


def _is_to_be_renamed(work: Work) -> bool:
    """Whether the tenant has to get another name; once its services know it, no more."""
    name = work.gained_domain
    if name is None or name == work.tenant_domain:
        return False
    return all(name not in service.ordered_domains for service in work.services.values())


async def _make_tenant(conn: Connection, work: Work, suffix: str) -> tuple[UUID, str]:
    id_, name = tenant_id(work.subscription_id), tenant_name(work.buyer)
    for domain in (work.own_domain, *fallback_domains(work.buyer, work.subscription_id, suffix)):
        if domain is None:
            continue
        trouble = await _trouble_of(conn, work, domain)
        made = await runs.make_tenant(conn, work, id_, name=name, domain=domain, trouble=trouble)
        if made is not None:
            _report(work, trouble)
            return made
        if (there := await runs.adopt_tenant(conn, work, id_)) is not None:
            return there  # made by a run before or after this one
    raise ConflictError("All candidate names for the tenant are taken.")


async def _trouble_of(conn: Connection, work: Work, domain: str) -> str | None:
    ordered = work.ordered_domain
    if ordered is None or domain == ordered or work.unproven_domain is not None:
        return None
    ended = await takeovers.find_ended_tenant(conn, work.subscription_id, domain=ordered)
    if ended is not None and may_take_over(ended):
        return (
            f"The ordered domain {ordered} belongs to an ended tenant of the same customer,"
            f" but nobody has vouched for the order; the tenant was created as {domain}. To give it"
            " the accounts of the ended one: mpanel-billing provision adopt"
            f" {work.stripe_subscription_id} --tenant {ended['tenant_id']}"
        )
    return (
        f"The ordered domain {ordered} belongs to another tenant, or one under or above it does, or"
        f" it is invalid; the tenant was created as {domain}."
    )


def _report(work: Work, trouble: str | None) -> None:
    if trouble is not None:
        logger.warning(
            "the ordered domain is not available",
            extra={"subscriptionId": str(work.subscription_id), "domain": work.ordered_domain},
        )


def tenant_id(subscription_id: UUID) -> UUID:
    """Return the id of a subscription's tenant.

    Derived, so that a tenant that was lost with a backup comes back under its own id, which the
    services know.
    """
    return uuid5(subscription_id, "tenant")


def tenant_name(buyer: Buyer) -> str:
    """Return the tenant's display name: the company's, else the buyer's."""
    return (buyer.company or buyer.name or "New customer").strip()[:_LONGEST_NAME]


def fallback_domains(buyer: Buyer, subscription_id: UUID, suffix: str) -> tuple[str, str]:
    """Return two names under `suffix`: a readable one, and a unique one."""
    readable = _slug(buyer.company or buyer.name or "")
    return (
        f"{readable}-{subscription_id.hex[:8]}.{suffix}",
        f"tenant-{subscription_id.hex}.{suffix}",
    )


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain)[:_LONGEST_SLUG].strip("-") or "tenant"
