"""Another name in place of one that could not be had: one that its customer has already.

Nothing is charged for it, and nothing is ordered at a registrar.
"""

from uuid import UUID

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.database.pool import Pool, transaction
from mpanel_billing.domains.names import DomainName
from mpanel_billing.domains.repository import names
from mpanel_billing.domains.reserved import ReservedNames
from mpanel_billing.errors import ConflictError, InvalidRequestError
from mpanel_billing.jobs.queue import enqueue_provisioning
from mpanel_billing.provisioning.repository import operations


async def replace_lost(
    pool: Pool,
    reserved: ReservedNames,
    subscription_id: UUID,
    lost: DomainName,
    name: DomainName,
    *,
    mode: names.OwnMode,
    by: Actor,
) -> None:
    """Have a tenant get `name`, which its customer has, in place of one that could not be had.

    Their proof that it is theirs is asked for as with an order. InvalidRequestError for a reserved
    name; ConflictError if somebody has it, or one under, above or like it, or there is nothing to
    replace.
    """
    if reserved.reserve(name):
        raise InvalidRequestError(f"Nobody can order {name.unicode}.", code="domain_reserved")
    async with transaction(pool) as conn:
        await names.lock_names(conn, [name])
        if await names.list_taken(
            conn, [name], vouched_customer=None, subscription_id=subscription_id
        ):
            raise ConflictError(f"{name.unicode} is not available.", code="domain_taken")
        if not await names.order_instead(conn, subscription_id, lost, name, mode):
            raise ConflictError(
                f"{lost.unicode} is not the tenant's own name, could be had, or the subscription"
                f" has ended; or {name.unicode} was ordered with it already (see `domains show`).",
                code="nothing_to_replace",
            )
        version = await operations.renew_work(conn, subscription_id)
        if version is not None:
            await enqueue_provisioning(conn, [(subscription_id, version)])
        target = Target("subscription", str(subscription_id))
        details = {"lost": lost.ascii, "domain": name.ascii, "mode": mode}
        await audit.record(conn, by, "domain.replace", target, details)
