"""What a run asks of Stripe, all of it at one pace."""

from collections.abc import Mapping
from typing import Any, Protocol

from mpanel_billing.mirror import refetch
from mpanel_billing.reconciliation.pace import Pace
from mpanel_billing.stripe_gateway.gateway import Fetched, StripeGateway
from mpanel_billing.stripe_gateway.lists import Page, list_page


class Stripe(refetch.Stripe, Protocol):
    """What a reconcile needs of Stripe: single objects, and pages of lists."""

    async def list_page(self, object_type: str, params: Mapping[str, Any]) -> Page:
        """Return a page of a list, newest first."""
        ...


class PacedStripe:
    """Stripe's API, asked no faster than the pace allows, and patiently."""

    def __init__(self, gateway: StripeGateway, pace: Pace) -> None:
        """Ask through the gateway."""
        self._gateway = gateway
        self._pace = pace

    async def list_page(self, object_type: str, params: Mapping[str, Any]) -> Page:
        """Return a page of a list, newest first."""
        return await self._pace.ask(lambda: list_page(self._gateway, object_type, params))

    async def fetch(self, object_type: str, object_id: str) -> Fetched:
        """Return the object as it is now."""
        return await self._pace.ask(lambda: self._gateway.fetch(object_type, object_id))

    async def list_subscription_items(self, subscription_id: str) -> list[Mapping[str, Any]]:
        """Return all items of a subscription."""
        return await self._pace.ask(lambda: self._gateway.list_subscription_items(subscription_id))
