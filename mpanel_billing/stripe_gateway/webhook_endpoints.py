"""Stripe's webhook endpoints: the addresses that it sends events to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast
from uuid import uuid4

import stripe

from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import API_VERSION, StripeGateway

if TYPE_CHECKING:
    from stripe.params import WebhookEndpointCreateParams, WebhookEndpointUpdateParams

_PAGE = 100


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """An address that Stripe sends events to; `api_version` None: the account's default."""

    id: str
    url: str
    enabled: bool
    api_version: str | None
    events: frozenset[str]
    created: datetime


@dataclass(frozen=True, slots=True)
class CreatedEndpoint:
    """A new endpoint, and the secret that Stripe signs its events with and never tells again."""

    endpoint: WebhookEndpoint
    secret: str = field(repr=False)


async def list_webhook_endpoints(gateway: StripeGateway) -> Sequence[WebhookEndpoint]:
    """List where Stripe sends events of this mode, the newest endpoint first."""
    async with translated():
        page = await gateway.client.v1.webhook_endpoints.list_async({"limit": _PAGE})
        return [_endpoint(found) async for found in page.auto_paging_iter()]


async def create_webhook_endpoint(
    gateway: StripeGateway, url: str, events: Iterable[str], description: str
) -> CreatedEndpoint:
    """Make an endpoint that is pinned to the SDK's API version, for good."""
    params = {
        "url": url,
        "enabled_events": sorted(events),
        "api_version": API_VERSION,
        "description": description,
    }
    async with translated():
        made = await gateway.client.v1.webhook_endpoints.create_async(
            cast("WebhookEndpointCreateParams", params), _new_key()
        )
    return CreatedEndpoint(_endpoint(made), made.secret or "")


async def correct_webhook_endpoint(
    gateway: StripeGateway, endpoint_id: str, events: Iterable[str]
) -> WebhookEndpoint:
    """Have exactly these events sent to the endpoint, and switch it on."""
    params = {"enabled_events": sorted(events), "disabled": False}
    async with translated():
        return _endpoint(
            await gateway.client.v1.webhook_endpoints.update_async(
                endpoint_id, cast("WebhookEndpointUpdateParams", params), _new_key()
            )
        )


async def delete_webhook_endpoint(gateway: StripeGateway, endpoint_id: str) -> None:
    """Have nothing sent to the endpoint any more; StripeObjectMissingError when it is gone."""
    async with translated():
        await gateway.client.v1.webhook_endpoints.delete_async(endpoint_id, None, _new_key())


def _new_key() -> "stripe.RequestOptions":
    """Make a key under which the SDK repeats this request only: each run looks before it acts."""
    return {"idempotency_key": f"webhook-endpoint-{uuid4().hex}"}


def _endpoint(found: stripe.WebhookEndpoint) -> WebhookEndpoint:
    return WebhookEndpoint(
        id=found.id,
        url=found.url,
        enabled=found.status == "enabled",
        api_version=found.api_version,
        events=frozenset(found.enabled_events),
        created=datetime.fromtimestamp(found.created, UTC),
    )
