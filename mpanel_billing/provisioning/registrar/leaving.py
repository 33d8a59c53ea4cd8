"""Let a domain go to another registrar: its owner gets the auth code for that."""

import time
from uuid import UUID

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.domains.repository import owned
from mpanel_billing.errors import ConflictError, ServiceUnreachableError
from mpanel_billing.provisioning.drivers.registrar import (
    DomainCommand,
    DomainDone,
    DomainRefused,
    DomainResult,
)
from mpanel_billing.provisioning.drivers.registry import Drivers, LimitedRegistrar
from mpanel_billing.provisioning.registrar import repository
from mpanel_billing.provisioning.registrar.registration import Registration


async def fetch_auth_code(pool: Pool, drivers: Drivers, id_: UUID, name: str) -> str | None:
    """Have the registrar unlock a domain, and return its auth code, which is stored nowhere.

    None: the registrar sends it to the owner itself. ConflictError if no registrar's driver has it,
    or the registrar refuses; ServiceUnreachableError.
    """
    limited = drivers.registrar
    if limited is None:
        raise _not_at_registrar()
    driver = limited.registrar.name
    async with acquired(pool) as conn:
        numbered = await owned.number_command(conn, id_, driver)
    if numbered is None:
        raise _not_at_registrar()
    generation, external_ref = numbered
    key = f"{id_}:domain:release:{generation}"
    command = DomainCommand("release", key, id_, name, generation, external_ref)
    result = await _send(pool, limited, command)
    if isinstance(result, DomainDone):
        return result.auth_code
    if isinstance(result, DomainRefused):
        raise ConflictError(f"The registrar refuses: {result.error}", code="registrar_refused")
    raise ServiceUnreachableError(f"The registrar could not be asked: {result.error}")


async def _send(pool: Pool, limited: LimitedRegistrar, command: DomainCommand) -> DomainResult:
    async with limited.limit.slot():
        started = time.monotonic()
        result = await limited.registrar.release(command)
        milliseconds = round((time.monotonic() - started) * 1000)
    asked = Registration(
        command.domain_id, command.domain, "register", "active", limited.registrar.name
    )
    async with acquired(pool) as conn:
        await repository.log_call(conn, asked, command, result, milliseconds)
    return result


def _not_at_registrar() -> ConflictError:
    return ConflictError(
        "No registrar that is configured here has this domain now.", code="not_at_registrar"
    )
