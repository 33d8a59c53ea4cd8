"""Subscription schedules: made of a subscription, given a later phase, released."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from mpanel_billing.errors import StripeError
from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway

if TYPE_CHECKING:
    from stripe.params import SubscriptionScheduleUpdateParams

_OPEN = frozenset({"active", "not_started"})


async def create_schedule(
    gateway: StripeGateway, subscription_id: str, key: str
) -> Mapping[str, Any]:
    """Put a subscription under a schedule that goes on with what it has, and return the schedule.

    SubscriptionScheduledError if it has one; StripeError. Stripe takes nothing else in this call.
    """
    async with translated():
        made = await gateway.client.v1.subscription_schedules.create_async(
            {"from_subscription": subscription_id}, {"idempotency_key": key}
        )
    return made.to_dict()


async def find_schedule(gateway: StripeGateway, subscription_id: str) -> Mapping[str, Any] | None:
    """Return the schedule that manages a subscription."""
    async with translated():
        held = await gateway.client.v1.subscriptions.retrieve_async(
            subscription_id, {"expand": ["schedule"]}
        )
    schedule: Mapping[str, Any] | None = held.to_dict().get("schedule")
    return schedule


async def get_schedule(gateway: StripeGateway, schedule_id: str) -> Mapping[str, Any]:
    """Return a schedule; StripeError."""
    async with translated():
        found = await gateway.client.v1.subscription_schedules.retrieve_async(schedule_id)
    return found.to_dict()


async def update_schedule(
    gateway: StripeGateway, schedule_id: str, params: Mapping[str, Any], key: str
) -> None:
    """Give a schedule its phases; StripeError."""
    async with translated():
        await gateway.client.v1.subscription_schedules.update_async(
            schedule_id,
            cast("SubscriptionScheduleUpdateParams", dict(params)),
            {"idempotency_key": key},
        )


async def release_schedule(gateway: StripeGateway, schedule_id: str, key: str) -> None:
    """Let the subscription go on without the schedule; nothing happens if it does already.

    Never `cancel`: that would end the subscription.
    """
    schedules = gateway.client.v1.subscription_schedules
    try:
        async with translated():
            await schedules.release_async(schedule_id, {}, {"idempotency_key": key})
    except StripeError as error:
        if not error.definite:
            raise
        async with translated():
            if (await schedules.retrieve_async(schedule_id)).status in _OPEN:
                raise
