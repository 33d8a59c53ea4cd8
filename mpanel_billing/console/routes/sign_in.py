"""Signing in and out, and the sessions that there are."""

from http import HTTPStatus

from aiohttp import web

from mpanel_billing.access.sessions import (
    Visitor,
    end_session,
    list_sessions,
    open_session,
    set_preferences,
)
from mpanel_billing.console.pages import (
    RENDER,
    Done,
    Given,
    Page,
    Pages,
    read_form,
    redirect,
    with_retry_after,
)
from mpanel_billing.console.places import PLACES
from mpanel_billing.console.returning import go_back, read_place, sign_in_values
from mpanel_billing.console.visit import (
    Visit,
    forget_cookie,
    is_person,
    require_own_form,
    require_own_site,
    require_visit,
)
from mpanel_billing.console.words import say
from mpanel_billing.console.zones import find_zone
from mpanel_billing.errors import (
    BillingError,
    InvalidRequestError,
    NotFoundError,
    UnauthenticatedError,
)
from mpanel_billing.http import keys
from mpanel_billing.http.access import admit, identify_key
from mpanel_billing.languages import LANGUAGES
from mpanel_billing.telemetry.logs import redact

pages = Pages()
routes = web.RouteTableDef()
"""What is there for those who are not signed in."""


@routes.get("/console")
@routes.get("/console/")
async def go_home(request: web.Request) -> web.Response:
    """Go to the first page that the session may see."""
    visit = await require_visit(request, None)
    first = (place.address for place in PLACES if visit.may(place.scope))
    return redirect(Done(next(first, "/console/preferences")))


@routes.get("/console/sign-in")
async def show_sign_in(request: web.Request) -> web.Response:
    """Ask for a key and a name; who is signed in already goes on."""
    try:
        await require_visit(request, None)
    except UnauthenticatedError:
        values = sign_in_values(request, back=request.query.get("back", ""))
        return request.app[RENDER](request, Page("sign_in.html", values))
    return redirect(Done(read_place(request.query.get("back", ""))))


@routes.post("/console/sign-in")
async def sign_in(request: web.Request) -> web.Response:
    """Exchange a key for a session."""
    require_own_site(request)
    given = await read_form(request)
    try:
        token = await _open(request, given)
    except BillingError as error:
        way = {name: given.text(name) for name in ("back", "kept")}
        values = sign_in_values(request, given.text("person"), **way) | {"error": error}
        response = request.app[RENDER](request, Page("sign_in.html", values, error.status))
        return with_retry_after(response, error.retry_after)
    return go_back(request, given, token)


async def _open(request: web.Request, given: Given) -> str:
    person, key = given.text("person"), given.text("key")
    if not is_person(person):
        raise InvalidRequestError(say("refusal.no_name"))
    holder = await identify_key(request, key)
    await admit(request, holder)
    zone = find_zone(given.text("time_zone"))
    visitor = Visitor(redact(person.strip()), zone.key if zone else None)
    return await open_session(request.app[keys.POOL], holder, key, visitor)


@routes.post("/console/sign-out")
async def sign_out(request: web.Request) -> web.Response:
    """End the session, if it has not ended yet."""
    response = redirect(Done("/console/sign-in"))
    try:
        visit = await require_visit(request, None)
    except UnauthenticatedError:
        return response
    require_own_form(visit, (await read_form(request)).fields)
    await end_session(visit.app[keys.POOL], visit.actor, visit.session.id)
    forget_cookie(request, response)
    return response


@pages.page("/console/sessions", scope="admin:read")
async def show_sessions(visit: Visit, _: Given) -> Page:
    """Show who is signed in."""
    return Page("sessions.html", {"sessions": await list_sessions(visit.app[keys.POOL])})


end = pages.action("end_session", "/console/sessions/{id}/end", scope="admin:operate")


@end.show
async def show_end(visit: Visit, given: Given) -> Page:
    """Show whose session is to end."""
    sessions = await list_sessions(visit.app[keys.POOL])
    found = next((one for one in sessions if one["id"] == given.id), None)
    if found is None:
        raise NotFoundError(say("refusal.session_ended"))
    return Page("end_session.html", {"session": found})


@end.do
async def do_end(visit: Visit, given: Given) -> Done:
    """End a session."""
    await end_session(visit.app[keys.POOL], visit.actor, given.id)
    return Done("/console/sessions", "session_ended")


@pages.page("/console/preferences", scope=None)
async def show_preferences(visit: Visit, _: Given) -> Page:
    """Show in which language and zone the person reads."""
    return Page("preferences.html")


@routes.post("/console/preferences")
async def save_preferences(request: web.Request) -> web.Response:
    """Change language and zone."""
    visit = await require_visit(request, None)
    given = await read_form(request)
    require_own_form(visit, given.fields)
    language, name = given.text("language"), given.text("time_zone")
    if name and find_zone(name) is None:
        error = InvalidRequestError(say("refusal.no_zone", name=name))
        page = Page("preferences.html", {"error": error}, HTTPStatus.UNPROCESSABLE_ENTITY)
        return request.app[RENDER](request, page)
    await set_preferences(
        visit.app[keys.POOL],
        visit.session.id,
        language=language if language in LANGUAGES else None,
        time_zone=name or None,
    )
    return redirect(Done("/console/preferences", "saved"))
