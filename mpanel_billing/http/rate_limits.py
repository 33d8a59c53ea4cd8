"""Rate limits of the public routes, per client."""

import logging
import math
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal, Protocol

from aiohttp import web
from limits import RateLimitItem, parse
from limits.aio.storage import RedisStorage, Storage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import StorageError

from mpanel_billing.errors import BillingError, SettingsError
from mpanel_billing.http.client_address import client_of
from mpanel_billing.settings import UNLIMITED, Settings

logger = logging.getLogger(__name__)

Group = Literal["orders", "lookups", "wrong_keys", "wrong_codes"]
"""Orders create rows here and objects at Stripe; lookups only read. Codes are those of coupons."""

STORE_TIMEOUT_SECONDS = 0.5

_FEWEST_TO_CLEAR = 10_000


class RateLimitedError(BillingError):
    """The client has sent too many requests; Retry-After says when it may send more."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "rate_limited"


@dataclass(slots=True)
class Window:
    """A client's calls of one group, from the first one on; `ends_at` is a time of the clock."""

    ends_at: float
    calls: int


class Windows(Protocol):
    """Where calls are counted."""

    async def count(self, limit: RateLimitItem, group: Group, client: str) -> Window:
        """Count a call; return its window."""

    async def get(self, limit: RateLimitItem, group: Group, client: str) -> Window:
        """Return the window without counting a call."""


class OwnWindows:
    """Counts in this process."""

    def __init__(self) -> None:
        """Begin without any client."""
        self._windows: dict[tuple[Group, str], Window] = {}
        self._many = _FEWEST_TO_CLEAR

    async def count(self, limit: RateLimitItem, group: Group, client: str) -> Window:
        """Count a call; return its window."""
        now = time.time()
        window = self._windows.get((group, client))
        if window is None or window.ends_at <= now:
            self._clear(now)
            window = self._windows[group, client] = Window(now + limit.get_expiry(), 0)
        window.calls += 1
        return window

    async def get(self, limit: RateLimitItem, group: Group, client: str) -> Window:
        """Return the window without counting a call."""
        now = time.time()
        window = self._windows.get((group, client))
        if window is None or window.ends_at <= now:
            return Window(now + limit.get_expiry(), 0)
        return window

    def _clear(self, now: float) -> None:
        """Drop the windows that have ended, each time their number has doubled."""
        if len(self._windows) < self._many:
            return
        self._windows = {key: one for key, one in self._windows.items() if one.ends_at > now}
        self._many = max(_FEWEST_TO_CLEAR, 2 * len(self._windows))


class SharedWindows:
    """Counts in a store that all processes share; StorageError if it is down."""

    def __init__(self, storage: Storage) -> None:
        """Count in `storage`."""
        self._windows = FixedWindowRateLimiter(storage)

    async def count(self, limit: RateLimitItem, group: Group, client: str) -> Window:
        """Count a call; return its window."""
        if await self._windows.hit(limit, group, client):
            return Window(0.0, 0)
        window = await self.get(limit, group, client)
        return Window(window.ends_at, limit.amount + 1)

    async def get(self, limit: RateLimitItem, group: Group, client: str) -> Window:
        """Return the window without counting a call."""
        stats = await self._windows.get_window_stats(limit, group, client)
        return Window(stats.reset_time, limit.amount - stats.remaining)


class RateLimiter:
    """Counts calls by group and client, in windows that start with a client's first call.

    If a shared store is down, every call passes: selling matters more than the limits.
    """

    def __init__(self, windows: Windows, limits: Mapping[Group, RateLimitItem]) -> None:
        """Count in `windows`; groups without a limit are not counted."""
        self._windows = windows
        self._limits = limits

    async def spend(self, group: Group, client: str) -> None:
        """Count one call; RateLimitedError if it exceeds the limit."""
        limit = self._limits.get(group)
        if limit is None:
            return
        try:
            window = await self._windows.count(limit, group, client)
        except StorageError as error:
            _warn_of(error)
            return
        if window.calls > limit.amount:
            raise _refused_until(window.ends_at)

    async def refuse_if_spent(self, group: Group, client: str) -> None:
        """Raise RateLimitedError if the limit is used up, without counting a call."""
        limit = self._limits.get(group)
        if limit is None:
            return
        try:
            window = await self._windows.get(limit, group, client)
        except StorageError as error:
            _warn_of(error)
            return
        if window.calls >= limit.amount:
            raise _refused_until(window.ends_at)


def _warn_of(error: StorageError) -> None:
    logger.warning("calls are not counted: %s", type(error.storage_error).__name__)


def _refused_until(moment: float) -> RateLimitedError:
    return RateLimitedError(
        "Too many requests from your address. Please wait a moment and try again.",
        retry_after=max(1, math.ceil(moment - time.time())),
    )


RATE_LIMITER = web.AppKey("rate_limiter", RateLimiter)


async def spend_allowance(request: web.Request, group: Group) -> None:
    """Count a request against its client's limit; RateLimitedError if it exceeds it."""
    await request.app[RATE_LIMITER].spend(group, client_of(request))


async def refuse_if_spent(request: web.Request, group: Group) -> None:
    """Raise RateLimitedError if the client's limit is used up, without counting the request."""
    await request.app[RATE_LIMITER].refuse_if_spent(group, client_of(request))


@asynccontextmanager
async def open_rate_limiter(settings: Settings) -> AsyncIterator[RateLimiter]:
    """Open the limiter that the settings describe, and close its store at the end."""
    wanted: Mapping[Group, str] = {
        "orders": settings.rate_limit_orders,
        "lookups": settings.rate_limit_lookups,
        "wrong_keys": settings.rate_limit_wrong_keys,
        "wrong_codes": settings.rate_limit_wrong_codes,
    }
    limits = {group: parse(text) for group, text in wanted.items() if text != UNLIMITED}
    if settings.rate_limit_store is None:
        yield RateLimiter(OwnWindows(), limits)
        return
    async with _shared_store(settings.rate_limit_store.get_secret_value()) as storage:
        yield RateLimiter(SharedWindows(storage), limits)


@asynccontextmanager
async def _shared_store(url: str) -> AsyncIterator[Storage]:
    try:
        from redis.asyncio import ConnectionPool  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise SettingsError(
            "RATE_LIMIT_STORE: needs the Redis client, which is not installed: "
            "make install WITH=extras, or pip install 'mpanel-billing[redis]'"
        ) from None
    connections = ConnectionPool.from_url(
        url, socket_timeout=STORE_TIMEOUT_SECONDS, socket_connect_timeout=STORE_TIMEOUT_SECONDS
    )
    try:
        yield RedisStorage(
            f"async+{url}",
            wrap_exceptions=True,
            implementation="redispy",
            key_prefix="mpanel_billing",
            connection_pool=connections,  # type: ignore[arg-type]  # documented, but not typed
        )
    finally:
        await connections.aclose()
