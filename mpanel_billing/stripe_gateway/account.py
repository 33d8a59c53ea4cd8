"""The Stripe account behind the key: its mode, its state and its latest events."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from mpanel_billing.errors import StripeError, StripeUnavailableError
from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway, date_of


@dataclass(frozen=True, slots=True)
class KeyProbe:
    """The key works; `clock_ahead` is our clock minus Stripe's, in seconds."""

    livemode: bool
    clock_ahead: float


@dataclass(frozen=True, slots=True)
class Account:
    """The account behind the key; without `charges_enabled` it cannot take payments yet."""

    id: str
    country: str | None
    charges_enabled: bool


@dataclass(frozen=True, slots=True)
class RecentEvent:
    """An event of the account; `pending` is the number of endpoints that still have to get it."""

    id: str
    type: str
    created: datetime
    pending: int


async def probe_key(gateway: StripeGateway) -> KeyProbe:
    """Read the balance, which nearly every key may do; StripeError if the key does not work."""
    async with translated():
        balance = await gateway.client.v1.balance.retrieve_async()
    return KeyProbe(balance.livemode, time.time() - date_of(balance).timestamp())


async def get_account(gateway: StripeGateway) -> Account | None:
    """Return the key's account; None for a restricted key that may not read it."""
    try:
        async with translated():
            found = await gateway.client.v1.accounts.retrieve_current_async()
    except StripeUnavailableError:
        raise
    except StripeError:
        return None
    return Account(found.id, found.country, bool(found.charges_enabled))


async def list_recent_events(gateway: StripeGateway, limit: int) -> list[RecentEvent]:
    """Return the newest events of the account; `limit` is at most 100."""
    async with translated():
        page = await gateway.client.v1.events.list_async({"limit": limit})
    return [
        RecentEvent(
            event.id, event.type, datetime.fromtimestamp(event.created, UTC), event.pending_webhooks
        )
        for event in page.data
    ]


@dataclass(frozen=True, slots=True)
class TaxSettings:
    """How the account has set up Stripe Tax; `behavior` is that of amounts without a price."""

    is_active: bool
    behavior: str | None


async def get_tax_settings(gateway: StripeGateway) -> TaxSettings | None:
    """Return the account's tax settings; None for a restricted key that may not read them."""
    try:
        async with translated():
            found = await gateway.client.v1.tax.settings.retrieve_async()
    except StripeUnavailableError:
        raise
    except StripeError:
        return None
    return TaxSettings(found.status == "active", found.defaults.tax_behavior)
