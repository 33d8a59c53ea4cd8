"""`/_sandbox`: controls of the sandbox itself, JSON in and out."""

import random
from dataclasses import replace
from typing import Annotated, Literal, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stripe_sandbox.billing.customers import (
    attach_payment_method,
    create_payment_method,
    renew_card,
    use_card,
)
from stripe_sandbox.billing.schedule import WallClock, move_test_clock
from stripe_sandbox.cards import find_card
from stripe_sandbox.copies import copy_subscription
from stripe_sandbox.delivery import Dispatcher
from stripe_sandbox.documents import Document
from stripe_sandbox.errors import ApiError
from stripe_sandbox.faults import Fault, Faults, RateLimit
from stripe_sandbox.hosted.authentication import finish
from stripe_sandbox.outbox import DELIVERY, Disturbance
from stripe_sandbox.world import World

Model = TypeVar("Model", bound=BaseModel)


class Body(BaseModel):
    """A request of `/_sandbox`: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DeliverySwitches(Body):
    """`POST /_sandbox/delivery`: how webhook delivery is disturbed from now on."""

    duplicate: bool = False
    reorder: bool = False
    delay: Annotated[float, Field(ge=0)] = 0.0
    drop: list[str] | Annotated[float, Field(ge=0, le=1)] = Field(default_factory=list)
    hold: bool = False
    same_second: bool = False
    seed: int | None = None


class FaultRequest(Body):
    """`POST /_sandbox/faults`: how the next matching API requests fail (see faults.Fault)."""

    kind: Literal["status", "hang", "reset"] = "status"
    method: str = "*"
    path: str = "/v1/"
    times: Annotated[int, Field(ge=1)] = 1
    status: Annotated[int, Field(ge=400, le=599)] = 500
    retry_after: int = 1
    seconds: Annotated[float, Field(ge=0)] = 0.0
    after_work: bool = False
    remember: bool | None = None


class IdleRequest(Body):
    """`POST /_sandbox/idle`: how many seconds to wait for pending deliveries."""

    timeout: Annotated[float, Field(gt=0)] = 10.0


class ClockRequest(Body):
    """`POST /_sandbox/clock`: the Unix time to advance to, by the sandbox's own or a test clock."""

    advance_to: int
    test_clock: str | None = None


class CardRequest(Body):
    """`POST /_sandbox/cards`: a customer's new card, a test card's number."""

    customer: str
    number: str


class CardUpdateRequest(Body):
    """`POST /_sandbox/card_updates`: the network has given a saved card new details."""

    payment_method: str
    exp_month: Annotated[int, Field(ge=1, le=12)] | None = None
    exp_year: Annotated[int, Field(ge=2000, le=9999)] | None = None
    number: str | None = None


class AuthenticationRequest(Body):
    """`POST /_sandbox/authentications`: the buyer completes 3D Secure, or fails to."""

    intent: str
    succeed: bool = True


class RateLimitRequest(Body):
    """`POST /_sandbox/rate_limit`: API requests allowed per second; null removes the limit."""

    per_second: Annotated[int, Field(ge=1)] | None = None


class CopiesRequest(Body):
    """`POST /_sandbox/copies`: copies of a subscription, its customer and its invoices.

    Their creation times are spread evenly over the last `days`. There are no events.
    """

    subscription: str
    count: Annotated[int, Field(ge=1, le=1_000_000)]
    days: Annotated[int, Field(ge=0)] = 0


class Control:
    """Serves `/_sandbox`."""

    def __init__(
        self,
        world: World,
        faults: Faults,
        rate_limit: RateLimit,
        dispatcher: Dispatcher,
        wall_clock: WallClock,
    ) -> None:
        self._world = world
        self._faults = faults
        self._rate_limit = rate_limit
        self._dispatcher = dispatcher
        self._wall_clock = wall_clock

    def add_routes(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_post("/_sandbox/delivery", self.set_delivery)
        app.router.add_post("/_sandbox/delivery/release", self.release)
        app.router.add_get("/_sandbox/deliveries", self.list_deliveries)
        app.router.add_get("/_sandbox/deliveries/pending", self.count_pending)
        app.router.add_post("/_sandbox/deliveries/{id}/resend", self.resend)
        app.router.add_post("/_sandbox/faults", self.add_fault)
        app.router.add_delete("/_sandbox/faults", self.clear_faults)
        app.router.add_post("/_sandbox/idle", self.wait_idle)
        app.router.add_get("/_sandbox/clock", self.show_clock)
        app.router.add_post("/_sandbox/clock", self.advance_clock)
        app.router.add_post("/_sandbox/cards", self.replace_card)
        app.router.add_post("/_sandbox/card_updates", self.update_card)
        app.router.add_post("/_sandbox/authentications", self.authenticate)
        app.router.add_post("/_sandbox/rate_limit", self.set_rate_limit)
        app.router.add_post("/_sandbox/copies", self.copy)
        app.router.add_post("/_sandbox/reset", self.reset)

    async def set_delivery(self, request: web.Request) -> web.Response:
        """Disturb webhook delivery from now on; `{}` turns everything off."""
        switches = await read_switch(request, DeliverySwitches)
        outbox = self._world.outbox
        dropped = switches.drop
        outbox.disturbance = Disturbance(
            duplicate=switches.duplicate,
            reorder=switches.reorder,
            delay=switches.delay,
            drop_types=frozenset(dropped) if isinstance(dropped, list) else frozenset(),
            drop_fraction=dropped if isinstance(dropped, float) else 0.0,
            hold=switches.hold,
        )
        if switches.seed is not None:
            outbox.chance = random.Random(switches.seed)  # noqa: S311 - repeatable disorder
        self._world.same_second = self._world.now() if switches.same_second else None
        return web.json_response(switches.model_dump())

    async def release(self, _: web.Request) -> web.Response:
        """Send the held webhooks and stop holding."""
        outbox = self._world.outbox
        outbox.disturbance = replace(outbox.disturbance, hold=False)
        return web.json_response({"released": outbox.release()})

    async def list_deliveries(self, request: web.Request) -> web.Response:
        """List deliveries with their attempts, oldest first: all, or those of an `event`."""
        store, event = self._world.store, request.query.get("event")
        found = store.where(DELIVERY, "event", event) if event else store.all(DELIVERY)
        return web.json_response({"data": [dict(delivery) for delivery in found]})

    async def resend(self, request: web.Request) -> web.Response:
        """Send a webhook again, whatever became of it."""
        delivery = self._world.find(DELIVERY, request.match_info["id"])
        self._world.outbox.resend(delivery)
        return web.json_response({})

    async def count_pending(self, _: web.Request) -> web.Response:
        """Return how many webhooks are still to be delivered."""
        return web.json_response({"pending": self._dispatcher.pending()})

    async def add_fault(self, request: web.Request) -> web.Response:
        """Make the next matching API requests fail."""
        wanted = await read_switch(request, FaultRequest)
        self._faults.add(Fault(**wanted.model_dump()))
        return web.json_response(wanted.model_dump())

    async def clear_faults(self, _: web.Request) -> web.Response:
        """Clear pending faults."""
        self._faults.clear()
        return web.json_response({})

    async def wait_idle(self, request: web.Request) -> web.Response:
        """Return once all webhooks are delivered; 408 after the timeout."""
        wanted = await read_switch(request, IdleRequest)
        idle = await self._dispatcher.wait_idle(wanted.timeout)
        return web.json_response({"idle": idle}, status=200 if idle else 408)

    async def show_clock(self, _: web.Request) -> web.Response:
        """Return the sandbox's own time, which applies outside test clocks."""
        return web.json_response({"now": self._world.now()})

    async def advance_clock(self, request: web.Request) -> web.Response:
        """Advance the sandbox's own clock, or a test clock.

        Everything due by then has happened when this returns, dated by the moment it fell due.
        Events and the `Date` header follow this clock; webhook signatures and retries keep to real
        time, like their receivers.
        """
        wanted = await read_switch(request, ClockRequest)
        if wanted.test_clock:
            clock = move_test_clock(self._world, wanted.test_clock, wanted.advance_to)
            return web.json_response({"now": clock["frozen_time"]})
        self._wall_clock.advance(wanted.advance_to)
        return await self.show_clock(request)

    async def replace_card(self, request: web.Request) -> web.Response:
        """Give the customer another card, as they could in the portal."""
        wanted = await read_switch(request, CardRequest)
        with self._world.store.transaction():
            method = self._replace_card(wanted)
        return web.json_response({"payment_method": method["id"]})

    def _replace_card(self, wanted: CardRequest) -> Document:
        world = self._world
        customer = world.find("customer", wanted.customer, "customer")
        method = create_payment_method(world, find_card(wanted.number))
        method = attach_payment_method(world, method["id"], customer, "number")
        use_card(world, customer["id"], method["id"])
        return method

    async def update_card(self, request: web.Request) -> web.Response:
        """Change a saved card's number or expiry, as networks do when a bank issues a new one."""
        wanted = await read_switch(request, CardUpdateRequest)
        expiry = {"exp_month": wanted.exp_month, "exp_year": wanted.exp_year}
        told = {name: value for name, value in expiry.items() if value is not None}
        with self._world.store.transaction():
            method = renew_card(self._world, wanted.payment_method, told, wanted.number)
        return web.json_response({"last4": method["card"]["last4"]})

    async def authenticate(self, request: web.Request) -> web.Response:
        """Finish the 3D Secure that a payment or setup intent waits for."""
        wanted = await read_switch(request, AuthenticationRequest)
        intent = finish(self._world, wanted.intent, succeeds=wanted.succeed)
        return web.json_response({"status": intent["status"]})

    async def set_rate_limit(self, request: web.Request) -> web.Response:
        """Limit the API from now on; returns how many requests were refused so far."""
        wanted = await read_switch(request, RateLimitRequest)
        self._rate_limit.per_second = wanted.per_second
        return web.json_response({**wanted.model_dump(), "refused": self._rate_limit.refused})

    async def copy(self, request: web.Request) -> web.Response:
        """Copy a subscription with its customer and invoices."""
        wanted = await read_switch(request, CopiesRequest)
        copy_subscription(self._world, wanted.subscription, wanted.count, wanted.days * 86_400)
        return web.json_response(wanted.model_dump())

    async def reset(self, _: web.Request) -> web.Response:
        """Delete all objects, switches and faults, and go back to real time; snapshots stay."""
        self._world.store.clear()
        self._faults.clear()
        self._world.outbox.disturbance = Disturbance()
        self._world.same_second = None
        return web.json_response({})


async def read_switch(request: web.Request, model: type[Model]) -> Model:
    """Return the validated body; raises 400 with the field that is wrong."""
    try:
        return model.model_validate_json(await request.read() or b"{}")
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise web.HTTPBadRequest(text=f"{field}: {first['msg']}") from None


@web.middleware
async def render_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Render ApiErrors outside `/v1` as Stripe's error body."""
    try:
        return await handler(request)
    except ApiError as error:
        return web.json_response(error.body, status=error.status)
