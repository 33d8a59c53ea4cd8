"""What a handler's annotations declare of its endpoint, and whether that is complete."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel

from mpanel_billing.http.operation import Body, Operation
from mpanel_billing.http.paths import Path
from mpanel_billing.http.schemas.base import CacheableResponse, OwnerRequest


def check_models(operation: Operation) -> None:
    """TypeError for a strict endpoint that would ignore a key, or not ask for the owner."""
    models = [one for one in (operation.query, operation.body) if isinstance(one, type)]
    if operation.is_strict and any(one.model_config.get("extra") != "forbid" for one in models):
        msg = f"the models of {operation.address} must forbid unknown keys"
        raise TypeError(msg)
    response, *not_modified = operation.responses.values()
    if not_modified and not (
        isinstance(response, type) and issubclass(response, CacheableResponse)
    ):
        msg = f"{operation.address} must return a CacheableResponse"
        raise TypeError(msg)
    if operation.is_billing and not any(issubclass(one, OwnerRequest) for one in models):
        msg = f"{operation.address} must take its customer, as an OwnerRequest"
        raise TypeError(msg)


def id_of(handler: Callable[..., Any]) -> str:
    """Return the id of a handler's operation: its module and its name."""
    return f"{handler.__module__.rpartition('.')[2]}_{handler.__name__}"


def responses_of(
    status: HTTPStatus, model: type[BaseModel], *, cached: bool
) -> Mapping[HTTPStatus, Body]:
    """Return the bodies by status; what is cached may be not modified."""
    return {status: model, HTTPStatus.NOT_MODIFIED: None} if cached else {status: model}


@dataclass(frozen=True, slots=True)
class Signature:
    """What a handler's annotations declare."""

    path: type[Path] | None
    query: type[BaseModel] | None
    body: type[BaseModel] | None
    response: type[BaseModel]

    @classmethod
    def of(cls, handler: Callable[..., Any], address: str) -> "Signature":
        """Read the annotations; TypeError if they do not fit the address."""
        hints = get_type_hints(handler)
        response = hints.pop("return")
        (call,) = hints.values()
        given = [None if model is type(None) else model for model in get_args(call)]
        path, query, body = [*given, None, None, None][:3]
        names = list(path.model_fields) if path else []
        if names != re.findall(r"{(\w+)}", address):
            msg = f"{address} does not have the parts {names}"
            raise TypeError(msg)
        return cls(path, query, body, response)
