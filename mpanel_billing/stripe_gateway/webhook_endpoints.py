"""Stripe's webhook endpoints: the URLs that it sends events to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast
from uuid import uuid4

from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import API_VERSION, StripeGateway
from mpanel_billing.stripe_gateway.objects import PAGE_SIZE

if TYPE_CHECKING:
    import stripe
    from stripe.params import WebhookEndpointCreateParams, WebhookEndpointUpdateParams


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """A URL that Stripe sends events to; `api_version` is None for the account's default."""

    id: str
    url: str
    enabled: bool
    api_version: str | None
    events: frozenset[str]
    created: datetime


@dataclass(frozen=True, slots=True)
class CreatedEndpoint:
    """A new endpoint and its signing secret, which Stripe never returns again."""

    endpoint: WebhookEndpoint
    secret: str = field(repr=False)


async def list_webhook_endpoints(gateway: StripeGateway) -> Sequence[WebhookEndpoint]:
    """Return all endpoints of the key's mode, newest first."""
    async with translated():
        page = await gateway.client.v1.webhook_endpoints.list_async({"limit": PAGE_SIZE})
        return [_endpoint(found) async for found in page.auto_paging_iter()]


async def create_webhook_endpoint(
    gateway: StripeGateway, url: str, events: Iterable[str], description: str
) -> CreatedEndpoint:
    """Create an endpoint for the SDK's API version, which cannot be changed later."""
    params = {
        "url": url,
        "enabled_events": sorted(events),
        "api_version": API_VERSION,
        "description": description,
    }
    async with translated():
        created = await gateway.client.v1.webhook_endpoints.create_async(
            cast("WebhookEndpointCreateParams", params), _new_key()
        )
    return CreatedEndpoint(_endpoint(created), created.secret or "")


async def update_webhook_endpoint(
    gateway: StripeGateway, endpoint_id: str, events: Iterable[str]
) -> WebhookEndpoint:
    """Subscribe the endpoint to exactly these events, and enable it."""
    params = {"enabled_events": sorted(events), "disabled": False}
    async with translated():
        return _endpoint(
            await gateway.client.v1.webhook_endpoints.update_async(
                endpoint_id, cast("WebhookEndpointUpdateParams", params), _new_key()
            )
        )


async def delete_webhook_endpoint(gateway: StripeGateway, endpoint_id: str) -> None:
    """Delete an endpoint; StripeObjectMissingError if it does not exist."""
    async with translated():
        await gateway.client.v1.webhook_endpoints.delete_async(endpoint_id, None, _new_key())


def _new_key() -> "stripe.RequestOptions":
    """Return a key for the SDK's retries of this request; each run lists before it changes."""
    return {"idempotency_key": f"webhook-endpoint-{uuid4().hex}"}


def _endpoint(found: "stripe.WebhookEndpoint") -> WebhookEndpoint:
    return WebhookEndpoint(
        id=found.id,
        url=found.url,
        enabled=found.status == "enabled",
        api_version=found.api_version,
        events=frozenset(found.enabled_events),
        created=datetime.fromtimestamp(found.created, UTC),
    )
