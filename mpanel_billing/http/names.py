"""Names of things in addresses: what none of ours looks like is found nowhere."""

import re
from typing import Annotated

from aiohttp import web
from pydantic import Field

from mpanel_billing.errors import NotFoundError

_NAME = r"^[A-Za-z0-9_.-]{1,255}$"

EventId = Annotated[str, Field(pattern=_NAME, description="Stripe's id of the event.")]
SubscriptionName = Annotated[
    str, Field(pattern=_NAME, description="Our id of the subscription, or Stripe's.")
]
ProductType = Annotated[str, Field(pattern=_NAME, description="As in the product's catalogue.")]


def read_name(request: web.Request, part: str) -> str:
    """Return a part of the address; NotFoundError for what nothing of ours can be called."""
    name = request.match_info[part]
    if not re.fullmatch(_NAME, name):
        raise NotFoundError("There is nothing by that name.")
    return name
