"""Pages and actions: each is declared once, with the scope that it needs.

    pages = Pages()

    @pages.page("/console/find", scope="admin:read")
    async def show_find(visit: Visit, given: Given) -> Page: ...

    retry = pages.action("retry", "/console/subscriptions/{id}/retry", scope="admin:operate")

    @retry.show
    async def show_retry(visit: Visit, given: Given) -> Page: ...

    @retry.do
    async def do_retry(visit: Visit, given: Given) -> Done: ...

An action shows its effect at its address (GET), and takes place when that page is confirmed
(POST). Templates link to it by its name, and only if the key has the scope: what is shown and what
is allowed come from the same declaration.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl, quote
from uuid import UUID, uuid4

from aiohttp import hdrs, web

from mpanel_billing.access.key import Scope
from mpanel_billing.console.forms import MOST_DIGITS
from mpanel_billing.console.visit import (
    FORM_TOKEN,
    StaleFormError,
    Visit,
    require_own_form,
    require_visit,
)
from mpanel_billing.console.words import say
from mpanel_billing.errors import (
    BillingError,
    DatabaseUnavailableError,
    InvalidRequestError,
    MalformedRequestError,
    NotFoundError,
    StripeError,
)
from mpanel_billing.http.request import MAX_BODY_BYTES, read_bytes
from mpanel_billing.http.schemas.base import LONGEST_REASON

_MOST_FIELDS = 100
_MOST_BYTES = 1024 * 1024
"""Of a form of who is signed in: evidence has up to 150,000 letters, and is escaped."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a person gave: the parts of the address, and the fields of a query or a form.

    `is_unread`: a form came after its session had ended, and is only shown again.
    """

    path: Mapping[str, str]
    fields: Mapping[str, str]
    is_unread: bool = False

    def text(self, name: str) -> str:
        """Return a field without the blanks around it; empty if it was not given."""
        return self.fields.get(name, "").strip()

    def line(self, name: str, longest: int) -> str:
        """Return a field that is one line of text; InvalidRequestError for any other."""
        text = self.text(name)
        if len(text) > longest or not text.isprintable():
            raise InvalidRequestError(say("refusal.no_line", n=longest))
        return text

    def reason(self) -> str:
        """Return why something is done; InvalidRequestError if that is missing or too long."""
        reason = self.optional_reason()
        if reason is None:
            raise _reason_refused()
        return reason

    def optional_reason(self) -> str | None:
        """Return why something is done, if that was given; InvalidRequestError if too long."""
        reason = self.text("reason")
        if len(reason) > LONGEST_REASON:
            raise _reason_refused()
        return reason or None

    def number(self, name: str) -> int | None:
        """Return a whole number; None if it was not given; InvalidRequestError for another text."""
        text = self.text(name)
        if not text:
            return None
        if not (text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS):
            raise InvalidRequestError(say("refusal.no_number"), fields={name: "is not a number"})
        return int(text)

    @property
    def form_key(self) -> str:
        """The idempotency key of a form that is shown.

        One that was not read keeps its own: what it asks for may have been done with that.
        """
        return (self.text("key") if self.is_unread else "") or str(uuid4())

    @property
    def id(self) -> UUID:
        """Return the id in the address; NotFoundError if it is not one of ours."""
        try:
            return UUID(self.path["id"])
        except ValueError:
            raise NotFoundError(say("refusal.not_found")) from None


def _reason_refused() -> InvalidRequestError:
    return InvalidRequestError(
        say("refusal.no_reason", n=LONGEST_REASON),
        fields={"reason": f"must have 1 to {LONGEST_REASON} characters"},
    )


@dataclass(frozen=True, slots=True)
class Page:
    """A template with what it shows."""

    template: str
    values: Mapping[str, object] = field(default_factory=dict)
    status: HTTPStatus = HTTPStatus.OK


@dataclass(frozen=True, slots=True)
class Done:
    """Where to go after an action, and what has happened: a name in the table `done` of words."""

    address: str
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table as a CSV file: its name, and its lines."""

    name: str
    lines: Iterable[str]


Show = Callable[[Visit, Given], Awaitable[Page]]
Tell = Callable[[Visit, Given], Awaitable[Table]]
Do = Callable[[Visit, Given], Awaitable[Done | Page]]
"""A page instead of a place to go to: for what is shown once, as a new key."""
Render = Callable[[web.Request, Page], web.Response]

RENDER: web.AppKey[Render] = web.AppKey("render")
"""Writes a page."""

SHOW_AGAIN = "show_again"
"""The field of a form that is only to be shown, with what was entered before a sign-in."""

UNSETTLED = web.RequestKey("unsettled", dict[str, str])
"""What a form has sent, if nobody knows yet whether it was done; sent again, it is done once."""


class Declared(NamedTuple):
    """A route and the scope that it needs; None: somebody who is signed in."""

    method: str
    address: str
    scope: Scope | None


class Action:
    """Something that is done after a page has shown its effect."""

    def __init__(self, routes: "Pages", name: str, address: str, scope: Scope | None) -> None:
        """Take its name, its address and the scope that it needs."""
        self.name, self.address, self.scope = name, address, scope
        self._routes = routes
        self._show: Show | None = None

    def address_of(self, id_: object) -> str:
        """Return its address for an id; some of Stripe's are what a person has chosen."""
        return self.address.replace("{id}", quote(str(id_), safe=""))

    def show(self, handler: Show) -> Show:
        """Declare what shows the effect; after an error it gets the form, and shows that too."""
        self._show = handler
        self._routes.page(self.address, scope=self.scope)(handler)
        return handler

    def do(self, handler: Do) -> Do:
        """Declare what takes place."""

        async def post(request: web.Request) -> web.Response:
            visit = await require_visit(request, self.scope)
            given = await read_form(request, _MOST_BYTES)
            try:
                require_own_form(visit, given.fields)
                if self._show and given.text(SHOW_AGAIN):
                    unread = replace(given, is_unread=True)
                    return visit.app[RENDER](request, await self._show(visit, unread))
                if given.text("key"):
                    request[UNSETTLED] = without_token(given.fields)
                done = await handler(visit, given)
            except BillingError as error:
                return await self._refuse(visit, given, error)
            return redirect(done) if isinstance(done, Done) else visit.app[RENDER](request, done)

        self._routes.add(Declared(hdrs.METH_POST, self.address, self.scope), post)
        return handler

    async def _refuse(self, visit: Visit, given: Given, error: BillingError) -> web.Response:
        """Show the page again with what is wrong; what it raises then is a page of its own.

        If it may have been done nevertheless, that page would be a new form with a new key, and do
        it twice: then the error has a page of its own, which sends the same request again.
        """
        if UNSETTLED in visit.request and _may_be_done(error):
            raise error
        visit.request.pop(UNSETTLED, None)
        if self._show is None:
            raise error
        try:
            is_unread = isinstance(error, StaleFormError)
            page = await self._show(visit, replace(given, is_unread=is_unread))
        except BillingError:
            raise error from None
        shown = Page(page.template, {**page.values, "error": error}, error.status)
        return visit.app[RENDER](visit.request, shown)


def without_token(fields: Mapping[str, str]) -> dict[str, str]:
    """Return what a form of another session, or of another time, may have again."""
    return {name: text for name, text in fields.items() if name != FORM_TOKEN}


def _may_be_done(error: BillingError) -> bool:
    """Return whether an action may have been done, or is being done, in spite of an error."""
    if isinstance(error, StripeError):
        return not error.definite
    return isinstance(error, DatabaseUnavailableError) or error.code == "change_in_progress"


class Pages:
    """The routes of one module, for `web.Application.add_routes`."""

    def __init__(self) -> None:
        """Begin without routes."""
        self.actions: dict[str, Action] = {}
        self.declared: list[Declared] = []
        self._routes: list[web.RouteDef] = []

    def __iter__(self) -> Iterator[web.RouteDef]:
        """Yield the routes in the order of their declaration."""
        return iter(self._routes)

    def page(self, address: str, *, scope: Scope | None) -> Callable[[Show], Show]:
        """Declare a page."""

        def declare(handler: Show) -> Show:
            async def get(request: web.Request) -> web.Response:
                visit = await require_visit(request, scope)
                page = await handler(visit, _given(request, dict(request.query)))
                return visit.app[RENDER](request, page)

            self.add(Declared(hdrs.METH_GET, address, scope), get)
            return handler

        return declare

    def table(self, address: str, *, scope: Scope) -> Callable[[Tell], Tell]:
        """Declare a table that a program reads: numbers and times are the same in each language."""

        def declare(handler: Tell) -> Tell:
            async def get(request: web.Request) -> web.Response:
                visit = await require_visit(request, scope)
                table = await handler(visit, _given(request, dict(request.query)))
                return _as_file(table)

            self.add(Declared(hdrs.METH_GET, address, scope), get)
            return handler

        return declare

    def action(self, name: str, address: str, *, scope: Scope | None) -> Action:
        """Declare an action."""
        action = self.actions[name] = Action(self, name, address, scope)
        return action

    def add(
        self, declared: Declared, handler: Callable[[web.Request], Awaitable[web.Response]]
    ) -> None:
        """Add a route."""
        self.declared.append(declared)
        self._routes.append(web.RouteDef(declared.method, declared.address, handler, {}))


def _as_file(table: Table) -> web.Response:
    return web.Response(
        text="".join(f"{line}\n" for line in table.lines),
        content_type="text/csv",
        charset="utf-8",
        headers={hdrs.CONTENT_DISPOSITION: f'attachment; filename="{table.name}.csv"'},
    )


def redirect(done: Done) -> web.Response:
    """Go to another page, which says what has happened."""
    address = f"{done.address}?done={done.notice}" if done.notice else done.address
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={hdrs.LOCATION: address})


def with_retry_after(response: web.Response, seconds: int | None) -> web.Response:
    """Say in how many seconds a request may be sent again, if that is known."""
    if seconds is not None:
        response.headers[hdrs.RETRY_AFTER] = str(seconds)
    return response


async def read_form(request: web.Request, most: int = MAX_BODY_BYTES) -> Given:
    """Return what a form has sent; MalformedRequestError, and what `read_bytes` raises."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise MalformedRequestError(say("refusal.no_form"))
    body = await read_bytes(request, most)
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        raise MalformedRequestError(say("refusal.no_form")) from None
    return _given(request, dict(pairs))


def _given(request: web.Request, fields: Mapping[str, str]) -> Given:
    """Return what was given; PostgreSQL has no text with a NUL in it, so nothing is named so."""
    if any("\0" in text for text in request.match_info.values()):
        raise NotFoundError(say("refusal.not_found"))
    if any("\0" in text for text in fields.values()):
        raise MalformedRequestError(say("refusal.no_form"))
    return Given(request.match_info, fields)
