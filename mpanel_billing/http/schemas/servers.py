"""Bodies of /api/admin/servers and /api/admin/moves, and of what moves an account."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StrictBool

from mpanel_billing.http.schemas.base import MOST_ROWS, Moment, Response, Schema, StrictRequest
from mpanel_billing.provisioning.repository.servers import ServerLoad

ServerName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
"""A server's name in PROVISIONING_SERVICES."""

ProductType = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,255}$")]


class MovesQuery(StrictRequest):
    """Which page of the moves: from or to `server`, at most `limit`, after the move `after`."""

    server: ServerName | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_ROWS)] = MOST_ROWS
    after: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0


class MoveAccountRequest(StrictRequest):
    """The server to move to; without it, the one that a new account would get."""

    to_server: ServerName | None = None


class MovedRequest(StrictRequest):
    """Whether the old server is gone for good, so that nothing has to be terminated there."""

    server_is_gone: StrictBool = False


class DrainRequest(StrictRequest):
    """The server to move to, and the product type to move: by default as for new accounts, all."""

    to_server: ServerName | None = None
    product_type: ProductType | None = None


class DrainedRequest(MovedRequest):
    """Which accounts: those of a product type, by default all; and whether the server is gone."""

    product_type: ProductType | None = None


class FillRequest(StrictRequest):
    """For which product type the server gets accounts again, by default all that it has."""

    product_type: ProductType | None = None


class ServerSchema(Schema):
    """What a server has to carry, and whether it gets new accounts.

    `accounts` counts the places that are taken; `coming` of these move here, `leaving` move away.
    `leftAt`: since when the setting does not name it any more.
    """

    product_type: str
    server: str
    driver: str
    accounts: int
    coming: int
    leaving: int
    capacity: int | None
    weight: int
    tags: tuple[str, ...]
    is_failing: bool
    failing_since: Moment | None
    last_error: str | None
    drained_by: str | None
    drained_at: Moment | None
    left_at: Moment | None

    @classmethod
    def of(cls, load: ServerLoad) -> "ServerSchema":
        """Make it from what is on record."""
        return cls.model_validate(load, from_attributes=True)


class MoveSchema(Schema):
    """A move that is not over; `copying` without `confirmedBy` waits for an operator.

    `stopped`: a server has refused a command, and nothing is sent until an operator retries.
    """

    id: int
    subscription_id: UUID
    product_type: str
    from_server: str
    to_server: str
    state: Literal["creating", "copying", "terminating", "cancelling"]
    stopped: bool
    last_error: str | None
    former_ref: str | None
    new_ref: str | None
    confirmed_by: str | None
    begun_by: str
    begun_at: Moment


class ServersResponse(Response):
    """The servers of product types that have several."""

    servers: tuple[ServerSchema, ...]


class MovesResponse(Response):
    """A page of the moves that are not over, by id."""

    moves: tuple[MoveSchema, ...]


class PlacedResponse(Response):
    """The server that gets, has or keeps the account."""

    subscription_id: UUID
    server: str


class NotMovedSchema(Schema):
    """How many accounts could not begin to move, and why."""

    reason: str
    accounts: int


class DrainResponse(Response):
    """How many accounts have begun to move, and which could not: the call can be repeated."""

    begun: int
    not_moved: tuple[NotMovedSchema, ...]


class DrainedResponse(Response):
    """How many accounts are at their new servers now."""

    confirmed: int


class FilledResponse(Response):
    """The server that gets accounts again."""

    server: str
