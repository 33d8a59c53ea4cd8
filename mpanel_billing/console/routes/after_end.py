"""What is billed after all: a draft that waits, a customer who comes back, money paid too late."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from mpanel_billing.console.forms import read_hidden_number
from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.console.words import say
from mpanel_billing.errors import BillingError, ConflictError, InvalidRequestError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.provisioning import late_payments, operations
from mpanel_billing.subscriptions.drafts import collect_draft, find_draft
from mpanel_billing.subscriptions.lifecycle import ChangeRequest
from mpanel_billing.subscriptions.lookup import CustomerRef, get_subscription
from mpanel_billing.subscriptions.revival import preview_revival, revive

pages = Pages()

_ONE = "/console/subscriptions/{id}"

collecting = pages.action("collect_draft", f"{_ONE}/collect-draft", scope="admin:money")


@collecting.show
async def show_collect(visit: Visit, given: Given) -> Page:
    """Show which draft is issued, and what is charged."""
    mirror = visit.app[keys.MIRROR]
    held = await get_subscription(mirror, given.id, CustomerRef())
    draft = await find_draft(mirror, given.id)
    values = {"subscription": held, "draft": draft, "key": given.form_key}
    return Page("collect_draft.html", values)


@collecting.do
async def do_collect(visit: Visit, given: Given) -> Done:
    """Issue and charge exactly the draft that was shown."""
    mirror = visit.app[keys.MIRROR]
    shown = (given.text("invoice"), read_hidden_number(given.text("owed")))
    await collect_draft(mirror, given.id, visit.actor, shown=shown)
    return Done(f"/console/subscriptions/{given.id}", "draft_collected")


revival = pages.action("revive", f"{_ONE}/revive", scope="admin:money")


@revival.show
async def show_revive(visit: Visit, given: Given) -> Page:
    """Show from when on what is billed again, and which accounts come back."""
    mirror = visit.app[keys.MIRROR]
    held = await get_subscription(mirror, given.id, CustomerRef())
    values: dict[str, Any] = {
        "subscription": held,
        "services": await operations.list_services(mirror.pool, given.id),
        "without_discounts": given.text("without_discounts"),
        "preview": None,
        "key": given.form_key,
    }
    if not held.is_over:
        raise ConflictError(say("refusal.not_ended"), code="not_ended")
    try:
        values["preview"] = await preview_revival(
            mirror, _request(visit, given), without_discounts=_without_discounts(given)
        )
    except BillingError as error:
        return Page("revive.html", {**values, "error": error}, error.status)
    return Page("revive.html", values)


@revival.do
async def do_revive(visit: Visit, given: Given) -> Done:
    """Bill the customer again as it was shown; the same form once."""
    revived = await revive(
        visit.app[keys.MIRROR],
        _request(visit, given),
        without_discounts=_without_discounts(given),
        promise=given.text("promise"),
    )
    return Done(f"/console/subscriptions/{revived.subscription.id}", "revived")


keeping = pages.action("keep_payment", f"{_ONE}/keep-payment", scope="admin:money")


@keeping.show
async def show_keep(visit: Visit, given: Given) -> Page:
    """Show which payments are settled, and what becomes of the accounts."""
    mirror = visit.app[keys.MIRROR]
    held = await get_subscription(mirror, given.id, CustomerRef())
    payments = await late_payments.list_payments(mirror.pool, given.id)
    if not payments:
        raise ConflictError(say("refusal.no_late_payment"))
    values = {
        "subscription": held,
        "payments": payments,
        "paid": _write(payments),
        "reason": given.text("reason"),
    }
    return Page("keep_payment.html", values)


@keeping.do
async def do_keep(visit: Visit, given: Given) -> Done:
    """Declare that what was paid after the end is settled, if it is what was shown."""
    await late_payments.keep_payments(
        visit.app[keys.POOL],
        given.id,
        reason=given.reason(),
        operator=visit.actor.person or visit.actor.name,
        by=visit.actor,
        shown=_read_paid(given.text("paid")),
    )
    return Done(f"/console/subscriptions/{given.id}", "payment_kept")


adopting = pages.action("adopt", f"{_ONE}/adopt", scope="admin:operate")


@adopting.show
async def show_adopt(visit: Visit, given: Given) -> Page:
    """Show which tenants of the same customer it can have, and what becomes of its own."""
    mirror = visit.app[keys.MIRROR]
    values = {
        "subscription": await get_subscription(mirror, given.id, CustomerRef()),
        "services": await operations.list_services(mirror.pool, given.id),
        "tenants": await operations.list_adoptable(mirror.pool, given.id),
        "tenant": given.text("tenant"),
        "retention_days": visit.app[keys.SETTINGS].retention_days,
    }
    if not values["tenants"]:
        raise ConflictError(say("refusal.not_adoptable"))
    return Page("adopt.html", values)


@adopting.do
async def do_adopt(visit: Visit, given: Given) -> Done:
    """Give the subscription the chosen tenant; the same form once."""
    try:
        tenant = UUID(given.text("tenant"))
    except ValueError:
        raise InvalidRequestError(say("refusal.no_tenant")) from None
    try:
        await operations.adopt(visit.app[keys.POOL], given.id, tenant, visit.actor)
    except (ConflictError, NotFoundError) as error:
        raise ConflictError(say("refusal.not_adoptable")) from error
    return Done(f"/console/subscriptions/{given.id}", "adopted")


def _request(visit: Visit, given: Given) -> ChangeRequest:
    return ChangeRequest(visit.actor, given.id, CustomerRef(), given.text("key") or None)


def _without_discounts(given: Given) -> bool:
    return given.text("without_discounts") == "yes"


def _write(payments: Sequence[late_payments.KeptPayment]) -> str:
    """Return payments as a form keeps them."""
    return " ".join(f"{one.stripe_invoice_id}={one.amount}" for one in payments)


def _read_paid(text: str) -> set[tuple[str, int]]:
    """Return what `_write` has written; InvalidRequestError for any other text."""
    pairs = (one.partition("=")[::2] for one in text.split())
    return {(invoice, read_hidden_number(amount)) for invoice, amount in pairs}
