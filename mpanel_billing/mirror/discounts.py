"""Ask Stripe for what events do not say about discounts.

Events carry ids of discounts, or coupons without what they are limited to. What applies is in the
subscription, when it is fetched.
"""

from collections.abc import Sequence
from typing import Any

from mpanel_billing.database.queries import Connection
from mpanel_billing.jobs.queue import enqueue_refetches
from mpanel_billing.mirror import repository
from mpanel_billing.mirror.questions import question
from mpanel_billing.mirror.snapshot import Snapshot
from mpanel_billing.mirror.types.discount import DiscountOwner
from mpanel_billing.mirror.types.subscription import SubscriptionFacts


async def refetch_owner(conn: Connection, owner: DiscountOwner) -> bool:
    """Request the subscription of a discount that has changed; return whether it has one."""
    stripe_id = owner.stripe_subscription_id
    item_id = owner.stripe_subscription_item_id
    if stripe_id is None and item_id is not None:
        stripe_id = await repository.find_subscription_of_item(conn, item_id)
    if stripe_id is None:
        return False
    request = question("subscription", stripe_id, "a discount has changed")
    await enqueue_refetches(conn, await repository.request_refetches(conn, [request]))
    return True


async def requests_for_coupons(
    conn: Connection, applied: Sequence[Snapshot]
) -> list[dict[str, Any]]:
    """Return the requests for subscriptions with discounts that came with an event."""
    discounted = [
        snapshot.object_id
        for snapshot in applied
        if isinstance(snapshot.facts, SubscriptionFacts)
        and snapshot.facts.discounts
        and snapshot.version.event_id is not None
    ]
    if not discounted:
        return []
    lacking = await repository.list_unfetched_discounts(conn, discounted)
    return [question("subscription", stripe_id, "has a new discount") for stripe_id in lacking]
