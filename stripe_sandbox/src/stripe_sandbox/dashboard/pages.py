"""Serves `/` and `/dashboard`."""

from collections.abc import Callable
from itertools import islice
from urllib.parse import urlencode

from aiohttp import web

from stripe_sandbox.billing.periods import add_interval
from stripe_sandbox.billing.schedule import CLOCK, WallClock, move_test_clock, next_renewal
from stripe_sandbox.dashboard import html
from stripe_sandbox.documents import ReadOnly
from stripe_sandbox.errors import ApiError
from stripe_sandbox.hosted.checkout import HEADERS
from stripe_sandbox.outbox import DELIVERY
from stripe_sandbox.request_log import RequestLog
from stripe_sandbox.world import World

PAGE_SIZE = 25
LATEST = 10
HOUR, DAY = 3_600, 86_400
OWN_HEADERS = HEADERS | {
    "Content-Security-Policy": HEADERS["Content-Security-Policy"]
    + "; form-action 'self'; frame-ancestors 'none'",
    # with no-referrer a browser sends the page's own forms with "Origin: null"
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Dashboard:
    """The pages for people: lists, objects, clocks, webhooks, requests."""

    def __init__(self, world: World, wall_clock: WallClock, log: RequestLog) -> None:
        self._world = world
        self._wall_clock = wall_clock
        self._log = log

    def add_routes(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/", self.show_overview)
        app.router.add_get("/dashboard/find", self.find)
        app.router.add_get("/dashboard/requests", self.show_requests)
        app.router.add_get("/dashboard/objects/{id}", self.show_object)
        app.router.add_post("/dashboard/clock", self.move_clock)
        app.router.add_post("/dashboard/deliveries/{id}", self.resend)
        app.router.add_get(f"/dashboard/{{section:{'|'.join(html.SECTIONS)}}}", self.show_list)

    async def show_overview(self, _: web.Request) -> web.Response:
        """Show the time with its buttons, how much there is, and the latest events."""
        store = self._world.store
        counts = "".join(
            f'<li><a href="/dashboard/{name}">{name.title()}</a>: {store.count(kind)}</li>'
            for name, kind in html.SECTIONS.items()
        )
        events = islice(store.newest_first("event"), LATEST)
        body = f"""<p>{html.shown_time(self._world.now())}</p>
{html.clock_buttons()}
<p class="note">Objects on a test clock have a time of their own, under Clocks.</p>
<h2>Objects</h2><ul>{counts}</ul>
{html.SEARCH}
<h2>Latest events</h2>{html.render_list(events, self._world)}"""
        return _page(200, html.render_page("Overview", body))

    async def show_list(self, request: web.Request) -> web.Response:
        """Show a page of a list, newest first; `after` is the id where the page before ended."""
        section = request.match_info["section"]
        try:
            found = self._world.store.newest_first(
                html.SECTIONS[section], request.query.get("after")
            )
        except KeyError:
            return _page(404, html.render_problem("Not found", "There is no such page."))
        shown = [*islice(found, PAGE_SIZE + 1)]
        listed = html.render_list(shown[:PAGE_SIZE], self._world)
        return _page(200, html.render_page(section.title(), listed + _further(request, shown)))

    async def show_requests(self, _: web.Request) -> web.Response:
        """Show the latest API requests."""
        shown = islice(self._log.newest_first(), PAGE_SIZE)
        rows = "".join(html.render_request(entry) for entry in shown)
        note = '<p class="note">The latest; all are at GET /_sandbox/requests.</p>'
        return _page(200, html.render_page("Requests", f"{note}<ul>{rows}</ul>"))

    async def find(self, request: web.Request) -> web.Response:
        """Go to the object with an id."""
        object_id = request.query.get("id", "").strip()
        if self._world.store.kind_of(object_id) is None:
            return _page(404, html.render_problem("Not found", f"There is no {object_id}."))
        raise web.HTTPSeeOther(html.path_of(object_id))

    async def show_object(self, request: web.Request) -> web.Response:
        """Show an object's JSON, what belongs to it, and what can be done with it."""
        store, object_id = self._world.store, request.match_info["id"]
        kind = store.kind_of(object_id)
        document = store.peek(kind, object_id) if kind else None
        if kind is None or document is None:
            return _page(404, html.render_problem("Not found", f"There is no {object_id}."))
        parts = PARTS.get(kind, _nothing)(self, document)
        json = html.render_json(document, lambda one: store.kind_of(one) is not None)
        return _page(200, html.render_page(object_id, f"{parts}<h2>JSON</h2>{json}"))

    async def move_clock(self, request: web.Request) -> web.Response:
        """Move the sandbox's own clock or a test clock, and go back to the page."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        try:
            self._move(form.get("test_clock") or None, form.get("by", ""))
        except ApiError as error:
            return _page(error.status, html.render_problem("The clock has not moved", str(error)))
        clock_id = form.get("test_clock")
        raise web.HTTPSeeOther(html.path_of(clock_id) if clock_id else "/")

    def _move(self, clock_id: str | None, by: str) -> None:
        """Raise ApiError for an unknown clock, or without a renewal to move to."""
        world = self._world
        if clock_id:
            world.find(CLOCK, clock_id, "test_clock")
        now = world.now(clock_id)
        if by not in TARGETS:
            raise ApiError(400, "by: has to be hour, day, month or renewal")
        target = TARGETS[by](self, clock_id, now)
        if target is None:
            raise ApiError(400, "No subscription of this clock will renew.")
        if clock_id:
            move_test_clock(world, clock_id, target)
        else:
            self._wall_clock.advance(target)

    def renewal(self, clock_id: str | None) -> int | None:
        """Return the Unix time of the next renewal by a clock, if there is any."""
        if clock_id is None:
            return self._wall_clock.next_renewal()
        return next_renewal(self._world, clock_id)

    async def resend(self, request: web.Request) -> web.Response:
        """Send a webhook again, and go back to its event."""
        delivery = self._world.store.peek(DELIVERY, request.match_info["id"])
        if delivery is None:
            return _page(404, html.render_problem("Not found", "There is no such webhook."))
        self._world.outbox.resend(delivery)
        raise web.HTTPSeeOther(html.path_of(delivery["event"]))

    def event_parts(self, event: ReadOnly) -> str:
        """Return an event's webhooks."""
        found = [*self._world.store.where(DELIVERY, "event", event["id"])]
        shown = "".join(html.render_delivery(delivery) for delivery in found)
        nothing = '<p class="note">No endpoint was subscribed to it.</p>'
        return f"<h2>Webhooks</h2>{shown or nothing}"

    def clock_parts(self, clock: ReadOnly) -> str:
        """Return the buttons of a test clock, and its customers."""
        customers = islice(
            self._world.store.where("customer", "test_clock", clock["id"]), PAGE_SIZE
        )
        buttons = html.clock_buttons(clock["id"])
        return f"""<p>{html.shown_time(clock["frozen_time"])}</p>{buttons}
<h2>Customers</h2>{html.render_list(customers, self._world)}"""

    def customer_parts(self, customer: ReadOnly) -> str:
        """Return a customer's newest subscriptions and invoices."""
        return "".join(
            self._newest_of(kind, ("customer", customer["id"]), title)
            for kind, title in (("subscription", "Subscriptions"), ("invoice", "Invoices"))
        )

    def subscription_parts(self, subscription: ReadOnly) -> str:
        """Return a subscription's newest invoices."""
        return self._newest_of("invoice", ("subscription", subscription["id"]), "Invoices")

    def invoice_parts(self, invoice: ReadOnly) -> str:
        """Return a link to the page on which the customer sees an invoice."""
        if invoice["status"] == "draft":
            return ""
        return f'<p><a href="/i/{invoice["id"]}">The page for the customer</a></p>'

    def _newest_of(self, kind: str, having: tuple[str, str], title: str) -> str:
        newest = islice(self._world.store.newest_first(kind, having=having), PAGE_SIZE)
        return f"<h2>{title}</h2>{html.render_list(newest, self._world)}"


TARGETS: dict[str, Callable[[Dashboard, str | None, int], int | None]] = {
    "hour": lambda _, __, now: now + HOUR,
    "day": lambda _, __, now: now + DAY,
    "month": lambda _, __, now: add_interval(now, "month", 1),
    "renewal": lambda page, clock_id, _: page.renewal(clock_id),
}
PARTS: dict[str, Callable[[Dashboard, ReadOnly], str]] = {
    "customer": Dashboard.customer_parts,
    "event": Dashboard.event_parts,
    "invoice": Dashboard.invoice_parts,
    "subscription": Dashboard.subscription_parts,
    CLOCK: Dashboard.clock_parts,
}
"""What the page of an object has beside its JSON, by its kind."""


def _nothing(_: Dashboard, __: ReadOnly) -> str:
    return ""


def _further(request: web.Request, shown: list[ReadOnly]) -> str:
    """Return the links to the pages before and behind."""
    links = '<a href="?">Newest</a> ' if "after" in request.query else ""
    if shown[PAGE_SIZE:]:
        older = urlencode({"after": shown[PAGE_SIZE - 1]["id"]})
        links += f'<a href="?{older}" rel="next">Older</a>'
    return f'<nav aria-label="Pages">{links}</nav>' if links else ""


def _page(status: int, text: str) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html", headers=OWN_HEADERS)
