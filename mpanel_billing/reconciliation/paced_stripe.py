"""A Stripe gateway with a rate limit."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from mpanel_billing.errors import StripeUnavailableError
from mpanel_billing.jobs.pace import Pace
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.objects import Fetched, Page, Resource

T = TypeVar("T")

MOST_TRIES = 6
"""Per request; after that the run stops, to be resumed later."""

_PAUSE_SECONDS = 10


class PacedStripe(StripeGateway):
    """Reads at a limited rate, and waits while Stripe is unavailable."""

    def __init__(self, gateway: StripeGateway, pace: Pace) -> None:
        """Use the connections of `gateway`; its owner closes them."""
        super().__init__(gateway.client, gateway.http_client, gateway.longest_call_seconds)
        self._gateway = gateway
        self._pace = pace

    async def list_page(self, resource: Resource, params: Mapping[str, Any]) -> Page:
        """Return a page of a list, newest first."""
        return await self._send(lambda: self._gateway.list_page(resource, params))

    async def fetch(self, resource: Resource, object_id: str) -> Fetched:
        """Return the current object."""
        return await self._send(lambda: self._gateway.fetch(resource, object_id))

    async def list_subscription_items(self, subscription_id: str) -> list[Mapping[str, Any]]:
        """Return all items of a subscription."""
        return await self._send(lambda: self._gateway.list_subscription_items(subscription_id))

    async def list_invoice_lines(self, invoice_id: str) -> list[Mapping[str, Any]]:
        """Return all lines of an invoice."""
        return await self._send(lambda: self._gateway.list_invoice_lines(invoice_id))

    async def list_invoice_payments(self, invoice_id: str) -> list[Mapping[str, Any]]:
        """Return all payments of an invoice."""
        return await self._send(lambda: self._gateway.list_invoice_payments(invoice_id))

    async def get_usage(
        self, meter_id: str, customer_id: str, since: datetime, until: datetime
    ) -> Decimal:
        """Return what a customer's usage adds up to, from one whole minute to another."""
        return await self._send(
            lambda: self._gateway.get_usage(meter_id, customer_id, since, until)
        )

    async def _send(self, request: Callable[[], Awaitable[T]]) -> T:
        """Send a request, retrying after Retry-After if Stripe is busy or unavailable.

        Raises StripeUnavailableError after MOST_TRIES.
        """
        for _ in range(MOST_TRIES - 1):
            await self._pace.turn()
            try:
                return await request()
            except StripeUnavailableError as error:
                self._pace.pause(error.retry_after or _PAUSE_SECONDS)
        await self._pace.turn()
        return await request()
