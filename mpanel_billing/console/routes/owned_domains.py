"""A domain on one page, and what is done about it: its years, its plan, its way to others."""

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.console.words import say
from mpanel_billing.errors import ConflictError, InvalidRequestError
from mpanel_billing.http import keys
from mpanel_billing.search.customer import read_record
from mpanel_billing.search.work_lists import get_domain
from mpanel_billing.subscriptions import owned_domains
from mpanel_billing.subscriptions.lookup import CustomerRef
from mpanel_billing.subscriptions.owned_domains import DomainRequest
from mpanel_billing.subscriptions.owned_domains import get_domain as get_owned

pages = Pages()

_ONE = "/console/domains/{id}"
_SWITCHES: Mapping[str, bool] = {"on": True, "off": False}
_HELD = frozenset({"active", "renewing", "expired"})
_OVER = frozenset({"released", "failed", "transferred_out"})
_TARGETS = frozenset({"pending", "active", "suspended"})
"""The states of a subscription whose tenant can get a domain."""


@pages.page(_ONE, scope="admin:read")
async def show_domain(visit: Visit, given: Given) -> Page:
    """Show whose a domain is, how it stands, and what can be done about it."""
    domain = await get_owned(visit.app[keys.MIRROR], given.id, CustomerRef())
    state = await get_domain(visit.app[keys.POOL], given.id)
    has_driver = domain.driver is not None
    values = {
        "domain": domain,
        "error": None,
        "trouble": state["error"],
        "is_refund": state["is_refund"],
        "price": domain.price_at(datetime.now(UTC)),
        "can_renew": has_driver and domain.expires_at is not None and domain.state in _HELD,
        "can_leave": has_driver and domain.state in _HELD,
        "can_move": domain.state in _HELD and domain.customer_id is not None,
        "can_release": domain.subscription_id is None and domain.state not in _OVER,
    }
    return Page("domain.html", values)


switching = pages.action("auto_renew", f"{_ONE}/auto-renew", scope="billing:change")


@switching.show
async def show_switch(visit: Visit, given: Given) -> Page:
    """Show what is charged each year from then on, or what no longer is."""
    domain = await get_owned(visit.app[keys.MIRROR], given.id, CustomerRef())
    on = _SWITCHES.get(given.text("switch"), not domain.auto_renew)
    values = {
        "domain": domain,
        "switch": "on" if on else "off",
        "price": owned_domains.price_of_year(domain) if on else None,
    }
    return Page("auto_renew.html", values)


@switching.do
async def do_switch(visit: Visit, given: Given) -> Done:
    """Have further years charged for the price that was shown, or not."""
    on = _SWITCHES.get(given.text("switch"))
    if on is None:
        raise InvalidRequestError(say("refusal.start_again"))
    price = _shown_price(given) if on else None
    await owned_domains.set_auto_renew(
        visit.app[keys.MIRROR], _request(visit, given), on=on, price=price
    )
    return _done(given, "domain_charged" if on else "domain_not_charged")


renewing = pages.action("renew_domain", f"{_ONE}/renew", scope="billing:change")


@renewing.show
async def show_renew(visit: Visit, given: Given) -> Page:
    """Show what the year that follows costs, and how it is charged."""
    domain = await get_owned(visit.app[keys.MIRROR], given.id, CustomerRef())
    values = {
        "domain": domain,
        "price": owned_domains.price_of_year(domain),
        "late_days": owned_domains.LATE_DAYS,
    }
    return Page("renew_domain.html", values)


@renewing.do
async def do_renew(visit: Visit, given: Given) -> Done:
    """Have the year that follows charged now; the same form once."""
    await owned_domains.order_year(
        visit.app[keys.MIRROR], _request(visit, given), price=_shown_price(given)
    )
    return _done(given, "domain_renewed")


releasing = pages.action("release_domain", f"{_ONE}/release", scope="billing:change")


@releasing.show
async def show_release(visit: Visit, given: Given) -> Page:
    """Show who loses the name, and what is no longer charged."""
    domain = await get_owned(visit.app[keys.MIRROR], given.id, CustomerRef())
    if domain.subscription_id is not None or domain.state in _OVER:
        raise ConflictError(say("refusal.domain_in_use"), code="domain_in_use")
    return Page("release_domain.html", {"domain": domain})


@releasing.do
async def do_release(visit: Visit, given: Given) -> Done:
    """Let others have the name."""
    await owned_domains.release(visit.app[keys.MIRROR], _request(visit, given))
    return _done(given, "domain_released")


leaving = pages.action("transfer_out", f"{_ONE}/transfer-out", scope="billing:transfer-out")


@leaving.show
async def show_leave(visit: Visit, given: Given) -> Page:
    """Show what the registrar is asked for, and who gets to see the auth code."""
    domain = await get_owned(visit.app[keys.MIRROR], given.id, CustomerRef())
    if domain.driver is None or domain.state not in _HELD:
        raise ConflictError(say("refusal.not_at_registrar"), code="not_at_registrar")
    return Page("transfer_out.html", {"domain": domain})


@leaving.do
async def do_leave(visit: Visit, given: Given) -> Page:
    """Unlock the domain, and show its auth code once: it is stored nowhere."""
    domain, code = await owned_domains.get_auth_code(
        visit.app[keys.MIRROR], visit.app[keys.DRIVERS], _request(visit, given)
    )
    return Page("auth_code.html", {"domain": domain, "code": code})


moving = pages.action("move_domain", f"{_ONE}/move", scope="billing:change")


@moving.show
async def show_move(visit: Visit, given: Given) -> Page:
    """Show which subscriptions of its customer can have the domain."""
    domain = await get_owned(visit.app[keys.MIRROR], given.id, CustomerRef())
    if domain.customer_id is None or domain.state not in _HELD:
        raise ConflictError(say("refusal.domain_not_movable"), code="domain_not_movable")
    record = await read_record(visit.app[keys.POOL], domain.customer_id)
    targets = [
        row
        for row in record.subscriptions
        if row["status"] in _TARGETS and row["subscription_id"] != domain.subscription_id
    ]
    return Page("move_domain.html", {"domain": domain, "targets": targets, "to": given.text("to")})


@moving.do
async def do_move(visit: Visit, given: Given) -> Done:
    """Give it to the tenant of the chosen subscription."""
    try:
        to = UUID(given.text("to"))
    except ValueError:
        raise InvalidRequestError(say("refusal.no_target")) from None
    await owned_domains.move(visit.app[keys.MIRROR], _request(visit, given), to)
    return _done(given, "domain_moved")


def _request(visit: Visit, given: Given) -> DomainRequest:
    return DomainRequest(visit.actor, given.id, CustomerRef())


def _done(given: Given, notice: str) -> Done:
    return Done(f"/console/domains/{given.id}", notice)


def _shown_price(given: Given) -> int:
    """Return the price that the form shows; InvalidRequestError without one."""
    price = given.number("price")
    if price is None:
        raise InvalidRequestError(say("refusal.start_again"))
    return price
