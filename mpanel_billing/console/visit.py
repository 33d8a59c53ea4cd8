"""Who looks at a page: the session behind a request, and its cookie."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from http import HTTPStatus
from typing import NamedTuple
from zoneinfo import ZoneInfo

from aiohttp import hdrs, web

from mpanel_billing.access.audit import Actor
from mpanel_billing.access.key import Scope
from mpanel_billing.access.sessions import (
    LIFETIME,
    Session,
    Visitor,
    find_session,
    form_token,
    holder_of_key,
    open_session,
)
from mpanel_billing.console.words import Words, choose_language, say, words_of
from mpanel_billing.console.zones import zone_of
from mpanel_billing.errors import BillingError, UnauthenticatedError
from mpanel_billing.http import keys
from mpanel_billing.http.access import ACTOR, HOLDER, ScopeMissingError, admit
from mpanel_billing.http.client_address import came_by_https, came_by_proxy
from mpanel_billing.telemetry.logs import REQUEST_ID, redact

_LONGEST_NAME = 100

_OF_HOST = "__Host-"
"""Browsers take a cookie of such a name only over https, from this host, and for all of it."""

ANY_CUSTOMER: Scope = "billing:any-customer"
"""The console shows the customers of all, as a request of the API that leaves the owner out."""


class Cookie(NamedTuple):
    """A cookie by its name, and with which requests of other sites browsers send it."""

    name: str
    same_site: str


SESSION = Cookie("mpanel-console", "Strict")
OIDC = Cookie("mpanel-oidc", "Lax")
KEPT = Cookie("mpanel-form", "Lax")
"""A browser comes back from the identity provider, which is another site."""


class ForeignFormError(BillingError):
    """A form was not sent by a page of this session: by another site, or after signing in again."""

    status = HTTPStatus.FORBIDDEN
    code = "foreign_form"


class StaleFormError(ForeignFormError):
    """A form of this site is of a session that is over."""


FORM_TOKEN = "form_token"  # noqa: S105 - the name of a field
"""The field of each form that shows from which session's page it was sent."""


@dataclass(frozen=True)
class Visit:
    """A request of somebody who is signed in."""

    request: web.Request
    session: Session
    token: str

    @property
    def app(self) -> web.Application:
        """The application, with the parts that `keys` names."""
        return self.request.app

    @cached_property
    def actor(self) -> Actor:
        """Who acts, for the audit log: the person, behind the key."""
        holder = self.session.holder
        return Actor(holder.name, holder.key_id, REQUEST_ID.get(), self.session.person)

    @cached_property
    def words(self) -> Words:
        """What is said, in the person's language."""
        return words_of(choose_language(self.request, self.session.language))

    @cached_property
    def zone(self) -> ZoneInfo:
        """The zone in which the person reads times."""
        return zone_of(self.session.time_zone)

    @property
    def form_token(self) -> str:
        """What each form of the session has."""
        return form_token(self.token)

    def may(self, scope: Scope | None) -> bool:
        """Return whether the key has a scope, and may leave the owner out if that is of billing."""
        return self.missing(scope) is None

    def missing(self, scope: Scope | None) -> Scope | None:
        """Return which scope the key lacks; None: it has all that it needs."""
        holder = self.session.holder
        if scope is not None and not holder.may(scope):
            return scope
        if scope is not None and scope.startswith("billing") and not holder.may(ANY_CUSTOMER):
            return ANY_CUSTOMER
        return None


VISIT = web.RequestKey("visit", Visit)
"""Who looks at the page, once that is known."""

_NEW_TOKEN = web.RequestKey("new_token", str)


async def require_visit(request: web.Request, scope: Scope | None) -> Visit:
    """Return who is signed in, with a key that has the scope.

    UnauthenticatedError, ScopeMissingError, and what `admit` raises.
    """
    visit = await _find_visit(request)
    if visit is None:
        raise UnauthenticatedError(say("refusal.sign_in"))
    request[VISIT], request[ACTOR], request[HOLDER] = visit, visit.actor, visit.session.holder
    await admit(request, visit.session.holder)
    if missing := visit.missing(scope):
        error = ScopeMissingError(missing)
        error.message = say("refusal.scope", scope=missing)
        raise error
    return visit


async def _find_visit(request: web.Request) -> Visit | None:
    token = cookie_of(request, SESSION)
    session = await _find(request, token) if token else None
    person = person_at_proxy(request)
    if session and session.by_proxy and session.person != person:
        session = None
    if session is None and person:
        token = await _enter(request, person)
        session = await _find(request, token)
    return Visit(request, session, token) if session else None


async def _find(request: web.Request, token: str) -> Session | None:
    return await find_session(request.app[keys.POOL], request.app[keys.KEY_RING], token)


async def _enter(request: web.Request, person: str) -> str:
    """Begin a session of a person whom the proxy names; UnknownKeyError for a key that is over."""
    pool = request.app[keys.POOL]
    holder = await holder_of_key(pool, request.app[keys.SETTINGS].console_proxy_key or "")
    request[_NEW_TOKEN] = token = await open_session(
        pool, holder, None, Visitor(person, by_proxy=True)
    )
    return token


def person_at_proxy(request: web.Request) -> str | None:
    """Return whom an authenticating proxy names; None if none does, or it is not to be trusted."""
    header = request.app[keys.SETTINGS].console_proxy_header
    given = request.headers.getall(header, []) if header else []
    if len(given) != 1 or not came_by_proxy(request) or not is_person(given[0]):
        return None
    return redact(given[0])


def is_person(text: str) -> bool:
    """Return whether a text can be a person in the audit log: a name as people write theirs."""
    return 0 < len(text.strip()) <= _LONGEST_NAME and text.isprintable()


def require_own_form(visit: Visit, form: Mapping[str, str]) -> None:
    """Raise ForeignFormError or StaleFormError unless a page of this session has sent the form."""
    require_own_site(visit.request)
    if form.get(FORM_TOKEN) != visit.form_token:
        raise StaleFormError(say("refusal.stale_form"))


def require_own_site(request: web.Request) -> None:
    """Raise ForeignFormError if the browser says that another site has sent a form."""
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get(hdrs.ORIGIN)
    if site is not None:
        foreign = site not in {"same-origin", "none"}
    else:
        foreign = origin is not None and origin.partition("://")[2] != request.host
    if foreign:
        raise ForeignFormError(say("refusal.foreign_form"))


def set_cookie(request: web.Request, response: web.StreamResponse, token: str) -> None:
    """Give a session to the browser.

    It keeps it for some time after its end, so that it is known whose a form is that is sent then.
    """
    give_cookie(request, response, SESSION, token, 2 * LIFETIME)


def give_cookie(
    request: web.Request,
    response: web.StreamResponse,
    cookie: Cookie,
    value: str,
    lifetime: timedelta,
) -> None:
    """Give the browser a cookie, which its scripts do not see."""
    response.set_cookie(
        _name_of(request, cookie),
        value,
        max_age=int(lifetime.total_seconds()),
        path="/",
        secure=_is_secure(request),
        httponly=True,
        samesite=cookie.same_site,
    )


def cookie_of(request: web.Request, cookie: Cookie) -> str:
    """Return what the browser has of a cookie; empty if it has none."""
    return request.cookies.get(_name_of(request, cookie), "")


def keep_new_session(request: web.Request, response: web.StreamResponse) -> None:
    """Give the browser the session that began with this request, if one did."""
    if token := request.get(_NEW_TOKEN):
        set_cookie(request, response, token)


def forget_cookie(
    request: web.Request, response: web.StreamResponse, cookie: Cookie = SESSION
) -> None:
    """Take the session from the browser, or another cookie."""
    response.del_cookie(
        _name_of(request, cookie),
        path="/",
        secure=_is_secure(request),
        httponly=True,
        samesite=cookie.same_site,
    )


def _name_of(request: web.Request, cookie: Cookie) -> str:
    return f"{_OF_HOST}{cookie.name}" if _is_secure(request) else cookie.name


def _is_secure(request: web.Request) -> bool:
    """Whether the public address is https; then the cookie is not given over anything else."""
    return request.app[keys.SETTINGS].app_url.scheme == "https" or came_by_https(request)
