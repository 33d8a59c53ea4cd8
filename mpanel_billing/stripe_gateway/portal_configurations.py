"""Configurations of Stripe's customer portal: what a customer may do there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.objects import PAGE_SIZE

if TYPE_CHECKING:
    import stripe
    from stripe.params.billing_portal import (
        ConfigurationCreateParams,
        ConfigurationUpdateParams,
    )


@dataclass(frozen=True, slots=True)
class PortalConfiguration:
    """A configuration; `features` are Stripe's, each with `enabled`."""

    id: str
    is_active: bool
    is_default: bool
    features: Mapping[str, Any]
    metadata: Mapping[str, str]


async def list_portal_configurations(gateway: StripeGateway) -> Sequence[PortalConfiguration]:
    """Return all configurations of the key's mode, newest first."""
    async with translated():
        page = await gateway.client.v1.billing_portal.configurations.list_async(
            {"limit": PAGE_SIZE}
        )
        return [_configuration(found) async for found in page.auto_paging_iter()]


async def get_portal_configuration(gateway: StripeGateway, id_: str) -> PortalConfiguration:
    """Return a configuration; StripeObjectMissingError if it does not exist."""
    async with translated():
        return _configuration(
            await gateway.client.v1.billing_portal.configurations.retrieve_async(id_)
        )


async def create_portal_configuration(
    gateway: StripeGateway, params: Mapping[str, Any]
) -> PortalConfiguration:
    """Create a configuration; features that are not named are off."""
    async with translated():
        return _configuration(
            await gateway.client.v1.billing_portal.configurations.create_async(
                cast("ConfigurationCreateParams", params), _new_key()
            )
        )


async def update_portal_configuration(
    gateway: StripeGateway, id_: str, params: Mapping[str, Any]
) -> PortalConfiguration:
    """Change a configuration; features that are not named stay."""
    async with translated():
        return _configuration(
            await gateway.client.v1.billing_portal.configurations.update_async(
                id_, cast("ConfigurationUpdateParams", params), _new_key()
            )
        )


def _new_key() -> "stripe.RequestOptions":
    """Return a key for the SDK's retries of this request; each run lists before it changes."""
    return {"idempotency_key": f"portal-configuration-{uuid4().hex}"}


def _configuration(found: "stripe.billing_portal.Configuration") -> PortalConfiguration:
    plain = found.to_dict()
    return PortalConfiguration(
        id=found.id,
        is_active=found.active,
        is_default=found.is_default,
        features=plain["features"],
        metadata=plain["metadata"] or {},
    )
