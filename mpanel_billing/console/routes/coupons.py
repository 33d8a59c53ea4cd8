"""Coupons: what codes take off, who has had them, and which a subscription gets or loses."""

from http import HTTPStatus
from typing import Any

from mpanel_billing.catalogue.service import read_catalogue
from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.console.words import say
from mpanel_billing.errors import BillingError, InvalidRequestError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.subscriptions import coupons
from mpanel_billing.subscriptions.lifecycle import ChangeRequest
from mpanel_billing.subscriptions.lookup import CustomerRef, get_subscription
from mpanel_billing.subscriptions.records import Subscription

pages = Pages()

_HOME = "/console/coupons"
_ONE = "/console/subscriptions/{id}"
MOST = 100
LONGEST_CODE = 100


@pages.page(_HOME, scope="billing:read")
async def show_coupons(visit: Visit, given: Given) -> Page:
    """Show the coupons of the catalogue, and a box for any code, be it Stripe's."""
    mirror = visit.app[keys.MIRROR]
    on_sale = await read_catalogue(mirror.pool, livemode=mirror.livemode)
    values = {"coupons": on_sale.coupons[:MOST], "is_cut": len(on_sale.coupons) > MOST}
    return Page("coupons.html", {**values, "code": given.text("code")})


@pages.page(f"{_HOME}/code", scope="billing:read")
async def show_coupon(visit: Visit, given: Given) -> Page:
    """Show a coupon of the catalogue, and who has redeemed a code, the latest first."""
    mirror, code = visit.app[keys.MIRROR], given.text("code")[:LONGEST_CODE].upper()
    on_sale = await read_catalogue(mirror.pool, livemode=mirror.livemode)
    coupon = next((one for one in on_sale.coupons if one.code == code), None)
    rows = await coupons.list_redemptions_with(mirror, code)
    if coupon is None and not rows:
        raise NotFoundError(say("refusal.no_coupon"))
    values = {"code": code, "coupon": coupon, "redemptions": rows}
    return Page("coupon.html", {**values, "is_cut": len(rows) == coupons.MOST_REDEMPTIONS})


application = pages.action("apply_coupon", f"{_ONE}/coupon", scope="billing:change")


@application.show
async def show_application(visit: Visit, given: Given) -> Page:
    """Show what a code takes off the next invoice, or that it is not valid for the subscription."""
    held = await _subscription(visit, given)
    values = _asked(given, held) | {"code": given.text("code").upper(), "found": None}
    if not values["code"]:
        return Page("apply_coupon.html", values)
    try:
        found = await coupons.preview_coupon(
            visit.app[keys.MIRROR],
            _request(visit, given, held),
            _code(given),
            promotion_codes=visit.app[keys.CHECKOUT].promotion_codes,
        )
    except BillingError as error:
        return Page("apply_coupon.html", {**values, "error": error}, error.status)
    status = HTTPStatus.OK if found else HTTPStatus.CONFLICT
    return Page("apply_coupon.html", {**values, "found": found}, status)


@application.do
async def do_apply(visit: Visit, given: Given) -> Done:
    """Give the subscription the discount that was shown; the same form once."""
    held = await _subscription(visit, given)
    await coupons.apply_coupon(
        visit.app[keys.MIRROR],
        _request(visit, given, held),
        _code(given),
        reason=given.optional_reason(),
        promotion_codes=visit.app[keys.CHECKOUT].promotion_codes,
        shown=given.text("coupon"),
    )
    return Done(f"/console/subscriptions/{held.id}", "coupon_applied")


removal = pages.action("remove_coupon", f"{_ONE}/remove-coupon", scope="billing:change")


@removal.show
async def show_removal(visit: Visit, given: Given) -> Page:
    """Show what the next invoice comes to without a discount."""
    held = await _subscription(visit, given)
    values = _asked(given, held) | {"coupon": given.text("coupon"), "preview": None}
    try:
        preview = await coupons.preview_removal(
            visit.app[keys.MIRROR], _request(visit, given, held), given.text("coupon")
        )
    except BillingError as error:
        return Page("remove_coupon.html", {**values, "error": error}, error.status)
    return Page("remove_coupon.html", {**values, "preview": preview})


@removal.do
async def do_remove(visit: Visit, given: Given) -> Done:
    """Take the discount off the subscription; the same form once."""
    held = await _subscription(visit, given)
    await coupons.remove_coupon(
        visit.app[keys.MIRROR],
        _request(visit, given, held),
        given.text("coupon"),
        reason=given.optional_reason(),
    )
    return Done(f"/console/subscriptions/{held.id}", "coupon_removed")


def _asked(given: Given, held: Subscription) -> dict[str, Any]:
    return {"subscription": held, "reason": given.text("reason"), "key": given.form_key}


async def _subscription(visit: Visit, given: Given) -> Subscription:
    return await get_subscription(visit.app[keys.MIRROR], given.id, CustomerRef())


def _request(visit: Visit, given: Given, held: Subscription) -> ChangeRequest:
    key = given.text("key") or None
    return ChangeRequest(visit.actor, held.id, CustomerRef(held.customer_id), key)


def _code(given: Given) -> str:
    code = given.text("code")
    if not 1 <= len(code) <= LONGEST_CODE:
        raise InvalidRequestError(say("refusal.no_code"), fields={"code": "is missing"})
    return code
