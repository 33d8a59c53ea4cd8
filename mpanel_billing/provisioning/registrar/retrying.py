"""Have the worker look at a domain again, at an operator's request."""

from uuid import UUID

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.database.pool import Pool, transaction
from mpanel_billing.domains.names import DomainName
from mpanel_billing.domains.repository.names import retry_refund
from mpanel_billing.errors import ConflictError
from mpanel_billing.provisioning.registrar import repository


async def retry_domain(pool: Pool, name: DomainName, by: Actor, only: UUID | None = None) -> None:
    """Have the worker look at a name now, and send again what was refused.

    By its registrar; or by Stripe, if it could not be obtained and its price is to be refunded.
    `only`: the row that it is about, of several that have had the name. ConflictError if there is
    neither.
    """
    async with transaction(pool) as conn:
        id_ = await repository.look_again(conn, name, only) or await retry_refund(conn, name, only)
        if id_ is None:
            raise ConflictError(
                f"No registrar manages {name.unicode}, and no refund of it has failed (see"
                " `domains show`)."
            )
        target, details = Target("domain", str(id_)), {"domain": name.ascii}
        await audit.record(conn, by, "domain.retry", target, details)
