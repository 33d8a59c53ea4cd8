"""Reading what stands behind the question mark, and saying what is wrong with it."""

from typing import Annotated, TypeVar

from aiohttp import web
from pydantic import BaseModel, Field

from mpanel_billing.checkout.request import Line
from mpanel_billing.http.json_body import parse_body

Query = TypeVar("Query", bound=BaseModel)

SearchedText = Annotated[Line, Field(max_length=255)]
"""What something may be called."""


def read_query(request: web.Request, model: type[Query]) -> Query:
    """Check the query of the address; InvalidRequestError names what is wrong."""
    return parse_body(model, dict(request.query))
