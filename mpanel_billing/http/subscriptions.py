"""The subscription in the address of an operator's route, by either id."""

from uuid import UUID

from pydantic import BaseModel

from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import KeyedCall
from mpanel_billing.http.paths import SubscriptionPath
from mpanel_billing.provisioning.operations import find_subscription


async def subscription_of(call: KeyedCall[SubscriptionPath, None, BaseModel | None]) -> UUID:
    """Return our id of it; NotFoundError if there is none."""
    return await find_subscription(call.app[keys.POOL], call.path.id)
