"""The header by which a client names its request, so that a repeat of it is known."""

import re

from aiohttp import web
from pydantic import BaseModel, Field

from mpanel_billing.errors import MalformedRequestError

IDEMPOTENCY_KEY = "Idempotency-Key"
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class RepeatHeaders(BaseModel):
    """The header, for the API's description."""

    key: str | None = Field(
        None,
        alias=IDEMPOTENCY_KEY,
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="The client's own name for its request: a repeat gets the same answer.",
    )


def read_idempotency_key(request: web.Request) -> str | None:
    """Return the client's own name for its request; MalformedRequestError for what cannot be one.

    Source: IETF draft-ietf-httpapi-idempotency-key-header.
    """
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise MalformedRequestError("The Idempotency-Key must be 1 to 255 visible characters.")
    return key
