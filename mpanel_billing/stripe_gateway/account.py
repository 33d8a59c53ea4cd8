"""What Stripe says of our account: does the key work, in which mode, whose is it."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from mpanel_billing.errors import StripeError, StripeUnavailableError
from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway, date_of


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What the key opens. `clock_ahead`: our clock minus Stripe's, in seconds."""

    livemode: bool
    clock_ahead: float


@dataclass(frozen=True, slots=True)
class Account:
    """The account behind the key; it may be unable to take money yet."""

    id: str
    country: str | None
    charges_enabled: bool


@dataclass(frozen=True, slots=True)
class SentEvent:
    """An event that Stripe has made; `pending`: to so many endpoints it has still to be brought."""

    id: str
    type: str
    created: datetime
    pending: int


async def try_key(gateway: StripeGateway) -> KeyUse:
    """Ask Stripe something that nearly every key may ask; StripeError when ours does not work."""
    async with translated():
        balance = await gateway.client.v1.balance.retrieve_async()
    return KeyUse(balance.livemode, time.time() - date_of(balance).timestamp())


async def look_at_account(gateway: StripeGateway) -> Account | None:
    """Say whose the key is; None for a restricted key that may not ask."""
    try:
        async with translated():
            found = await gateway.client.v1.accounts.retrieve_current_async()
    except StripeUnavailableError:
        raise
    except StripeError:
        return None
    return Account(found.id, found.country, bool(found.charges_enabled))


async def list_latest_events(gateway: StripeGateway, most: int) -> list[SentEvent]:
    """List the newest events of the account, at most 100."""
    async with translated():
        page = await gateway.client.v1.events.list_async({"limit": most})
    return [
        SentEvent(
            event.id, event.type, datetime.fromtimestamp(event.created, UTC), event.pending_webhooks
        )
        for event in page.data
    ]
