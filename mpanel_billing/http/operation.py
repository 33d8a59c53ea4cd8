"""What a route declares: who may call it, what it takes, returns and refuses.

`endpoint.py` enforces a declaration, `openapi/` describes it to clients.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel

from mpanel_billing.access.key import Scope
from mpanel_billing.errors import (
    BillingError,
    DatabaseUnavailableError,
    InvalidRequestError,
    MalformedRequestError,
    PaymentFailedError,
    StripeError,
    StripeUnavailableError,
    UnauthenticatedError,
)
from mpanel_billing.http.access import NetworkRefusedError, ScopeMissingError
from mpanel_billing.http.paths import Path
from mpanel_billing.http.rate_limits import Group, RateLimitedError
from mpanel_billing.http.request import (
    MAX_BODY_BYTES,
    BodyTooLargeError,
    SlowBodyError,
    UnsupportedMediaTypeError,
)

Tag = Literal["checkout", "catalogue", "billing", "admin", "webhooks", "monitoring", "documents"]


@dataclass(frozen=True, slots=True)
class Content:
    """A body that no model describes: its media type and what it is."""

    media_type: str
    about: str


Body = type[BaseModel] | Content | None
"""A response's body; None: it has no body."""

ACCEPT_CURRENCY = "Accept-Currency"
"""Currencies in the order of preference, with commas between them."""

Refusals = Mapping[type[BillingError], tuple[str, ...]]
"""Error classes with their codes; an empty tuple means the class's own code."""


class InternalError(BillingError):
    """Something went wrong on our side."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A route's declaration.

    `scope` is that of the key it needs; with `key_optional` it can be called without a key too.
    `limit` is the rate limit that calls without a key count against. With `body_optional` a
    missing body is an empty object; it has at most `most_bytes`. `by_currency`: what it returns
    depends on the header Accept-Currency. `calls_stripe` adds Stripe's errors to `refusals`.
    """

    tag: Tag
    id: str
    about: str
    method: str
    address: str
    responses: Mapping[HTTPStatus, Body]
    scope: Scope | None = None
    key_optional: bool = False
    limit: Group | None = None
    path: type[Path] | None = None
    query: type[BaseModel] | None = None
    headers: type[BaseModel] | None = None
    body: type[BaseModel] | Content | None = None
    body_optional: bool = False
    most_bytes: int = MAX_BODY_BYTES
    calls_stripe: bool = False
    by_currency: bool = False
    refusals: Refusals = field(default_factory=dict)

    @property
    def is_strict(self) -> bool:
        """Whether unknown and repeated keys are refused: a change must not ignore what it says.

        The public routes ignore unknown keys: their clients send some.
        """
        return self.tag in {"admin", "billing"}

    @property
    def is_billing(self) -> bool:
        """Whether it is about a customer, whom the request names (docs/billing-api.md)."""
        return self.tag == "billing"

    def refuses_with(self, error: BillingError) -> bool:
        """Return whether the declaration names the error's status and code."""
        return any(
            error.status == kind.status
            and (kind is PaymentFailedError or error.code in (codes or (kind.code,)))
            for kind, codes in self.all_refusals()
        )

    def all_refusals(self) -> Iterator[tuple[type[BillingError], tuple[str, ...]]]:
        """Yield the declared errors, and those that follow from the rest of the declaration."""
        yield from self.refusals.items()
        for kind, codes in self._implied_refusals():
            if kind not in self.refusals:
                yield kind, codes

    def _implied_refusals(self) -> Iterator[tuple[type[BillingError], tuple[str, ...]]]:
        yield InternalError, ()
        if self.tag not in {"documents", "monitoring"}:
            yield DatabaseUnavailableError, ()
        if self.scope:
            yield from (
                (UnauthenticatedError, ()),
                (ScopeMissingError, ()),
                (NetworkRefusedError, ()),
                (MalformedRequestError, ()),
            )
        if self.scope or self.limit:
            yield RateLimitedError, ()
        if self.path:
            yield self.path.mismatch, ()
        if self.query or self.is_strict:
            yield InvalidRequestError, ()
        if self.headers:
            yield MalformedRequestError, ()
        if isinstance(self.body, type) or (self.is_strict and self.method != "GET"):
            yield from _BODY_REFUSALS
        if self.calls_stripe:
            yield from ((StripeError, STRIPE_CODES), (StripeUnavailableError, ()))


_BODY_REFUSALS: tuple[tuple[type[BillingError], tuple[str, ...]], ...] = (
    (MalformedRequestError, ()),
    (BodyTooLargeError, ()),
    (SlowBodyError, ()),
    (UnsupportedMediaTypeError, ()),
    (InvalidRequestError, ()),
)

STRIPE_CODES = (
    "stripe_error",
    "stripe_idempotency_mismatch",
    "stripe_key_refused",
    "stripe_object_missing",
    "stripe_object_unreadable",
    "stripe_refused",
)

_OPERATIONS: dict[Callable[..., Any], Operation] = {}
"""By aiohttp handler."""


def register(handler: Callable[..., Any], operation: Operation) -> None:
    """Remember what a handler declares."""
    _OPERATIONS[handler] = operation


def operation_of(handler: Callable[..., Any]) -> Operation | None:
    """Return what a handler declares; None for a route outside the API."""
    return _OPERATIONS.get(handler)
