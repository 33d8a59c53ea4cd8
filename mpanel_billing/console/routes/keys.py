"""API keys: who has which, making one, rolling one, revoking one."""

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from ipaddress import ip_network
from typing import Any

import asyncpg

from mpanel_billing.access import keys as access
from mpanel_billing.access.key import SCOPES, Limits, Network, Scope, read_scopes
from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.console.words import say
from mpanel_billing.errors import BillingError, InvalidRequestError, NotFoundError
from mpanel_billing.http import keys

pages = Pages()

_LIST = "/console/keys"
_OVERLAPS = (24, 1, 7 * 24, 0)
"""Hours for which an old key works on, the proposed one first."""
_MOST_DIGITS = 12
_MOST_NUMBER = 10**_MOST_DIGITS


class KeysNotGrantedError(BillingError):
    """The role of the web process may not make keys."""

    status = HTTPStatus.FORBIDDEN
    code = "keys_not_granted"

    def __init__(self) -> None:
        """Say what makes keys instead, and what would allow it."""
        super().__init__(say("refusal.keys_not_granted"))


@pages.page(_LIST, scope="admin:read")
async def show_keys(visit: Visit, given: Given) -> Page:
    """Show the keys that work, or all; never the keys themselves."""
    pool, everyone = visit.app[keys.POOL], given.text("all") != ""
    rows = await access.list_keys(pool)
    shown = [row for row in rows if everyone or row["state"] == "valid"]
    granted = await access.may_give(pool)
    return Page("keys.html", {"rows": shown[::-1], "everyone": everyone, "granted": granted})


make = pages.action("make_key", f"{_LIST}/new", scope="admin:keys")


@make.show
async def show_make(visit: Visit, given: Given) -> Page:
    """Show the form of a key, and what it would give once its name is there."""
    await _require_granted(visit)
    days = given.text("days") or str(access.YEAR.days)
    values: dict[str, Any] = {
        "scopes": [one for one in SCOPES if visit.session.holder.may(one)],
        "chosen": _chosen(given),
        "given": {**{name: given.text(name) for name in _FIELDS}, "days": days},
        "preview": None,
    }
    if not given.text("name"):
        return Page("make_key.html", values)
    try:
        wanted = _read(given)
        asked = {name: wanted[name] for name in ("name", "scopes", "limits")}
        await access.check_new_key(visit.app[keys.POOL], giver=visit.session.holder, **asked)
    except BillingError as error:
        return Page("make_key.html", {**values, "error": error}, error.status)
    preview = {**wanted, "ends": datetime.now(UTC) + wanted["lifetime"]}
    return Page("make_key.html", {**values, "preview": preview})


@make.do
async def do_make(visit: Visit, given: Given) -> Page:
    """Make the key, and show it this once."""
    await _require_granted(visit)
    made = await access.create_key(
        visit.app[keys.POOL], visit.actor, giver=visit.session.holder, **_read(given)
    )
    return _shown_once(given.text("name"), made, replaced=None)


roll = pages.action("roll_key", f"{_LIST}/{{id}}/roll", scope="admin:keys")


@roll.show
async def show_roll(visit: Visit, given: Given) -> Page:
    """Show what takes the place of a key, and for how long the old one works."""
    await _require_granted(visit)
    pool, id_, settings = visit.app[keys.POOL], given.path["id"], visit.app[keys.SETTINGS]
    hours = _hours(given)
    values = {
        "key": await access.get_key_to_roll(pool, id_, visit.session.holder),
        "row": await _row(visit, id_),
        "hours": hours,
        "overlaps": _OVERLAPS,
        "until": datetime.now(UTC) + timedelta(hours=hours),
        "is_own": id_ == visit.session.holder.key_id,
        "is_named": id_ in {settings.console_proxy_key, *settings.console_oidc_groups.values()},
    }
    return Page("roll_key.html", values)


@roll.do
async def do_roll(visit: Visit, given: Given) -> Page:
    """Roll the key, and show the new one this once."""
    await _require_granted(visit)
    rolled = await access.roll_key(
        visit.app[keys.POOL],
        visit.actor,
        given.path["id"],
        overlap=timedelta(hours=_hours(given)),
        giver=visit.session.holder,
    )
    return _shown_once(rolled.name, rolled.new, replaced=rolled)


revoke = pages.action("revoke_key", f"{_LIST}/{{id}}/revoke", scope="admin:keys")


@revoke.show
async def show_revoke(visit: Visit, given: Given) -> Page:
    """Show who can no longer do what."""
    await _require_granted(visit)
    id_ = given.path["id"]
    is_own = id_ == visit.session.holder.key_id
    return Page("revoke_key.html", {"row": await _row(visit, id_), "is_own": is_own})


@revoke.do
async def do_revoke(visit: Visit, given: Given) -> Done:
    """Revoke the key for good."""
    await _require_granted(visit)
    await access.revoke_key(visit.app[keys.POOL], visit.actor, given.path["id"])
    return Done(_LIST, "key_revoked")


async def _require_granted(visit: Visit) -> None:
    if not await access.may_give(visit.app[keys.POOL]):
        raise KeysNotGrantedError


async def _row(visit: Visit, id_: str) -> asyncpg.Record:
    rows = await access.list_keys(visit.app[keys.POOL])
    found = next((row for row in rows if row["id"] == id_), None)
    if found is None:
        raise NotFoundError(say("refusal.no_key", id=id_))
    return found


def _shown_once(name: str, made: access.IssuedKey, replaced: access.RolledKey | None) -> Page:
    return Page("key_made.html", {"name": name, "made": made, "replaced": replaced})


_FIELDS = ("name", "days", "networks", "calls_per_minute", "refunds_per_day")


def _chosen(given: Given) -> list[Scope]:
    return [scope for scope in SCOPES if given.text(f"scope {scope}")]


def _read(given: Given) -> dict[str, Any]:
    days = _number(given, "days", least=1, most=access.LONGEST_DAYS)
    if days is None:
        raise InvalidRequestError(say("refusal.no_days"))
    return {
        "name": given.text("name"),
        "scopes": read_scopes(_chosen(given)),
        "lifetime": timedelta(days=days),
        "limits": Limits(
            _networks(given.text("networks")),
            _number(given, "calls_per_minute", least=1, most=_MOST_NUMBER),
            _number(given, "refunds_per_day", least=0, most=_MOST_NUMBER),
        ),
    }


def _networks(text: str) -> tuple[Network, ...] | None:
    try:
        return tuple(ip_network(one) for one in text.replace(",", " ").split()) or None
    except ValueError as error:
        raise InvalidRequestError(say("refusal.networks", why=error)) from None


def _number(given: Given, name: str, *, least: int, most: int) -> int | None:
    text = given.text(name)
    if not text:
        return None
    is_number = text.isascii() and text.isdigit() and len(text) < _MOST_DIGITS
    number = int(text) if is_number else -1
    if not least <= number <= most:
        raise InvalidRequestError(say("refusal.not_between", text=text, least=least, most=most))
    return number


def _hours(given: Given) -> int:
    asked = given.text("hours")
    return next((hours for hours in _OVERLAPS if str(hours) == asked), _OVERLAPS[0])
