"""Access data that services return when they have made an account: kept, and handed out once.

It is encrypted at rest, and is in no event, log, audit entry or public response.
"""

import json
import logging
from dataclasses import asdict
from uuid import UUID

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.encryption import Vault
from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.provisioning.drivers.protocol import AccessData, Done, DriverCommand, Result
from mpanel_billing.provisioning.lease import Lease
from mpanel_billing.provisioning.repository import access_data as repository

logger = logging.getLogger(__name__)


async def keep_access_data(
    pool: Pool, vault: Vault, lease: Lease, command: DriverCommand, result: Result
) -> None:
    """Keep what the service returned for a create; without ENCRYPTION_KEYS it is dropped."""
    if not isinstance(result, Done) or result.access is None or command.action != "create":
        return
    if not vault.has_keys:
        fields = {"subscriptionId": str(lease.subscription_id), "productType": command.product_type}
        logger.warning("access data is not kept: ENCRYPTION_KEYS is missing", extra=fields)
        return
    sealed = vault.encrypt(json.dumps(asdict(result.access)))
    async with acquired(pool) as conn:
        await repository.keep(conn, lease, command.product_type, command.generation, sealed)


async def hand_out(
    conn: Connection, vault: Vault, subscription_id: UUID, product_type: str, by: Actor
) -> AccessData:
    """Return the access data of an account, once; in the caller's transaction.

    NotFoundError if there is none (any more), ConflictError if its key is gone.
    """
    sealed = await repository.hand_out(conn, subscription_id, product_type, by.name)
    if sealed is None:
        raise NotFoundError(
            f"There is no access data for {product_type}: the service returned none, it was"
            " handed out before, or it was too old.",
            code="no_access_data",
        )
    text = vault.decrypt(sealed) if vault.has_keys else None
    if text is None:
        raise ConflictError(
            "The access data was encrypted under a key that ENCRYPTION_KEYS does not have any more:"
            " put the key back, or have the service make new ones.",
            code="unreadable",
        )
    target = Target("subscription", str(subscription_id))
    await audit.record(conn, by, "subscription.access_data", target, {"service": product_type})
    return AccessData(**json.loads(text))
