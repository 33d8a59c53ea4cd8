"""Writes pages: the templates, and how they show times, amounts and states."""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp_jinja2
import jinja2
from aiohttp import hdrs, web
from jinja2.runtime import Context
from markupsafe import Markup, escape

from mpanel_billing.console.pages import RENDER, UNSETTLED, Action, Page
from mpanel_billing.console.places import PLACES
from mpanel_billing.console.private import without_amounts
from mpanel_billing.console.settling import SEEN_AT, as_on_pages, offers_of, ways_of
from mpanel_billing.console.visit import VISIT, Visit
from mpanel_billing.console.words import Said, Words, choose_language, words_of
from mpanel_billing.http.response_headers import HEADERS, NO_STORE
from mpanel_billing.languages import ENGLISH, LANGUAGES
from mpanel_billing.numbers import write_money, write_number, write_plain

FILES = Path(__file__).parent / "files"

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_PAGE_HEADERS = {
    **HEADERS,
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "same-origin",  # without any, browsers hide where a form was sent from
    hdrs.CACHE_CONTROL: NO_STORE,
}

NONE = "\N{EN DASH}"

_TONES: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("active", "paid", "succeeded", "applied", "delivered", "done", "won", "issued", "ok"),
            *("clean", "repaired"),
        ),
        "good",
    ),
    **dict.fromkeys(
        (
            *("trialing", "pending", "open", "waiting", "received", "provisional", "attempted"),
            *("registering", "transferring", "verifying", "renewing"),
        ),
        "open",
    ),
    **dict.fromkeys(
        (
            *("past_due", "unpaid", "suspended", "failed", "uncollectible", "given_up", "lost"),
            *("needs_response", "warning_needs_response", "appeal_needs_response", "absent"),
            *("incomplete", "terminated_late", "disputed", "expired", "redemption", "drift"),
        ),
        "bad",
    ),
}
"""How a state is coloured; what is not here is past or neutral. The word itself is always there."""


_NUMBERS = frozenset(
    f"col.{name}"
    for name in (
        *("amount", "first_charge", "paid", "refunded", "owed"),
        *("attempts", "waiting", "given_up", "payers"),
        *("accounts", "arriving", "leaving", "weight", "events", "compared", "differed"),
        *("repaired", "used_up", "limit", "cost", "forecast"),
        *("subscriptions", "customers", "mrr", "share", "taken_off", "pays_still"),
    )
)
"""The heads of columns of numbers."""


@cache
def _environment() -> jinja2.Environment:
    """Load the templates: once in a process, because to compile them takes a second."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["languages"] = LANGUAGES
    environment.globals["numbers"] = _NUMBERS
    environment.globals["places"] = PLACES
    environment.globals["ways_of"] = ways_of
    environment.globals["offers_of"] = offers_of
    environment.globals["seen_at"] = SEEN_AT
    environment.globals["versions"] = {path.name: _version(path) for path in FILES.iterdir()}
    environment.filters["money"] = _money
    environment.filters["number"] = _number
    environment.filters["plain"] = _plain
    environment.filters["said"] = _said
    environment.filters["priced"] = _priced
    environment.filters["settled"] = _settled
    environment.filters["private"] = _private
    environment.filters["timed"] = _timed
    environment.filters["tone"] = lambda state: _TONES.get(str(state), "past")
    return environment


def prepare(app: web.Application, actions: Mapping[str, Action]) -> None:
    """Let an app write pages; `actions` are those that they may link to, by name."""
    app[aiohttp_jinja2.APP_KEY] = _environment()

    def render(request: web.Request, page: Page) -> web.Response:
        visit = request.get(VISIT)
        values = {**_common(request, visit, actions), **page.values}
        response = aiohttp_jinja2.render_template(
            page.template, request, values, status=page.status
        )
        response.headers.update(_PAGE_HEADERS)
        return response

    app[RENDER] = render


def _common(
    request: web.Request, visit: Visit | None, actions: Mapping[str, Action]
) -> dict[str, Any]:
    """Return what every template knows."""
    words = visit.words if visit else words_of(choose_language(request, None))
    shown = {
        "t": words,
        "named": lambda state: words.get(f"state.{state}", str(state)),
        "language": words.language,
        "path": request.rel_url.raw_path,
        "visit": visit,
        "error": None,
        "q": "",
        "notice": _notice(request, words),
        "unsettled": request.get(UNSETTLED),
    }
    if visit is None:
        return shown
    return shown | {
        "may": visit.may,
        "can": lambda name: visit.may(actions[name].scope),
        "address_of": lambda name, id_: actions[name].address_of(id_),
        "when": lambda moment: _when(visit, moment),
        "day": lambda moment: _day(visit, moment),
        "ago": lambda seconds: _ago(words, seconds),
        "form_token": visit.form_token,
    }


def _notice(request: web.Request, words: Words) -> str | None:
    """Return what an action has just done; a name that no action has says nothing."""
    name = request.query.get("done")
    return words.get(f"done.{name}", "") or None if name else None


@jinja2.pass_context
def _money(context: Context, minor: int | None, currency: str | None) -> str:
    if minor is None or not currency:
        return NONE
    return write_money(int(minor), currency, context["language"])


@jinja2.pass_context
def _number(context: Context, value: float, decimals: int = 0) -> str:
    return write_number(value, context["language"], decimals)


@jinja2.pass_context
def _plain(context: Context, value: object) -> str:
    return write_plain(value, context["language"])


@jinja2.pass_context
def _said(context: Context, text: str | None) -> str | None:
    """Return what a service has written in the person's language, or else marked as English.

    Times in it are in the person's zone, as all others.
    """
    return _timed(context, _in_words(context["t"], text))


@jinja2.pass_context
def _timed(context: Context, text: str | None) -> str | None:
    """Return a text with the times in it as pages show them; without a person there is no zone."""
    visit: Visit | None = context["visit"]
    if not text or visit is None or not _UTC.search(text):
        return text
    return Markup(_UTC.sub(lambda found: _when_told(visit, found), escape(text)))  # noqa: S704


def _when_told(visit: Visit, found: re.Match[str]) -> str:
    try:
        return _when(visit, datetime.fromisoformat(f"{found[1]}{found[2] or '+00'}"))
    except ValueError:  # what others have written need not be a time
        return found[0]


def _in_words(words: Words, text: str | None) -> str | None:
    if not text or words.language == ENGLISH or not any(map(str.isalpha, text)):
        return text
    if isinstance(text, Said):
        return words.of(text)
    return words.known(text) or _FOREIGN.format(words.of(text))


@jinja2.pass_context
def _priced(context: Context, text: str | None) -> str | None:
    """Return a text with its amounts, if the key may read them."""
    return text if not text or context["may"]("billing:read") else without_amounts(text)


@jinja2.pass_context
def _settled(context: Context, text: str) -> str:
    """Return what the registry of trouble says, with the buttons of its pages for commands."""
    words: Words = context["t"]
    return as_on_pages(text, lambda name: words("trouble.button", name=words(f"action.{name}")))


@jinja2.pass_context
def _private(context: Context, text: str | None) -> str | None:
    """Return what is about a payment, if the key may read that."""
    return text if context["may"]("billing:read") else None


def _ago(words: Words, seconds: float | None) -> str:
    """Return how long ago something was, in the unit that reads best."""
    if seconds is None:
        return words("health.unknown")
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return words(f"health.{unit}", n=int(seconds // size))
    return words("health.seconds", n=int(seconds))


_UTC = re.compile(r"\b(\d{4}-\d\d-\d\d \d\d:\d\d)(?::\d\d(?:\.\d+)?([+-]\d\d(?::\d\d)?)| UTC)")
"""A time as our rows and PostgreSQL write it."""
_FOREIGN = Markup('<span lang="en">{}</span>')
_NONE = Markup('<span class="none">{}</span>').format(NONE)
_TIME = Markup('<time datetime="{}" title="{:%Y-%m-%d %H:%M:%S} UTC">{}</time>')


def _when(visit: Visit, moment: datetime | None) -> Markup:
    """Return a time in the person's zone, with the same in UTC at hand."""
    return _time(visit, moment, "%Y-%m-%d %H:%M")


def _day(visit: Visit, moment: datetime | None) -> Markup:
    """Return the day of a time in the person's zone, with the time in UTC at hand."""
    return _time(visit, moment, "%Y-%m-%d")


def _time(visit: Visit, moment: datetime | None, form: str) -> Markup:
    if moment is None:
        return _NONE
    exact = moment.astimezone(UTC)
    shown = moment.astimezone(visit.zone).strftime(form)
    return _TIME.format(exact.isoformat().replace("+00:00", "Z"), exact, shown)


def _version(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def error_page(code: str, sentence: str, status: HTTPStatus, request_id: str | None) -> Page:
    """Return the page of an error."""
    values = {"code": code, "sentence": sentence, "status": int(status), "request_id": request_id}
    return Page("error.html", values, status)
