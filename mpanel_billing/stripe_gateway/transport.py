"""The HTTP client under the SDK: where every request to Stripe, each retry too, is counted."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from http import HTTPStatus
from typing import Any

import stripe
from yarl import URL

from mpanel_billing.telemetry import counters
from mpanel_billing.telemetry.tracing import active_tracing

_RESOURCE = re.compile(r"[a-z_]{1,40}(/[a-z_]{1,40})?")
_IN_GROUPS = frozenset({"billing_portal", "checkout"})


class CountingClient(stripe.AIOHTTPClient):
    """The SDK's own client; it counts, and traces where traces are wanted."""

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send one request; answer body, status and headers."""
        resource = resource_of(url)
        with _counted(method, resource) as tell_outcome, _traced(method, resource) as tell_status:
            answer = await super().request_async(method, url, headers, post_data)
            tell_outcome(outcome_of(answer[1]))
            tell_status(answer[1])
            return answer


def resource_of(url: str) -> str:
    """Name the resource that a request is about; the id comes after it."""
    _, _, *segments = URL(url).path.split("/")
    name = "/".join(segments[: 2 if segments[0:1] and segments[0] in _IN_GROUPS else 1])
    return name if _RESOURCE.fullmatch(name) else counters.OTHER


def outcome_of(status: int) -> str:
    """Turn a status into one of the words of counters.STRIPE_OUTCOMES."""
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
        raise  # whoever asked has gone: that says nothing about Stripe
    except Exception:
        counters.count_stripe_call(method, resource, outcomes[-1], time.perf_counter() - started)
        raise
    counters.count_stripe_call(method, resource, outcomes[-1], time.perf_counter() - started)


def _traced(method: str, resource: str) -> Any:
    tracing = active_tracing()
    if tracing is None:
        return nullcontext(lambda _: None)
    return tracing.calling_stripe(method, resource)
