"""Hand out the access data of a customer's new account."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.encryption import Vault
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning import access_data
from mpanel_billing.provisioning.drivers.protocol import AccessData
from mpanel_billing.provisioning.repository import access_data as repository
from mpanel_billing.subscriptions.lookup import CustomerRef, require_subscription


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """Whose access data is wanted, and by whom."""

    by: Actor
    subscription_id: UUID
    product_type: str
    named: CustomerRef


async def list_kept(pool: Pool, subscription_id: UUID) -> Sequence[str]:
    """Return the product types whose access data waits to be handed out."""
    async with acquired(pool) as conn:
        return await repository.list_kept(conn, subscription_id)


async def hand_out(mirror: Mirror, vault: Vault, request: AccessRequest) -> AccessData:
    """Return the access data, once. NotFoundError, ConflictError."""
    async with transaction(mirror.pool) as conn:
        held = await require_subscription(conn, mirror, request.subscription_id, request.named)
        return await access_data.hand_out(conn, vault, held.id, request.product_type, request.by)
