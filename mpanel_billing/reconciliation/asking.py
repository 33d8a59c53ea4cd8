"""What a run asks of Stripe, all of it at one pace."""

from collections.abc import Mapping
from typing import Any

from mpanel_billing.reconciliation.pace import Pace
from mpanel_billing.stripe_gateway.gateway import Fetched, Page, Resource, StripeGateway


class PacedStripe(StripeGateway):
    """A gateway whose reads go no faster than a pace, and wait while Stripe is unavailable."""

    def __init__(self, gateway: StripeGateway, pace: Pace) -> None:
        """Read over the connections of `gateway`, which its owner closes."""
        super().__init__(gateway.client, gateway.http_client, gateway.longest_call_seconds)
        self._gateway = gateway
        self._pace = pace

    async def list_page(self, resource: Resource, params: Mapping[str, Any]) -> Page:
        """Return a page of a list, newest first."""
        return await self._pace.ask(lambda: self._gateway.list_page(resource, params))

    async def fetch(self, resource: Resource, object_id: str) -> Fetched:
        """Return the object as it is now."""
        return await self._pace.ask(lambda: self._gateway.fetch(resource, object_id))

    async def list_subscription_items(self, subscription_id: str) -> list[Mapping[str, Any]]:
        """Return all items of a subscription."""
        return await self._pace.ask(lambda: self._gateway.list_subscription_items(subscription_id))
