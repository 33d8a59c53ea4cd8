"""The tenant of a subscription: one, with a domain that nobody else has."""

import logging
import re
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError
from mpanel_billing.mirror.repository import lock_objects
from mpanel_billing.provisioning import repository
from mpanel_billing.provisioning.work import Buyer, Work

logger = logging.getLogger(__name__)

_LONGEST_NAME = 255
_LONGEST_DOMAIN = 253
_LONGEST_SLUG = 30
_DOMAIN = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))+")


async def ensure_tenant(pool: Pool, work: Work, suffix: str) -> tuple[UUID, str | None]:
    """Make the subscription's tenant unless it has one; answer its id and domain.

    It gets the ordered domain, or a name under `suffix` where none was ordered or somebody has
    it already: then that is kept as trouble for a person to settle (nobody is a second owner).
    """
    if work.tenant_id is not None:
        tenant: tuple[UUID, str | None] = (work.tenant_id, work.tenant_domain)
    else:
        async with locked_subscription(pool, work) as conn:
            tenant = await repository.get_tenant(conn, work.subscription_id) or await _make_tenant(
                conn, work, suffix
            )
            await repository.link_tenant(conn, work.subscription_id, tenant[0])
    # not under the lock: the mirror may have an invoice in hand while it waits for that
    async with acquired(pool) as conn:
        await repository.link_invoices(conn, work.subscription_id, tenant[0])
    return tenant


@asynccontextmanager
async def locked_subscription(pool: Pool, work: Work) -> AsyncIterator[Connection]:
    """Open a transaction in which the mirror leaves the subscription's row alone.

    The mirror derives the row's columns from what it has read under this lock: whoever writes
    the row without it may see it overwritten with what was before.
    """
    async with transaction(pool) as conn:
        await lock_objects(conn, [f"sub:{work.stripe_subscription_id}"])
        yield conn


async def _make_tenant(conn: Connection, work: Work, suffix: str) -> tuple[UUID, str]:
    name = tenant_name(work.buyer)
    wanted = own_domain(work)
    for domain in (wanted, *fallback_domains(work.buyer, work.subscription_id, suffix)):
        if domain is None:
            continue
        tenant = await repository.insert_tenant(conn, work.subscription_id, name, domain)
        if tenant is not None:
            await _note_domain(conn, work, tenant[1])
            return tenant
    raise ConflictError("Every name that the tenant could have is taken.")


async def _note_domain(conn: Connection, work: Work, domain: str) -> None:
    if work.own_domain is None or domain == work.own_domain:
        return
    trouble = (
        f"The ordered domain {work.own_domain} is another tenant's, or no domain;"
        f" the tenant was made as {domain}."
    )
    logger.warning(
        "the ordered domain cannot be had",
        extra={"subscriptionId": str(work.subscription_id), "domain": work.own_domain},
    )
    await repository.note_trouble(conn, work.subscription_id, trouble)


def own_domain(work: Work) -> str | None:
    """Return the ordered domain if it can be a tenant's; it was checked when it was ordered."""
    domain = work.own_domain
    if domain is None or len(domain) > _LONGEST_DOMAIN or not _DOMAIN.fullmatch(domain):
        return None
    return domain


def tenant_name(buyer: Buyer) -> str:
    """Name the tenant for people: after the company, else the buyer."""
    return (buyer.company or buyer.name or "New customer").strip()[:_LONGEST_NAME]


def fallback_domains(buyer: Buyer, subscription_id: UUID, suffix: str) -> tuple[str, str]:
    """Return two names under `suffix`: one that people can read, and one that nobody has."""
    readable = _slug(buyer.company or buyer.name or "")
    return (
        f"{readable}-{subscription_id.hex[:8]}.{suffix}",
        f"tenant-{subscription_id.hex}.{suffix}",
    )


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain)[:_LONGEST_SLUG].strip("-") or "tenant"
