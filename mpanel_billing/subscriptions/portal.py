"""Sessions of Stripe's customer portal: payment methods, addresses, receipts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import acquired
from mpanel_billing.errors import NotFoundError, StripeError, StripeObjectMissingError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.hosted_pages import create_portal_session
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.lookup import CustomerRef, require_customer, require_subscription

Flow = Literal["payment_method_update"]
"""Stripe's name of a page that leads back once it is done."""


@dataclass(frozen=True, slots=True)
class PortalOf:
    """Which Stripe customer to sign in: of a subscription, or one that pays in a currency."""

    subscription_id: UUID | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class PortalLook:
    """Where the portal links back to, its configuration, and the one page that it shows.

    `configuration` None is the account's default, `flow` None the whole portal.
    """

    return_url: str
    configuration: str | None = None
    flow: Flow | None = None


async def open_portal_session(
    mirror: Mirror, by: Actor, named: CustomerRef, portal_of: PortalOf, look: PortalLook
) -> str:
    """Return a URL that signs the customer in to the portal; it is valid for some minutes.

    A customer may have several Stripe customers, one for each order placed without proof of
    identity (rule 11) and one for each currency, and the portal shows one of them: that of the
    subscription, if one is named; else their principal one; else that of their latest subscription
    that is paid for. NotFoundError for an unknown customer, or one without such a Stripe customer.
    """
    async with acquired(mirror.pool) as conn:
        customer_id = await require_customer(conn, named)
        if portal_of.subscription_id:
            owner = CustomerRef(customer_id)
            await require_subscription(conn, mirror, portal_of.subscription_id, owner)
        candidates = await repository.customers.list_stripe_customers(
            conn,
            customer_id,
            portal_of.subscription_id,
            portal_of.currency,
            livemode=mirror.livemode,
        )
    target = audit.Target("customer", str(customer_id))
    async with audit.attempt(mirror.pool, by, "customer.portal", target) as entry:
        for stripe_customer_id in candidates:
            try:
                url = await create_portal_session(mirror.stripe, _params(stripe_customer_id, look))
            except StripeObjectMissingError as missing:
                if missing.param == "configuration":
                    raise _unknown_configuration(look) from missing
                continue  # a customer who is deleted, or of another account
            entry.note(stripeCustomerId=stripe_customer_id)
            return url
        raise NotFoundError(
            "This customer has not paid through Stripe yet; for the portal of a trial,"
            " name its subscription.",
            code="no_stripe_customer",
        )


def _params(stripe_customer_id: str, look: PortalLook) -> Mapping[str, Any]:
    params: dict[str, Any] = {"customer": stripe_customer_id, "return_url": look.return_url}
    if look.configuration is not None:
        params["configuration"] = look.configuration
    if look.flow is not None:
        leads_back = {"type": "redirect", "redirect": {"return_url": look.return_url}}
        params["flow_data"] = {"type": look.flow, "after_completion": leads_back}
    return params


def _unknown_configuration(look: PortalLook) -> StripeError:
    return StripeError(
        f"Stripe does not have {look.configuration}, which STRIPE_PORTAL_CONFIGURATION names; "
        "`mpanel-billing stripe portal ensure` makes one."
    )
