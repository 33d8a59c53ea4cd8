"""What a phase of a schedule sets on its subscription, beside items and discounts."""

from typing import Any

from stripe_sandbox.billing.automatic_tax import set_automatic_tax
from stripe_sandbox.documents import Document, ReadOnly, merge_metadata
from stripe_sandbox.world import World

SETTINGS = ("automatic_tax", "collection_method", "invoice_settings")
"""Settings of a phase that otherwise are those of the schedule's `default_settings`."""

KEPT = ("default_payment_method", "description")
"""Settings that a subscription keeps if neither a phase nor the schedule has them."""


def apply_settings(
    world: World, subscription: Document, schedule: ReadOnly, phase: ReadOnly
) -> None:
    """Give the subscription the settings of a phase; the caller saves it."""
    defaults = schedule["default_settings"]
    subscription["metadata"] = merge_metadata(subscription["metadata"], phase["metadata"])
    if phase["default_tax_rates"] or world.choices.phase_tax_rates == "cleared":
        subscription["default_tax_rates"] = phase["default_tax_rates"]
    for name in KEPT:
        subscription[name] = phase.get(name) or _kept(world, subscription, defaults, name)
    enabled = bool((setting_of(schedule, phase, "automatic_tax") or {}).get("enabled"))
    set_automatic_tax(world, subscription, enabled=enabled)
    method = setting_of(schedule, phase, "collection_method")
    subscription["collection_method"] = method
    sent = method == "send_invoice"
    subscription["days_until_due"] = days_until_due(schedule, phase) if sent else None


def _kept(world: World, subscription: ReadOnly, defaults: ReadOnly, name: str) -> Any:
    if world.choices.phase_defaults == "schedule":
        return defaults.get(name) or subscription[name]
    return subscription[name] or defaults.get(name)


def setting_of(schedule: ReadOnly, phase: ReadOnly, name: str) -> Any:
    """Return a setting of a phase: its own, or the schedule's default."""
    return phase.get(name) or schedule["default_settings"].get(name)


def days_until_due(schedule: ReadOnly, phase: ReadOnly) -> int | None:
    """Return within how many days invoices are due that a phase sends."""
    for holder in (phase, schedule["default_settings"]):
        days: int | None = (holder.get("invoice_settings") or {}).get("days_until_due")
        if days is not None:
            return days
    return None
