"""Builds the sandbox as an aiohttp application."""

import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from stripe_sandbox.api import Api, Paths
from stripe_sandbox.banks import Banks
from stripe_sandbox.billing.schedule import WallClock
from stripe_sandbox.choices import Choices
from stripe_sandbox.control import Control, render_errors
from stripe_sandbox.dashboard.origin import refuse_other_sites
from stripe_sandbox.dashboard.pages import Dashboard
from stripe_sandbox.delivery import DEFAULT_RETRY_DELAYS, Dispatcher
from stripe_sandbox.documents import IdSource
from stripe_sandbox.faults import Faults, RateLimit
from stripe_sandbox.hosted.authentication import AuthenticationPages
from stripe_sandbox.hosted.checkout import CheckoutPages
from stripe_sandbox.hosted.files import FilePages
from stripe_sandbox.hosted.invoices import InvoicePages
from stripe_sandbox.hosted.microdeposits import VerificationPages
from stripe_sandbox.hosted.papers import PaperPages
from stripe_sandbox.hosted.portal import CustomerPages
from stripe_sandbox.outbox import Outbox, WebhookTarget
from stripe_sandbox.records import Records
from stripe_sandbox.request_log import RequestLog
from stripe_sandbox.resources import OPERATIONS
from stripe_sandbox.snapshots import Snapshots
from stripe_sandbox.store import Store
from stripe_sandbox.thin_events import ThinEvents
from stripe_sandbox.world import Dunning, World

LARGEST_BODY = 16 * 2**20
"""Bytes of a request: no file that Stripe takes is larger than 10 MB."""

WORLD = web.AppKey("world", World)

_PATHS = Paths(OPERATIONS)


@dataclass(frozen=True)
class SandboxConfig:
    """Settings of a sandbox.

    `port` 0 picks a free port. `public_url` is the base of page addresses; by default, pages use
    the host of the latest API request. `state_file` keeps all data across restarts. `fixtures` is
    a file that fills a sandbox without objects (see fixtures.py). `seed` makes ids and disturbed
    webhook delivery repeatable.
    """

    host: str = "127.0.0.1"
    port: int = 0
    public_url: str | None = None
    webhooks: tuple[WebhookTarget, ...] = ()
    state_file: Path | None = None
    fixtures: Path | None = None
    retry_delays: tuple[float, ...] = DEFAULT_RETRY_DELAYS
    seed: int | None = None
    dunning: Dunning = field(default_factory=Dunning)
    choices: Choices = field(default_factory=Choices)


def create_sandbox_app(config: SandboxConfig) -> web.Application:
    """Return the application; state and deliveries last from its startup to its cleanup."""
    store = Store()
    world = make_world(store, config)
    faults = Faults()
    rate_limit = RateLimit()
    dispatcher = Dispatcher(store, world.outbox, config.retry_delays)
    wall_clock = WallClock(world)
    requests = RequestLog()
    app = web.Application(
        middlewares=[
            _date_responses(world),
            render_errors,
            refuse_other_sites,
            requests.recording(),
            _follow_host(world, config),
        ],
        client_max_size=LARGEST_BODY,
    )
    app[WORLD] = world
    FilePages(world).add_routes(app)
    PaperPages(world).add_routes(app)
    Api(world, faults, rate_limit).add_routes(app, _PATHS)
    ThinEvents(world).add_routes(app)
    CheckoutPages(world).add_routes(app)
    CustomerPages(world).add_routes(app)
    InvoicePages(world).add_routes(app)
    AuthenticationPages(world).add_routes(app)
    VerificationPages(world).add_routes(app)
    Control(world, faults, rate_limit, dispatcher, wall_clock).add_routes(app)
    Banks(world).add_routes(app)
    Records(requests).add_routes(app)
    Snapshots(world).add_routes(app)
    Dashboard(world, wall_clock, requests).add_routes(app)
    app.cleanup_ctx.append(_running(world, dispatcher, wall_clock, config))
    return app


def make_world(store: Store, config: SandboxConfig) -> World:
    """Return the state of a sandbox, with its webhook targets."""
    ids = IdSource(config.seed, store.has)
    outbox = Outbox(store, ids, chance=random.Random(config.seed))  # noqa: S311 - repeatable disorder
    for target in config.webhooks:
        outbox.add_target(target)
    base_url = config.public_url or f"http://{config.host}:{config.port}"
    return World(store, ids, outbox, base_url.rstrip("/"), config.dunning, config.choices)


def _running(
    world: World, dispatcher: Dispatcher, wall_clock: WallClock, config: SandboxConfig
) -> Callable[[web.Application], AsyncIterator[None]]:
    async def run(_: web.Application) -> AsyncIterator[None]:
        if config.state_file:
            world.store.open(config.state_file)
        wall_clock.start()
        await dispatcher.start()
        yield
        await dispatcher.stop()
        await wall_clock.stop()
        world.store.close()

    return run


def _date_responses(world: World) -> Middleware:
    """Return the middleware that sets `Date` from the sandbox's clock."""

    @web.middleware
    async def date(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        response.headers[hdrs.DATE] = formatdate(world.now(), usegmt=True)
        return response

    return date


def _follow_host(world: World, config: SandboxConfig) -> Middleware:
    """Return the middleware that derives page addresses from the latest request's host."""

    @web.middleware
    async def follow(request: web.Request, handler: Handler) -> web.StreamResponse:
        if config.public_url is None and request.path.startswith("/v1/"):
            world.base_url = f"{request.scheme}://{request.host}"
        return await handler(request)

    return follow
