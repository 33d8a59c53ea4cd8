"""Errors in the document: all in one shape, by status, with their codes."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from mpanel_billing.errors import (
    BillingError,
    DatabaseUnavailableError,
    InvalidRequestError,
    MalformedRequestError,
    StripeError,
    StripeUnavailableError,
    UnauthenticatedError,
)
from mpanel_billing.http.access import ScopeMissingError
from mpanel_billing.http.json_body import BodyTooLargeError, UnsupportedMediaTypeError
from mpanel_billing.http.openapi.operation import Content, Operation
from mpanel_billing.http.rate_limits import RateLimitedError


class ErrorAnswer(BaseModel):
    """Whatever goes wrong reads like this, at every address."""

    model_config = ConfigDict(alias_generator=to_camel)

    success: Literal[False]
    error: str = Field(description="A sentence for the person who reads it.")
    code: str = Field(description="A word for the machine.")
    fields: dict[str, str] = Field(
        default={}, description="What is wrong with which input; left out where it is about none."
    )
    request_id: str | None = Field(description="By which the log lines are found.")


class InternalError(BillingError):
    """Something went wrong on our side."""


def refusals_by_status(operation: Operation) -> Mapping[HTTPStatus, str]:
    """Say for each status that an operation may refuse with why it does, and with which codes."""
    reasons: dict[HTTPStatus, dict[str, None]] = {}
    for error, codes in _refusals(operation):
        words = ", ".join(f"`{code}`" for code in codes or (error.code,))
        why = (error.__doc__ or "").partition("\n")[0]
        reasons.setdefault(error.status, {})[f"{why.removesuffix('.')}: {words}."] = None
    return {status: " ".join(reasons[status]) for status in sorted(reasons)}


def _refusals(operation: Operation) -> Iterator[tuple[type[BillingError], tuple[str, ...]]]:
    yield from operation.refusals.items()
    yield from ((error, ()) for error in _implied(operation) if error not in operation.refusals)


def _implied(operation: Operation) -> Iterator[type[BillingError]]:
    """Return the errors that follow from what a route does."""
    yield InternalError
    if operation.tag not in {"documents", "monitoring"}:
        yield DatabaseUnavailableError
    if operation.scope:
        yield from (UnauthenticatedError, ScopeMissingError, RateLimitedError)
    if operation.limited:
        yield RateLimitedError
    if operation.query:
        yield InvalidRequestError
    if operation.headers:
        yield MalformedRequestError
    if operation.body is not None and not isinstance(operation.body, Content):
        yield from (MalformedRequestError, BodyTooLargeError)
        yield from (UnsupportedMediaTypeError, InvalidRequestError)
    if operation.asks_stripe:
        yield from (StripeError, StripeUnavailableError)
