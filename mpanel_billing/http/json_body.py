"""Reading a JSON request body, and saying what is wrong with it to the person who sent it."""

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mpanel_billing.errors import BillingError, InvalidRequestError, MalformedRequestError

MAX_BODY_BYTES = 64 * 1024

Body = TypeVar("Body", bound=BaseModel)

_WORDS = {
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
}
"""pydantic's errors in the words of somebody who fills in a form."""


_NOTHING_GIVEN = frozenset({_WORDS["missing"], _WORDS["string_too_short"]})


class UnsupportedMediaTypeError(BillingError):
    """The body is not declared as JSON."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_media_type"


class BodyTooLargeError(BillingError):
    """The body is larger than any honest request."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "body_too_large"


async def read_json(request: web.Request) -> Any:
    """Return the JSON value in the request's body.

    UnsupportedMediaTypeError for another content type, BodyTooLargeError above MAX_BODY_BYTES,
    MalformedRequestError for what is no JSON.
    """
    kind = request.content_type
    if kind != "application/json" and not kind.endswith("+json"):
        raise UnsupportedMediaTypeError(
            "Please send JSON, with the header Content-Type: application/json."
        )
    try:
        return json.loads(await _read_bytes(request), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise MalformedRequestError("The request's body is no valid JSON.") from None


def parse_body(
    model: type[Body], value: object, labels: Mapping[str, str] = MappingProxyType({})
) -> Body:
    """Check a JSON value.

    InvalidRequestError names each wrong field, and the first one in a sentence for the buyer,
    by its label where it has one (`customer.email` -> `your e-mail address`).
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
    if problem in _NOTHING_GIVEN:
        return f"Please enter {label}."
    return f"Please check {label}: it {problem}."


async def _read_bytes(request: web.Request) -> bytes:
    too_large = BodyTooLargeError(f"The request is too large: at most {MAX_BODY_BYTES} bytes.")
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise too_large
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise too_large
    return bytes(body)


def _refuse_constant(name: str) -> NoReturn:
    msg = f"{name} is no JSON"
    raise ValueError(msg)


def _problems(errors: Iterable[ErrorDetails]) -> dict[str, str]:
    """Name the input of each error, counting from 0: `cartItems[2].domain`."""
    problems: dict[str, str] = {}
    for error in errors:
        problems.setdefault(_dotted(error["loc"]), _explain(error))
    return problems


def _dotted(path: Iterable[int | str]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _explain(error: ErrorDetails) -> str:
    kind = error["type"]
    if kind in _WORDS:
        return _WORDS[kind]
    if kind == "string_too_long":
        return f"must have at most {error['ctx']['max_length']} characters"
    if kind == "too_short" and isinstance(error["input"], str):
        return _WORDS["string_too_short"]
    if kind == "too_long":
        unit = "characters" if isinstance(error["input"], str) else "entries"
        return f"must have at most {error['ctx']['max_length']} {unit}"
    if kind == "value_error":
        return error["msg"].removeprefix("Value error, ")
    return error["msg"].removeprefix("Input ").removeprefix("String ").rstrip(".")
