"""What Stripe says of our account: does the key work, and where does it send events."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway, date_of

_PAGE = 100


@dataclass(frozen=True, slots=True)
class Account:
    """The account behind the key. `clock_ahead`: our clock minus Stripe's, in seconds."""

    livemode: bool
    clock_ahead: float


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """An address that Stripe sends events to; `api_version` None: the account's default."""

    id: str
    url: str
    enabled: bool
    api_version: str | None
    events: frozenset[str]


async def look_at_account(gateway: StripeGateway) -> Account:
    """Ask Stripe something that every key may ask; StripeError when ours does not work."""
    async with translated():
        balance = await gateway.client.v1.balance.retrieve_async()
    return Account(balance.livemode, time.time() - date_of(balance).timestamp())


async def list_webhook_endpoints(gateway: StripeGateway) -> Sequence[WebhookEndpoint]:
    """List where Stripe sends events of this mode."""
    async with translated():
        page = await gateway.client.v1.webhook_endpoints.list_async({"limit": _PAGE})
        return [
            WebhookEndpoint(
                endpoint.id,
                endpoint.url,
                endpoint.status == "enabled",
                endpoint.api_version,
                frozenset(endpoint.enabled_events),
            )
            async for endpoint in page.auto_paging_iter()
        ]
