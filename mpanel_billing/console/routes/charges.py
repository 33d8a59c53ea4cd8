"""What a subscription is charged once, with its next invoice; until then it can be withdrawn."""

from collections.abc import Sequence
from typing import Any

from mpanel_billing.console.forms import read_amount
from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.console.words import say
from mpanel_billing.errors import BillingError, InvalidRequestError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.http.schemas.base import LONGEST_REASON
from mpanel_billing.stripe_gateway.one_off_charges import OneOffCharge
from mpanel_billing.subscriptions.lifecycle import ChangeRequest
from mpanel_billing.subscriptions.lookup import CustomerRef, get_subscription
from mpanel_billing.subscriptions.manual_invoices import NewLine
from mpanel_billing.subscriptions.one_off_charges import (
    add_charge,
    list_charges,
    preview_charge,
    withdraw_charge,
)
from mpanel_billing.subscriptions.records import Subscription

pages = Pages()

charge = pages.action("charge", "/console/subscriptions/{id}/charge", scope="billing:change")


@charge.show
async def show_charge(visit: Visit, given: Given) -> Page:
    """Show the next invoice as it would be with the charge."""
    mirror = visit.app[keys.MIRROR]
    held = await get_subscription(mirror, given.id, CustomerRef())
    asked = {name: given.text(name) for name in ("description", "amount", "reason")}
    values: dict[str, Any] = {
        "subscription": held,
        **asked,
        "preview": None,
        "key": given.form_key,
    }
    values["waiting"] = await _list_waiting(visit, held)
    if not asked["description"] and not asked["amount"]:
        return Page("charge.html", values)
    try:
        request, line = _change(visit, given, held), _new_line(given, held, visit.words.language)
        preview = await preview_charge(mirror, request, line)
    except BillingError as error:
        return Page("charge.html", {**values, "error": error}, error.status)
    return Page("charge.html", {**values, "preview": preview})


@charge.do
async def do_charge(visit: Visit, given: Given) -> Done:
    """Put the charge on the next invoice; the same form once."""
    mirror = visit.app[keys.MIRROR]
    held = await get_subscription(mirror, given.id, CustomerRef())
    reason = given.line("reason", LONGEST_REASON) or None
    await add_charge(
        mirror,
        _change(visit, given, held),
        _new_line(given, held, visit.words.language),
        reason=reason,
    )
    return Done(f"/console/subscriptions/{given.id}", "charged")


withdrawal = pages.action(
    "withdraw_charge", "/console/subscriptions/{id}/withdraw-charge", scope="billing:change"
)


@withdrawal.show
async def show_withdrawal(visit: Visit, given: Given) -> Page:
    """Show which charge is taken off the next invoice."""
    held = await get_subscription(visit.app[keys.MIRROR], given.id, CustomerRef())
    waiting = await _list_waiting(visit, held)
    charge = next((one for one in waiting if one.id == given.text("charge")), None)
    if charge is None:
        raise NotFoundError(say("refusal.charge_gone"), code="unknown_charge")
    values = {"subscription": held, "charge": charge, "reason": given.text("reason")}
    return Page("withdraw_charge.html", values | {"key": given.form_key})


@withdrawal.do
async def do_withdraw(visit: Visit, given: Given) -> Done:
    """Take the charge off the next invoice; the same form once."""
    mirror = visit.app[keys.MIRROR]
    held = await get_subscription(mirror, given.id, CustomerRef())
    reason = given.line("reason", LONGEST_REASON) or None
    await withdraw_charge(mirror, _change(visit, given, held), given.text("charge"), reason=reason)
    return Done(f"/console/subscriptions/{given.id}", "charge_withdrawn")


async def _list_waiting(visit: Visit, held: Subscription) -> Sequence[OneOffCharge]:
    """Return what is to be billed with the next invoice, the newest first."""
    made = await list_charges(visit.app[keys.MIRROR], held.id, CustomerRef(held.customer_id))
    return [one for one in made if one.stripe_invoice_id is None]


def _change(visit: Visit, given: Given, held: Subscription) -> ChangeRequest:
    key = given.text("key") or None
    return ChangeRequest(visit.actor, held.id, CustomerRef(held.customer_id), key)


def _new_line(given: Given, held: Subscription, language: str) -> NewLine:
    description = given.line("description", LONGEST_REASON)
    amount = read_amount(given.text("amount"), held.currency, language)
    if not description or not amount:
        raise InvalidRequestError(say("refusal.no_charge"))
    return NewLine(description, amount)
