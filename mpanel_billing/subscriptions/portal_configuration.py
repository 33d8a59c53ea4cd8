"""Our configuration of Stripe's customer portal: what it allows, and what has to change.

Customers change cards, addresses and tax ids there, see invoices and pay open ones. They do not
change plans: that goes by the catalogue's rules and its previews.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import Pool
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.portal_configurations import (
    PortalConfiguration,
    create_portal_configuration,
    list_portal_configurations,
    update_portal_configuration,
)

OURS = {"mpanel_billing": "portal"}
"""The metadata by which our configuration is recognised."""

_REASONS = (
    "too_expensive",
    "missing_features",
    "switched_service",
    "unused",
    "customer_service",
    "too_complex",
    "low_quality",
    "other",
)


@dataclass(frozen=True, slots=True)
class PortalChanges:
    """What has to change: `faults` of the current configuration, or one has to be created."""

    features: Mapping[str, Any]
    current: PortalConfiguration | None
    faults: tuple[str, ...]


def features_of(*, can_cancel: bool) -> Mapping[str, Any]:
    """Return the features of our portal; `can_cancel`: at the end of the term, with a reason."""
    cancel: dict[str, Any] = {"enabled": can_cancel}
    if can_cancel:
        cancel |= {
            "mode": "at_period_end",
            "cancellation_reason": {"enabled": True, "options": list(_REASONS)},
        }
    return {
        "customer_update": {"enabled": True, "allowed_updates": ["name", "address", "tax_id"]},
        "invoice_history": {"enabled": True},
        "payment_method_update": {"enabled": True},
        "subscription_cancel": cancel,
        "subscription_update": {"enabled": False},
    }


async def find_changes(gateway: StripeGateway, *, can_cancel: bool) -> PortalChanges:
    """Look for our configuration at Stripe, and decide what to change."""
    features = features_of(can_cancel=can_cancel)
    for found in await list_portal_configurations(gateway):
        if found.is_active and OURS.items() <= found.metadata.items():
            return PortalChanges(features, found, tuple(_faults_of(found, features)))
    return PortalChanges(features, None, ())


def _faults_of(found: PortalConfiguration, wanted: Mapping[str, Any]) -> Iterator[str]:
    for name, feature in wanted.items():
        for setting, value in feature.items():
            if not _agrees(found.features.get(name, {}).get(setting), value):
                yield f"{name}.{setting} is not {_shown(value)}"


def _agrees(found: Any, wanted: Any) -> bool:
    """Return whether a setting is as wanted; the order of a list means nothing."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(
            _agrees(found.get(name), value) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(found, list) and sorted(found) == sorted(wanted)
    return bool(found == wanted)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ", ".join(value)
    return "as wanted" if isinstance(value, Mapping) else str(value)


async def make_changes(
    pool: Pool, gateway: StripeGateway, changes: PortalChanges, by: Actor | None = None
) -> PortalConfiguration:
    """Create or correct the configuration; safe to repeat. Raises StripeError."""
    async with audit.attempt(pool, by, "stripe.portal_ensure") as entry:
        ensured = await _make_changes(gateway, changes)
        entry.set_target("portal_configuration", ensured.id)
        entry.note(made=changes.current is None, mended=changes.faults)
    return ensured


async def _make_changes(gateway: StripeGateway, changes: PortalChanges) -> PortalConfiguration:
    params = {"features": changes.features}
    if changes.current is None:
        return await create_portal_configuration(gateway, params | {"metadata": OURS})
    if not changes.faults:
        return changes.current
    return await update_portal_configuration(gateway, changes.current.id, params)
