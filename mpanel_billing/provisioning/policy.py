"""The rules of the host, as the settings have them."""

from datetime import timedelta

from mpanel_billing.provisioning.desired import Policy
from mpanel_billing.settings import Settings


def policy_of(settings: Settings) -> Policy:
    """Return the rules by which the desired state of services is decided."""
    return Policy(
        grace=timedelta(days=settings.grace_days),
        retention=timedelta(days=settings.retention_days),
        suspend_paused_collection=settings.paused_collection == "suspend",
        void_invoices_at_end=settings.open_invoices_at_end == "void",
        suspend_disputed=settings.dispute_policy == "suspend",
    )
