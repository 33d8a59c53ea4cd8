"""What the routes under /api/billing share: how they read a request."""

from typing import TypeVar
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel

from mpanel_billing.errors import InvalidRequestError, MalformedRequestError
from mpanel_billing.http import keys
from mpanel_billing.http.json_body import parse_body, read_json
from mpanel_billing.subscriptions.customers import Named
from mpanel_billing.subscriptions.desk import ServiceDesk

Model = TypeVar("Model", bound=BaseModel)


def service_desk(request: web.Request) -> ServiceDesk:
    """Return what services need to serve this request."""
    app = request.app
    return ServiceDesk(app[keys.POOL], app[keys.GATEWAY], app[keys.SETTINGS].livemode)


def path_id(request: web.Request) -> UUID:
    """Return the id in the address; MalformedRequestError for what is none of ours."""
    text = request.match_info["id"]
    try:
        return UUID(text)
    except ValueError:
        raise MalformedRequestError("The address has no id that could be ours in it.") from None


async def read_body(request: web.Request, model: type[Model]) -> Model:
    """Check the JSON body; a request without any is an empty one. Raises what `read_json` does."""
    return parse_body(model, await read_json(request) if request.can_read_body else {})


def require_customer_named(named: Named, *others: str) -> None:
    """Refuse a request that is about nobody in particular."""
    if named.anybody:
        names = ", ".join(("customerId", "userId", *others))
        raise InvalidRequestError(
            f"Please say which customer it is about: {names}.",
            fields={"customerId": "is missing"},
        )
