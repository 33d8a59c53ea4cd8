"""Take over a name that is in the host's account at the registrar already."""

from dataclasses import dataclass
from uuid import UUID, uuid4

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.database.pool import Pool, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.domains.names import DomainName
from mpanel_billing.domains.repository import owned
from mpanel_billing.domains.repository.names import domain_row, list_taken, lock_names
from mpanel_billing.domains.repository.owned import AtRegistrar
from mpanel_billing.errors import ConflictError, ServiceUnreachableError
from mpanel_billing.provisioning.drivers.protocol import Unknown
from mpanel_billing.provisioning.drivers.registrar import RegisteredName
from mpanel_billing.provisioning.drivers.registry import Drivers


@dataclass(frozen=True, slots=True)
class Adoption:
    """Whose a name is, and which of their subscriptions has it; None: it is kept without one."""

    name: DomainName
    customer_id: UUID
    subscription_id: UUID | None = None


async def adopt(pool: Pool, drivers: Drivers, by: Actor, wanted: Adoption) -> AtRegistrar:
    """Take a name over as the registrar reports it; no further year is charged until agreed.

    ConflictError if the registrar does not have it, or it is another customer's;
    ServiceUnreachableError.
    """
    found = await _inspect(drivers, wanted.name)
    async with transaction(pool) as conn:
        await lock_names(conn, [wanted.name])
        id_ = await _take_in(conn, wanted, found)
        details = {
            "domain": wanted.name.ascii,
            "customer": str(wanted.customer_id),
            "expiresAt": found.expires_at.isoformat(),
        }
        await audit.record(conn, by, "domain.adopt", Target("domain", str(id_)), details)
    return found


async def _inspect(drivers: Drivers, name: DomainName) -> AtRegistrar:
    limited = drivers.registrar
    if limited is None:
        raise ConflictError("No registrar's driver is configured: PROVISIONING_SERVICES.domain.")
    async with limited.limit.slot():
        found = await limited.registrar.inspect(RegisteredName(uuid4(), name.ascii, None))
    if isinstance(found, Unknown):
        raise ServiceUnreachableError(f"The registrar could not be asked: {found.reason}")
    if found.status not in {"active", "expired"} or found.expires_at is None:
        raise ConflictError(f"The registrar does not have {name.unicode}: it is {found.status}.")
    return AtRegistrar(
        limited.registrar.name, found.external_ref, found.registered_at, found.expires_at
    )


async def _take_in(conn: Connection, wanted: Adoption, found: AtRegistrar) -> UUID:
    live = await owned.find_live(conn, wanted.name)
    if live is not None:
        await _require_untouched(conn, wanted, live)
        await owned.take_in(conn, live, found)
        return live
    if await list_taken(conn, [wanted.name], vouched_customer=wanted.customer_id):
        raise ConflictError(
            f"{wanted.name.unicode} is another customer's, or one under or above it is."
        )
    row = domain_row(wanted.name, "register")
    made = await owned.adopt_domain(conn, row, wanted.customer_id, wanted.subscription_id, found)
    if made is None:
        raise ConflictError("There is no such customer, or the subscription is not theirs.")
    return made


async def _require_untouched(conn: Connection, wanted: Adoption, live: UUID) -> None:
    owner = await owned.get_owner(conn, live)
    if owner.customer_id != wanted.customer_id:
        raise ConflictError(f"{wanted.name.unicode} is customer {owner.customer_id}'s.")
    if owner.driver is not None:
        raise ConflictError(f"The driver {owner.driver} manages {wanted.name.unicode} already.")
