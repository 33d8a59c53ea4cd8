"""Writing a JSON answer from its model."""

from http import HTTPStatus

from aiohttp import web
from pydantic import BaseModel


def answer(model: BaseModel, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    """Write an answer; nobody on the way is to keep it."""
    return web.Response(
        text=model.model_dump_json(by_alias=True),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
