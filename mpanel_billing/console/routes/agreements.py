"""What is agreed with a customer about suspension for a debt."""

from dataclasses import replace
from typing import Any

from mpanel_billing.console.forms import read_day
from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.console.words import say
from mpanel_billing.errors import BillingError, ConflictError, InvalidRequestError
from mpanel_billing.http import keys
from mpanel_billing.provisioning import leniency
from mpanel_billing.provisioning.policy import policy_of
from mpanel_billing.subscriptions.lookup import CustomerRef, get_subscription

pages = Pages()

_ONE = "/console/subscriptions/{id}"
_FIELDS = ("grace_days", "not_before", "whole_customer", "reason")

agreeing = pages.action("lenient", f"{_ONE}/lenient", scope="admin:operate")


@agreeing.show
async def show_agree(visit: Visit, given: Given) -> Page:
    """Show from when on debts would suspend, as things are and as would be agreed."""
    values = await _facts(visit, given)
    values |= {name: given.text(name) for name in _FIELDS}
    if not values["grace_days"] and not values["not_before"]:
        return Page("lenient.html", values)
    try:
        values["changes"] = await _preview(visit, given, _agreement(visit, given))
    except BillingError as error:
        return Page("lenient.html", {**values, "error": error}, error.status)
    return Page("lenient.html", values)


@agreeing.do
async def do_agree(visit: Visit, given: Given) -> Done:
    """Agree on what was shown, in place of what was agreed before."""
    agreement = replace(_agreement(visit, given), reason=given.reason())
    await leniency.agree_leniency(
        visit.app[keys.POOL],
        given.id,
        agreement,
        operator=visit.actor.person or visit.actor.name,
        by=visit.actor,
    )
    return Done(f"/console/subscriptions/{given.id}", "agreed")


ending = pages.action("strict", f"{_ONE}/strict", scope="admin:operate")


@ending.show
async def show_end(visit: Visit, given: Given) -> Page:
    """Show from when on debts suspend once what was agreed is over."""
    values = await _facts(visit, given)
    ends = [one for one in values["agreed"] if one["whole_customer"] == _is_whole(given)]
    if not ends:
        raise ConflictError(say("refusal.nothing_agreed"))
    changes = await _preview(visit, given, None)
    whole_customer = given.text("whole_customer")
    return Page(
        "strict.html",
        {**values, "ends": ends[0], "changes": changes, "whole_customer": whole_customer},
    )


@ending.do
async def do_end(visit: Visit, given: Given) -> Done:
    """Return to the host's rules."""
    await leniency.end_leniency(
        visit.app[keys.POOL], given.id, whole_customer=_is_whole(given), by=visit.actor
    )
    return Done(f"/console/subscriptions/{given.id}", "agreement_ended")


async def _facts(visit: Visit, given: Given) -> dict[str, Any]:
    mirror = visit.app[keys.MIRROR]
    return {
        "subscription": await get_subscription(mirror, given.id, CustomerRef()),
        "agreed": await leniency.list_leniency(mirror.pool, given.id),
        "host_days": visit.app[keys.SETTINGS].grace_days,
        "most": leniency.MOST_SHOWN,
        "changes": None,
    }


async def _preview(
    visit: Visit, given: Given, agreement: leniency.Agreement | None
) -> list[leniency.Change]:
    policy = policy_of(visit.app[keys.SETTINGS])
    changes = await leniency.preview_leniency(
        visit.app[keys.POOL], policy, given.id, agreement, whole_customer=_is_whole(given)
    )
    return list(changes)


def _agreement(visit: Visit, given: Given) -> leniency.Agreement:
    """Return what is to be agreed; InvalidRequestError."""
    days, before = given.number("grace_days"), given.text("not_before")
    if days is not None and days > leniency.MOST_GRACE_DAYS:
        raise InvalidRequestError(
            say("refusal.days_of_grace", n=leniency.MOST_GRACE_DAYS),
            fields={"grace_days": "are too many"},
        )
    return leniency.Agreement(
        given.text("reason"),
        days,
        read_day(before, visit.zone, is_start=True) if before else None,
        whole_customer=_is_whole(given),
    )


def _is_whole(given: Given) -> bool:
    return given.text("whole_customer") == "yes"
