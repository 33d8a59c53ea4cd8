"""What the document says of a route; it stands as a decorator at the route's handler.

    @routes.get("/api/admin/events")
    @described(Operation("admin", {HTTPStatus.OK: EventsAnswer}, scope="admin:read"))
    async def get_events(request: web.Request) -> web.Response:
        \"\"\"Answer with the newest events.\"\"\"

Summary and description are the handler's docstring, method and path the router's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from mpanel_billing.access.scopes import Scope
from mpanel_billing.errors import BillingError

Tag = Literal["checkout", "catalogue", "billing", "admin", "webhooks", "monitoring", "documents"]

Handler = TypeVar("Handler", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Content:
    """A body that no model describes: its media type, and what it is."""

    media_type: str
    about: str


Answer = type[BaseModel] | Content | None
"""What an answer's body is; None: there is none."""

Refusals = dict[type[BillingError], tuple[str, ...]]
"""The errors of a route, and their codes where those are not the classes' own."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A route, as its callers need to know it.

    `scope` is that of the key it takes; with `key_optional` one without a key is for everybody.
    `path` has the types of what is in the address, `headers` those of its own headers.
    `body_optional`: no body at all is as good as an empty object. `asks_stripe` and `limited` add
    the errors of Stripe and of the rate limits to `refusals`.
    """

    tag: Tag
    answers: Mapping[HTTPStatus, Answer]
    scope: Scope | None = None
    key_optional: bool = False
    path: Mapping[str, Any] = field(default_factory=dict)
    query: type[BaseModel] | None = None
    headers: type[BaseModel] | None = None
    body: type[BaseModel] | Content | None = None
    body_optional: bool = False
    asks_stripe: bool = False
    limited: bool = False
    refusals: Refusals = field(default_factory=dict)


_OPERATIONS: dict[Callable[..., Any], Operation] = {}


def described(operation: Operation) -> Callable[[Handler], Handler]:
    """Note what the document says of a handler, which stays as it is."""

    def note(handler: Handler) -> Handler:
        _OPERATIONS[handler] = operation
        return handler

    return note


def operation_of(handler: Callable[..., Any]) -> Operation | None:
    """Return what was noted of a handler."""
    return _OPERATIONS.get(handler)


def described_handlers() -> frozenset[Callable[..., Any]]:
    """Return the handlers of which something was noted."""
    return frozenset(_OPERATIONS)
