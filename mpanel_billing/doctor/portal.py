"""Stripe's customer portal: whether it lets customers change plans past the catalogue."""

from mpanel_billing.doctor.finding import Finding, failed, ok, warning
from mpanel_billing.errors import StripeObjectMissingError
from mpanel_billing.settings import StripeSettings
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.portal_configurations import (
    PortalConfiguration,
    get_portal_configuration,
    list_portal_configurations,
)

_NAME = "customer portal"
_ENSURE = "run `mpanel-billing stripe portal ensure`"


async def check_portal(gateway: StripeGateway, settings: StripeSettings) -> list[Finding]:
    """Check the configuration that the portal opens with."""
    named = settings.stripe_portal_configuration
    if named is None:
        found = await list_portal_configurations(gateway)
        default = next((each for each in found if each.is_default), None)
        return [judge_default(default, sandboxed=settings.stripe_api_base is not None)]
    try:
        return [judge_ours(await get_portal_configuration(gateway, named))]
    except StripeObjectMissingError:
        text = f"STRIPE_PORTAL_CONFIGURATION names {named}, which Stripe does not have"
        return [failed(_NAME, text, _ENSURE)]


def judge_default(found: PortalConfiguration | None, *, sandboxed: bool) -> Finding:
    """Judge the account's default configuration; None: the portal was never set up there."""
    if found is None and sandboxed:
        return ok(_NAME, "the sandbox's default")
    if found is None:
        return warning(_NAME, "has no configuration, so it cannot be opened", _ENSURE)
    if _changes_plans(found):
        text = (
            "opens with the account's default, in which customers change plans past the catalogue"
        )
        return warning(_NAME, text, _ENSURE)
    return ok(_NAME, f"the account's default, {found.id}, without changes of plan")


def judge_ours(found: PortalConfiguration) -> Finding:
    """Judge the configuration that is set."""
    if not found.is_active:
        return failed(_NAME, f"{found.id} is not active, so it cannot be opened", _ENSURE)
    if _changes_plans(found):
        return warning(_NAME, f"{found.id} lets customers change plans past the catalogue", _ENSURE)
    return ok(_NAME, found.id)


def _changes_plans(found: PortalConfiguration) -> bool:
    return bool(found.features.get("subscription_update", {}).get("enabled"))
