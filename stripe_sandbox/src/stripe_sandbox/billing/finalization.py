"""Invoices that cannot be finalized by themselves."""

from stripe_sandbox.billing.invoices import subscription_of
from stripe_sandbox.billing.tax_locations import locate, unknown_location
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.world import World


def lacks_location(world: World, invoice: ReadOnly) -> bool:
    """Return whether automatic tax misses the location of an invoice without a subscription."""
    if not invoice["automatic_tax"]["enabled"] or subscription_of(world, invoice):
        return False
    return locate(world, world.find("customer", invoice["customer"])) is None


def fail_finalization(world: World, invoice: Document) -> None:
    """Leave a draft as it is until it is finalized by hand, and announce why."""
    error = unknown_location().body["error"]
    invoice |= {"automatically_finalizes_at": None, "last_finalization_error": error}
    invoice["automatic_tax"]["status"] = "requires_location_inputs"
    world.announce("invoice.finalization_failed", world.save(invoice))
