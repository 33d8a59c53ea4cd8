"""POST /api/webhooks/stripe: raw bytes in, 200 only when the event is on disk."""

import json
import logging
import time
from functools import cache
from http import HTTPStatus

from aiohttp import web
from pydantic import BaseModel, Field

from mpanel_billing.errors import BillingError, MalformedRequestError
from mpanel_billing.http import keys, metrics
from mpanel_billing.http.answers.services import ReceivedAnswer
from mpanel_billing.http.json_body import BodyTooLargeError, UnsupportedMediaTypeError
from mpanel_billing.http.openapi.operation import Content, Operation, described
from mpanel_billing.telemetry import counters
from mpanel_billing.webhooks.event import Event, parse_body, parse_event
from mpanel_billing.webhooks.signature import verify_signature

logger = logging.getLogger(__name__)
routes = web.RouteTableDef()

PATH = "/api/webhooks/stripe"
MAX_BODY_BYTES = 2 * 1024 * 1024
"""What the application reads of any request at most; JSON routes have a lower limit."""


class StripeHeaders(BaseModel):
    """Stripe's header, for the API's description."""

    signature: str = Field(
        alias="Stripe-Signature", description="Over the bytes of the body, with our secret."
    )


@routes.post(PATH)
@described(
    Operation(
        "webhooks",
        {HTTPStatus.OK: ReceivedAnswer},
        headers=StripeHeaders,
        body=Content("application/json", "An event, byte for byte as Stripe has signed it."),
        refusals={
            MalformedRequestError: (
                "not_an_event",
                "signature_invalid",
                "signature_malformed",
                "signature_missing",
                "signature_too_old",
                "wrong_mode",
            ),
            BodyTooLargeError: (),
            UnsupportedMediaTypeError: (),
        },
    )
)
async def receive_webhook(request: web.Request) -> web.Response:
    """Answer 200 once the event is committed; 400 what is none; 503 while there is no database."""
    body = await _read_raw(request)
    try:
        event = _open(request, body)
    except BillingError as error:
        logger.warning("webhook refused: %s", error, extra={"code": error.code})
        counters.count_refusal(error.code)
        raise
    metrics.observe_age(event.created)
    outcome = await request.app[keys.EVENTS].receive(event)
    metrics.count_event(event.type, outcome.status)
    logger.log(
        logging.DEBUG if outcome.status == "ignored" else logging.INFO,
        "event %s",
        outcome.status,
        extra={
            "eventId": event.id,
            "eventType": event.type,
            "objectId": event.object_id,
            "reason": outcome.reason,
        },
    )
    return web.Response(
        body=_answer(outcome.status), content_type="application/json", charset="utf-8"
    )


@cache
def _answer(status: str) -> bytes:
    return json.dumps({"received": True, "outcome": status}).encode()


def _open(request: web.Request, body: bytes) -> Event:
    """Return the event; SignatureError, NotAnEventError or WrongModeError when it is none."""
    header = request.headers.get("Stripe-Signature")
    verify_signature(body, header, request.app[keys.WEBHOOK_SECRETS], now=time.time())
    return parse_event(parse_body(body), livemode=request.app[keys.SETTINGS].livemode)


async def _read_raw(request: web.Request) -> bytes:
    """Read the body as it was sent; a compressed one cannot have been signed."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise web.HTTPUnsupportedMediaType(reason="A webhook's body must not be compressed.")
    return await request.read()
