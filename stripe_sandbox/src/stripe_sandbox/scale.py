"""Switches for trying things at scale: many objects at once, and the API's rate limit."""

from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from stripe_sandbox.control import read_switch
from stripe_sandbox.crowd import copy_subscription
from stripe_sandbox.rate_limit import RateLimit
from stripe_sandbox.world import World


class RateLimitRequest(BaseModel):
    """`POST /_sandbox/rate_limit`: how many API requests a second are taken; null: all of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    per_second: Annotated[int, Field(ge=1)] | None = None


class CopiesRequest(BaseModel):
    """`POST /_sandbox/copies`: that many more of a subscription, its customer and its invoices.

    They are made at even distances over the last `days`, without events.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    subscription: str
    count: Annotated[int, Field(ge=1, le=1_000_000)]
    days: Annotated[int, Field(ge=0)] = 0


class ScaleSwitches:
    """Serves the switches."""

    def __init__(self, world: World, rate_limit: RateLimit) -> None:
        self._world = world
        self._rate_limit = rate_limit

    def add_routes(self, app: web.Application) -> None:
        """Serve the switches."""
        app.router.add_post("/_sandbox/rate_limit", self.set_rate_limit)
        app.router.add_post("/_sandbox/copies", self.copy)

    async def set_rate_limit(self, request: web.Request) -> web.Response:
        """Limit the API from now on; answers how many requests were refused so far."""
        wanted = await read_switch(request, RateLimitRequest)
        self._rate_limit.per_second = wanted.per_second
        return web.json_response({**wanted.model_dump(), "refused": self._rate_limit.refused})

    async def copy(self, request: web.Request) -> web.Response:
        """Copy a subscription with all that belongs to it."""
        wanted = await read_switch(request, CopiesRequest)
        copy_subscription(self._world, wanted.subscription, wanted.count, wanted.days * 86_400)
        return web.json_response(wanted.model_dump())
