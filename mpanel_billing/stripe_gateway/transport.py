"""The HTTP client under the SDK; counts every request to Stripe, including retries."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any, Self

from yarl import URL

from mpanel_billing.stripe_gateway.responses import check_response
from mpanel_billing.stripe_gateway.sdk import stripe
from mpanel_billing.telemetry import counters
from mpanel_billing.telemetry.tracing import active_tracing

_RESOURCE = re.compile(r"[a-z_]{1,40}(/[a-z_]{1,40})?")
_IN_GROUPS = frozenset({"billing_portal", "checkout", "core", "radar"})


class KeptContent:
    """The JSON of the response to the request in its block, which the SDK does not get to see.

    It has been parsed already to be checked. The SDK would do so again, by slower means, which for
    a page of a list takes longer than all the rest.
    """

    def __init__(self) -> None:
        """Keep nothing yet."""
        self._content: Mapping[str, Any] = {}

    def put(self, content: Mapping[str, Any]) -> None:
        """Keep the content."""
        self._content = content

    def take(self) -> Mapping[str, Any]:
        """Return the content and forget it.

        Timers of the request that were cancelled stay in the event loop, with the context in which
        they were set, and so with this object, until their time has come.
        """
        content, self._content = self._content, {}
        return content

    def __enter__(self) -> Self:
        """Begin the block."""
        self._token = _KEPT.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        """End the block."""
        _KEPT.reset(self._token)


_KEPT: ContextVar[KeptContent | None] = ContextVar("kept_content", default=None)


class CountingClient(stripe.AIOHTTPClient):
    """The SDK's own client, with counters, and spans if tracing is on."""

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send one request; returns body, status and headers."""
        resource = resource_of(url)
        with _counted(method, resource) as note_outcome, _traced(method, resource) as note_status:
            response = await super().request_async(method, url, headers, post_data)
            note_outcome(outcome_of(response[1]))
            note_status(response[1])
            if response[1] >= HTTPStatus.MULTIPLE_CHOICES:
                return response
            content = check_response(method, url, resource, response[0])
            if (kept := _KEPT.get()) is None:
                return response
            kept.put(content)
            return b"{}", *response[1:]


def resource_of(url: str) -> str:
    """Return the resource in the URL of a request, without the object's id."""
    _, _, *segments = URL(url).path.split("/")
    name = "/".join(segments[: 2 if segments[0:1] and segments[0] in _IN_GROUPS else 1])
    return name if _RESOURCE.fullmatch(name) else counters.OTHER


def outcome_of(status: int) -> str:
    """Return which of `counters.STRIPE_OUTCOMES` a status is."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "broke"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "rate_limited"
    if status == HTTPStatus.CONFLICT:
        return "busy"
    return "refused" if status >= HTTPStatus.BAD_REQUEST else "ok"


@contextmanager
def _counted(method: str, resource: str) -> Iterator[Callable[[str], None]]:
    outcomes = ["unreachable"]
    started = time.perf_counter()
    try:
        yield outcomes.append
    except asyncio.CancelledError:
        raise  # the caller gave up: that says nothing about Stripe
    except Exception:
        counters.count_stripe_call(method, resource, outcomes[-1], time.perf_counter() - started)
        raise
    counters.count_stripe_call(method, resource, outcomes[-1], time.perf_counter() - started)


def _traced(method: str, resource: str) -> Any:
    tracing = active_tracing()
    if tracing is None:
        return nullcontext(lambda _: None)
    return tracing.calling_stripe(method, resource)
