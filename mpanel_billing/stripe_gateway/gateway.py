"""The client of Stripe's API: one for each process."""

import math
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, Self
from urllib.parse import quote

import aiohttp

from mpanel_billing.errors import StripeUnavailableError
from mpanel_billing.settings import StripeSettings
from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.objects import (
    PAGE_SIZE,
    Fetched,
    Page,
    Resource,
)
from mpanel_billing.stripe_gateway.sdk import stripe
from mpanel_billing.stripe_gateway.transport import CountingClient, KeptContent

API_VERSION = stripe.api_version or ""
"""The version of the pinned SDK, and of our webhook endpoints."""

SDK_VERSION: str = stripe.VERSION

NETWORK_RETRIES = 2


class StripeGateway:
    """Stripe's API; every method may raise StripeError or a subclass."""

    def __init__(
        self,
        client: stripe.StripeClient,
        http_client: stripe.AIOHTTPClient,
        longest_call_seconds: float,
    ) -> None:
        """Wrap a client; `open_gateway` makes one from the settings.

        A call takes at most `longest_call_seconds`, with its retries but not the pauses between.
        """
        self.client = client
        self.longest_call_seconds = longest_call_seconds
        self.http_client = http_client

    async def __aenter__(self) -> Self:
        """Close it at the end of an `async with`."""
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections to Stripe."""
        await self.http_client.close_async()  # type: ignore[no-untyped-call]

    async def fetch(self, resource: Resource, object_id: str) -> Fetched:
        """Return one object."""
        params = {"expand": list(resource.expand)} if resource.expand else {}
        found, since, as_of = await self._get(f"{resource.path}/{quote(object_id, '')}", params)
        return Fetched(found, since, as_of)

    async def retrieve_thin_event(self, event_id: str) -> Mapping[str, Any]:
        """Return a thin event with its data, which Stripe has for 30 days."""
        found, _, _ = await self._get(f"/v2/core/events/{quote(event_id, '')}", {})
        return found

    async def list_page(self, resource: Resource, params: Mapping[str, Any]) -> Page:
        """Return a page of a list, newest first; `params` are Stripe's (created, ...).

        StripeObjectMissingError if the object of `starting_after` no longer exists.
        """
        found, since, as_of = await self._get(
            resource.path, {"limit": PAGE_SIZE, **resource.list_params, **params}
        )
        return Page(found["data"], found["has_more"], since, as_of)

    async def create(
        self, path: str, params: Mapping[str, Any], key: str | None = None
    ) -> Mapping[str, Any]:
        """Create an object under an idempotency key, by default a random one; return its JSON.

        Like `_get`, without the SDK's objects.
        """
        async with translated():
            with KeptContent() as kept:
                await self.client.raw_request_async(
                    "post", path, **params, **({"idempotency_key": key} if key else {})
                )
        return kept.take()

    async def _get(
        self, path: str, params: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], datetime, datetime]:
        """Return the JSON of a response, and the times between which Stripe read it.

        The SDK's objects are not used: building a hundred subscriptions takes longer than the
        call itself.
        """
        started = time.monotonic()
        async with translated():
            with KeptContent() as kept:
                response = await self.client.raw_request_async("get", path, **params)
        took = math.ceil(time.monotonic() - started)
        as_of = read_date(response.headers)
        return kept.take(), as_of - timedelta(seconds=took), as_of

    async def list_subscription_items(self, subscription_id: str) -> list[Mapping[str, Any]]:
        """Return all items of a subscription, with their discounts and the coupons of these.

        A snapshot carries only the first ten, and ids of their discounts: to expand these there
        takes one level more than Stripe allows.
        """
        async with translated():
            page = await self.client.v1.subscription_items.list_async(
                {
                    "subscription": subscription_id,
                    "limit": PAGE_SIZE,
                    "expand": ["data.discounts.source.coupon"],
                }
            )
            return [item.to_dict() async for item in page.auto_paging_iter()]

    async def list_invoice_payments(self, invoice_id: str) -> list[Mapping[str, Any]]:
        """Return all payments of an invoice; one that is fetched carries only the first ten."""
        async with translated():
            page = await self.client.v1.invoice_payments.list_async(
                {"invoice": invoice_id, "limit": PAGE_SIZE}
            )
            return [payment.to_dict() async for payment in page.auto_paging_iter()]

    async def list_invoice_lines(self, invoice_id: str) -> list[Mapping[str, Any]]:
        """Return all lines of an invoice; a snapshot carries only the first ten."""
        async with translated():
            page = await self.client.v1.invoices.line_items.list_async(
                invoice_id, {"limit": PAGE_SIZE}
            )
            return [line.to_dict() async for line in page.auto_paging_iter()]

    async def get_usage(
        self, meter_id: str, customer_id: str, since: datetime, until: datetime
    ) -> Decimal:
        """Return what a customer's usage adds up to, from one whole minute to another."""
        async with translated():
            found = await self.client.v1.billing.meters.event_summaries.list_async(
                meter_id,
                {
                    "customer": customer_id,
                    "start_time": int(since.timestamp()),
                    "end_time": int(until.timestamp()),
                },
            )
        return sum((Decimal(str(one.aggregated_value)) for one in found.data), Decimal(0))


def open_gateway(settings: StripeSettings) -> StripeGateway:
    """Make the gateway; needs a running event loop, and to be closed at the end."""
    base = settings.stripe_api_base
    http_client = CountingClient(
        timeout=aiohttp.ClientTimeout(total=settings.stripe_timeout_seconds),
        connector=aiohttp.TCPConnector(ssl=_authorities()),
    )
    client = stripe.StripeClient(
        settings.stripe_secret_key.get_secret_value(),
        http_client=http_client,
        base_addresses={"api": str(base).rstrip("/")} if base else {},
        max_network_retries=NETWORK_RETRIES,
    )
    return StripeGateway(
        client, http_client, settings.stripe_timeout_seconds * (NETWORK_RETRIES + 1)
    )


@cache
def _authorities() -> ssl.SSLContext:
    """Return whom the SDK trusts to vouch for Stripe: its own client reads them again each time."""
    return ssl.create_default_context(cafile=stripe.ca_bundle_path)


def date_of(returned: stripe.StripeObject) -> datetime:
    """Return when Stripe sent the object's response, by its clock."""
    response = returned.last_response
    return read_date(response.headers if response else {})


def read_date(headers: Mapping[str, str]) -> datetime:
    """Return the Date of a response; StripeUnavailableError if it has none."""
    text = next((v for k, v in headers.items() if k.lower() == "date"), None)
    if text is None:
        raise StripeUnavailableError("Stripe's response has no Date header to order it by.")
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:
        raise StripeUnavailableError("Stripe's response has an unreadable Date header.") from None
