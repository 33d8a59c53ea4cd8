"""Reads a request: its path, query, JSON body and Idempotency-Key; errors name the wrong field."""

import asyncio
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar

from aiohttp import StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails

from mpanel_billing.errors import (
    BillingError,
    InvalidRequestError,
    MalformedRequestError,
    field_name,
)
from mpanel_billing.http.paths import Path

CURRENCY = "^[a-z]{3}$"
PAYMENT_METHOD = "^pm_[A-Za-z0-9_]{1,100}$"

MAX_BODY_BYTES = 64 * 1024

BODY_SECONDS = 15.0
"""How long a body may take: ours are small, and nginx passes them on whole."""

Model = TypeVar("Model", bound=BaseModel)

NO_TIME = "must be a time with its zone, such as 2027-01-31T23:59:59Z"

_WORDS = {
    **dict.fromkeys(
        ("datetime_type", "datetime_parsing", "datetime_from_date_parsing", "timezone_aware"),
        NO_TIME,
    ),
    **dict.fromkeys(
        ("date_type", "date_parsing", "date_from_datetime_parsing"),
        "must be a date, such as 2027-01-31",
    ),
    "missing": "is missing",
    "string_type": "must be text",
    "string_unicode": "has characters that cannot be read",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object",
    "string_too_short": "must not be empty",
    "uuid_type": "must be an id",
    "uuid_parsing": "must be an id",
    "string_too_long": "must have at most {max_length} characters",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "extra_forbidden": "is unknown",
}
"""pydantic's error types, in words for the person who fills in the form."""

_PATTERNS = {
    CURRENCY: "must be a currency in lower case, such as usd",
    PAYMENT_METHOD: "must be Stripe's id of a payment method, pm_...",
}

_LEFT_EMPTY = frozenset({_WORDS["missing"], _WORDS["string_too_short"]})


class UnsupportedMediaTypeError(BillingError):
    """The body is not declared as JSON."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_media_type"


class BodyTooLargeError(BillingError):
    """The body exceeds the size limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "body_too_large"


class SlowBodyError(BillingError):
    """The body takes too long to arrive."""

    status = HTTPStatus.REQUEST_TIMEOUT
    code = "request_timeout"


_IDEMPOTENCY_KEY = r"[\x21-\x7e]{1,255}"


class IdempotencyHeaders(BaseModel):
    """The header Idempotency-Key, for the API description."""

    key: str | None = Field(
        None,
        alias="Idempotency-Key",
        pattern=f"^{_IDEMPOTENCY_KEY}$",
        description="A name that the client chooses; a repeat gets the same response.",
    )


def read_idempotency_key(request: web.Request) -> str | None:
    """Return the request's Idempotency-Key, if any; MalformedRequestError if it is malformed.

    Source: IETF draft-ietf-httpapi-idempotency-key-header.
    """
    key = request.headers.get("Idempotency-Key")
    if key is not None and not re.fullmatch(_IDEMPOTENCY_KEY, key):
        raise MalformedRequestError("Idempotency-Key must be 1 to 255 visible ASCII characters.")
    return key


AnyPath = TypeVar("AnyPath", bound=Path)


def read_path(request: web.Request, model: type[AnyPath]) -> AnyPath:
    """Return the variable parts of the address; raises the model's `mismatch`."""
    try:
        return model.model_validate(dict(request.match_info))
    except ValidationError:
        raise model.mismatch(model.mismatch_message) from None


def read_query(request: web.Request, *, strict: bool) -> dict[str, str]:
    """Return the query; InvalidRequestError, if `strict`, for a parameter that is given twice."""
    query = request.query
    return _once_each(query.items()) if strict else dict(query)


async def read_json(request: web.Request, *, strict: bool, most: int = MAX_BODY_BYTES) -> Any:
    """Return the JSON value in the body, of at most `most` bytes.

    UnsupportedMediaTypeError for another content type, and what `read_bytes` raises;
    MalformedRequestError for invalid JSON; InvalidRequestError, if `strict`, for an object that
    has a key twice.
    """
    kind = request.content_type
    if kind != "application/json" and not kind.endswith("+json"):
        raise UnsupportedMediaTypeError(
            "Please send JSON, with the header Content-Type: application/json."
        )
    try:
        return json.loads(
            await read_bytes(request, most),
            parse_constant=_refuse_constant,
            object_pairs_hook=_once_each if strict else None,
        )
    except (ValueError, RecursionError):
        raise MalformedRequestError("The request body is not valid JSON.") from None


def validate(
    model: type[Model], value: object, labels: Mapping[str, str] = MappingProxyType({})
) -> Model:
    """Validate a JSON value or a query.

    InvalidRequestError lists every wrong field, and names the first in a sentence for the buyer,
    by its label if it has one (`customer.email` -> `your email address`).
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = _problems(error.errors())
    field, problem = next(iter(problems.items()))
    raise InvalidRequestError(_sentence(labels.get(field, field), problem), fields=problems)


def _sentence(label: str, problem: str) -> str:
    if not label:
        return f"The request {problem}."
    if problem in _LEFT_EMPTY:
        return f"Please enter {label}."
    return f"Please check {label}: it {problem}."


async def read_bytes(request: web.Request, most: int) -> bytes:
    """Return the body.

    BodyTooLargeError above `most` bytes, SlowBodyError if it takes longer than BODY_SECONDS,
    MalformedRequestError if it is not encoded as the headers say, or ends early.
    """
    if (request.content_length or 0) > most:
        raise _too_large(most)
    if has_arrived(request.content):
        return _within(most, request.content.read_nowait())
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _collect(request, most)
    except TimeoutError:
        raise SlowBodyError("The request body took too long to arrive.") from None
    except (web.RequestPayloadError, HttpProcessingError):
        raise MalformedRequestError("The request body is not encoded as its headers say.") from None
    except ConnectionError:  # nobody reads the response any more
        raise MalformedRequestError("The request body ended early.") from None


def has_arrived(content: StreamReader) -> bool:
    """Whether a body came with its headers, as most do: then nothing is waited for."""
    return content.is_eof() and content.exception() is None


def _within(most: int, body: bytes) -> bytes:
    if len(body) > most:
        raise _too_large(most)
    return body


async def _collect(request: web.Request, most: int) -> bytes:
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > most:
            raise _too_large(most)
    return bytes(body)


def _too_large(most: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"The request body exceeds {most} bytes.")


def _once_each(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for name, value in pairs:
        if name in read:
            raise _repeated(name)
        read[name] = value
    return read


def _repeated(name: str) -> InvalidRequestError:
    problem = "is given twice"
    return InvalidRequestError(_sentence(name, problem), fields={name: problem})


def _refuse_constant(name: str) -> NoReturn:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


def _problems(errors: Sequence[ErrorDetails]) -> dict[str, str]:
    """Return field -> problem; a list whose entries are wrong is not called empty beside them."""
    problems: dict[str, str] = {}
    wrong = {error["loc"][:depth] for error in errors for depth in range(len(error["loc"]))}
    for error in errors:
        if error["type"] != "too_short" or error["loc"] not in wrong:
            problems.setdefault(field_name(error["loc"]), _explain(error))
    return problems


def _explain(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in _WORDS:
        return _WORDS[kind].format(**context)
    if kind in {"too_short", "too_long"}:
        return _explain_length(error, context)
    if kind == "literal_error":
        expected: str = context["expected"].replace("'", "")
        is_key = error["loc"][-1:] == ("[key]",)
        return f"is unknown: use {expected}" if is_key else f"must be {expected}"
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(context["pattern"], "has characters that are not allowed")
    if kind == "value_error":
        return error["msg"].removeprefix("Value error, ")
    return in_pydantics_words(error)


def _explain_length(error: ErrorDetails, context: Mapping[str, Any]) -> str:
    unit = "characters" if isinstance(error["input"], str) else "entries"
    if error["type"] == "too_long":
        return f"must have at most {context['max_length']} {unit}"
    least: int = context["min_length"]
    return _WORDS["string_too_short"] if least == 1 else f"must have at least {least} {unit}"


def in_pydantics_words(error: ErrorDetails) -> str:
    """Explain what no request of the tests was refused for."""
    return error["msg"].removeprefix("Input ").removeprefix("String ").rstrip(".")
