"""POST /api/webhooks/stripe: raw bytes in, 200 only once the event is committed."""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from http import HTTPStatus

from aiohttp import web
from pydantic import BaseModel, Field

from mpanel_billing.errors import MalformedRequestError
from mpanel_billing.http import keys
from mpanel_billing.http.connections import take_failure
from mpanel_billing.http.endpoint import Endpoints
from mpanel_billing.http.operation import Content
from mpanel_billing.http.request import (
    BodyTooLargeError,
    SlowBodyError,
    UnsupportedMediaTypeError,
    read_bytes,
)
from mpanel_billing.http.schemas.monitoring import EventReceivedResponse
from mpanel_billing.mirror.service import Outcome
from mpanel_billing.mirror.types import EVENT_TYPES
from mpanel_billing.telemetry import counters
from mpanel_billing.webhooks.endpoint import PATH
from mpanel_billing.webhooks.event import Event, parse_body, parse_event
from mpanel_billing.webhooks.inbox import IGNORED
from mpanel_billing.webhooks.signature import verify_signature

logger = logging.getLogger(__name__)
routes = Endpoints("webhooks")

counters.begin_counting_events(EVENT_TYPES)

MAX_BODY_BYTES = 2 * 1024 * 1024
"""The application's limit for any request; JSON routes have a lower one."""


class StripeHeaders(BaseModel):
    """Stripe's header, as the API description shows it."""

    signature: str = Field(
        alias="Stripe-Signature", description="Stripe's signature of the body's bytes."
    )


@routes.raw(
    "POST",
    PATH,
    {HTTPStatus.OK: EventReceivedResponse},
    headers=StripeHeaders,
    body=Content("application/json", "An event, byte for byte as Stripe signed it."),
    refusals={
        MalformedRequestError: (
            "malformed_request",
            "not_an_event",
            "signature_invalid",
            "signature_malformed",
            "signature_missing",
            "signature_too_old",
            "wrong_mode",
        ),
        BodyTooLargeError: (),
        SlowBodyError: (),
        UnsupportedMediaTypeError: (),
    },
)
async def receive_webhook(request: web.Request) -> web.Response:
    """Store an event: 200 once it is committed, 400 if it is not one, 503 without a database."""
    if failure := take_failure(request):
        _note_refusal(failure)
        raise failure
    body = await _read_raw(request)
    try:
        event = _open(request, body)
    except MalformedRequestError as error:
        _note_refusal(error)
        raise
    observe_age(event.created)
    outcome = await request.app[keys.EVENTS].receive(event)
    count_event(event.type, outcome.status)
    log_event(event, outcome)
    return web.Response(
        body=received(outcome.status), content_type="application/json", charset="utf-8"
    )


def _note_refusal(error: Exception) -> None:
    """Log and count what is not an event of ours; a database that is down refuses nothing."""
    if isinstance(error, MalformedRequestError):
        logger.warning("webhook refused: %s", error, extra={"code": error.code})
        counters.count_refusal(error.code)


def log_event(event: Event, outcome: Outcome) -> None:
    """Log what became of an event."""
    level = logging.DEBUG if outcome.status == IGNORED else logging.INFO
    if not logger.isEnabledFor(level):
        return
    logger.log(
        level,
        "event %s",
        outcome.status,
        extra={
            "eventId": event.id,
            "eventType": event.type,
            "objectId": event.object_id,
            "reason": outcome.reason,
        },
    )


@cache
def received(status: str) -> bytes:
    """Return the body of the response."""
    return json.dumps({"received": True, "outcome": status}).encode()


def _open(request: web.Request, body: bytes) -> Event:
    settings, secrets = request.app[keys.SETTINGS], request.app[keys.WEBHOOK_SECRETS]
    return open_event(body, request.headers, secrets, livemode=settings.livemode)


def open_event(
    body: bytes, headers: Mapping[str, str], secrets: Sequence[bytes], *, livemode: bool
) -> Event:
    """Return the event; SignatureError, NotAnEventError or WrongModeError."""
    verify_signature(body, headers.get("Stripe-Signature"), secrets, now=time.time())
    return parse_event(parse_body(body), livemode=livemode)


async def _read_raw(request: web.Request) -> bytes:
    """Return the body as it was sent; a compressed one cannot match its signature."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise web.HTTPUnsupportedMediaType(reason="The body of a webhook must not be compressed.")
    return await read_bytes(request, MAX_BODY_BYTES)


def count_event(event_type: str, outcome: str) -> None:
    """Count an acknowledged event; types that are not mirrored count as one."""
    known = event_type if event_type in EVENT_TYPES else counters.OTHER
    counters.event_counter(known, outcome).inc()


def observe_age(created: datetime | None) -> None:
    """Record how old an event is on arrival; Stripe's clock has whole seconds, and may be ahead."""
    if created is not None:
        counters.EVENT_AGE.observe(max(0.0, time.time() - created.timestamp()))
