"""What the pages of a customer and of a subscription show the latest of, in full, page by page."""

from typing import get_args
from uuid import UUID

from mpanel_billing.console.pages import Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.http import keys
from mpanel_billing.http.schemas.invoices import Status
from mpanel_billing.subscriptions.invoice_actions import get_upcoming
from mpanel_billing.subscriptions.lookup import (
    CustomerRef,
    get_subscription,
    list_invoices,
    list_subscriptions,
)
from mpanel_billing.subscriptions.paging import Place, Span, cut_page, read_cursor

pages = Pages()

MOST = 50
STATUSES: tuple[Status, ...] = get_args(Status)


@pages.page("/console/customers/{id}/invoices", scope="billing:read")
async def show_invoices(visit: Visit, given: Given) -> Page:
    """Show a customer's invoices, the latest first."""
    place = f"/console/customers/{given.id}"
    return await _invoices(visit, given, place, CustomerRef(given.id), None)


@pages.page("/console/subscriptions/{id}/invoices", scope="billing:read")
async def show_invoices_of_one(visit: Visit, given: Given) -> Page:
    """Show a subscription's invoices, the latest first."""
    place = f"/console/subscriptions/{given.id}"
    return await _invoices(visit, given, place, CustomerRef(), given.id)


async def _invoices(
    visit: Visit, given: Given, place: str, named: CustomerRef, subscription_id: UUID | None
) -> Page:
    status = next((one for one in STATUSES if one == given.text("status")), None)
    rows = await list_invoices(visit.app[keys.MIRROR], named, subscription_id, _span(given), status)
    shown, more = cut_page(rows, MOST, lambda row: Place(row.stripe_created, row.id))
    values = {"place": place, "invoices": shown, "more": more, "status": status}
    return Page("invoices.html", {**values, "statuses": STATUSES})


@pages.page("/console/customers/{id}/subscriptions", scope="admin:read")
async def show_subscriptions(visit: Visit, given: Given) -> Page:
    """Show a customer's subscriptions that were paid for once, the latest first."""
    rows = await list_subscriptions(visit.app[keys.MIRROR], CustomerRef(given.id), _span(given))
    shown, more = cut_page(rows, MOST, lambda row: Place(row.created_at, row.id))
    values = {"place": f"/console/customers/{given.id}", "subscriptions": shown, "more": more}
    return Page("subscriptions.html", values)


@pages.page("/console/subscriptions/{id}/next-invoice", scope="billing:read")
async def show_next_invoice(visit: Visit, given: Given) -> Page:
    """Show a subscription's next invoice as Stripe foresees it."""
    mirror = visit.app[keys.MIRROR]
    held = await get_subscription(mirror, given.id, CustomerRef())
    upcoming = await get_upcoming(mirror, given.id, CustomerRef())
    return Page("next_invoice.html", {"subscription": held, "upcoming": upcoming})


def _span(given: Given) -> Span:
    return Span(MOST + 1, read_cursor(given.text("after") or None))
