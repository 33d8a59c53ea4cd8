"""Fills a sandbox from a file in the format of `stripe fixtures`.

The file is a JSON object; each entry of its `fixtures` is one request. A value may refer to a
field of an earlier response, `${customer:id}`, or to an environment variable, `${.env:EMAIL|none}`;
the text behind `|` is used if there is no such field or variable. Requests to `/_sandbox` are
allowed too.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from aiohttp import ClientSession
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stripe_sandbox.documents import Document

REFERENCE = re.compile(r"\$\{(?P<name>[^:}]+):(?P<path>[^|}]+)(?:\|(?P<default>[^}]*))?\}")
HEADERS = {"Authorization": "Bearer sk_test_fixtures"}
ENVIRONMENT = ".env"


class FixtureError(Exception):
    """A file or an entry of it that cannot be used; says which and why."""


class Fixture(BaseModel):
    """One request; `name` stands for its response in later entries."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    path: str
    method: Literal["get", "post", "delete"] = "post"
    params: dict[str, Any] = Field(default_factory=dict)
    expected_error_type: str = ""


class Fixtures(BaseModel):
    """A file's content; `_meta` and other keys are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    fixtures: list[Fixture]


def read_fixtures(text: bytes | str) -> Fixtures:
    """Return the content; raises FixtureError with the place that is wrong."""
    try:
        return Fixtures.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "file"
        raise FixtureError(f"{place}: {first['msg']}") from None


async def load_file(url: str, path: Path) -> Document:
    """Fill the sandbox at a base URL from a file; return the responses by the entries' names.

    Raises FixtureError.
    """
    text = _read_file(path)
    try:
        return await load(url, read_fixtures(text))
    except FixtureError as error:
        raise FixtureError(f"{path}: {error}") from None


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FixtureError(f"{path}: {error.strerror}") from None


async def load(url: str, content: Fixtures) -> Document:
    """Send the requests in their order; return the responses by name. Raises FixtureError."""
    responses: Document = {}
    async with ClientSession(url, headers=HEADERS) as session:
        for fixture in content.fixtures:
            responses[fixture.name] = await _send(session, fixture, responses)
    return responses


async def _send(session: ClientSession, fixture: Fixture, responses: Document) -> Document:
    path = _filled(fixture.path, responses, fixture.name)
    params = _filled(fixture.params, responses, fixture.name)
    if path.startswith("/_sandbox/"):
        sent: Document = {"json": params}
    else:
        sent = {"params" if fixture.method == "get" else "data": [*form_of(params)]}
    async with session.request(fixture.method, path, **sent) as response:
        text = await response.text()
        if response.content_type != "application/json":
            raise FixtureError(f"{fixture.name}: {response.status} {text}")
        body: Document = await response.json()
    _check(fixture, body)
    return body


def _check(fixture: Fixture, body: Document) -> None:
    """Raise FixtureError unless the request failed, or succeeded, as the entry says."""
    error = body.get("error", {})
    if error.get("type", "") != fixture.expected_error_type:
        wanted = fixture.expected_error_type or "success"
        found = error.get("message", "it succeeded")
        raise FixtureError(f"{fixture.name}: expected {wanted}: {found}")


def form_of(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the fields of a form: `items[0][price]`; null is empty."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from form_of(item, f"{name}[{key}]" if name else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from form_of(item, f"{name}[{index}]")
    else:
        yield name, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _filled(value: Any, responses: Document, owner: str) -> Any:
    """Return the value with references replaced; a text that is one reference keeps its type."""
    if isinstance(value, dict):
        return {key: _filled(item, responses, owner) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, responses, owner) for item in value]
    if not isinstance(value, str):
        return value
    whole = REFERENCE.fullmatch(value)
    if whole:
        return _referred(whole, responses, owner)
    return REFERENCE.sub(lambda found: _text(_referred(found, responses, owner)), value)


def _referred(reference: re.Match[str], responses: Document, owner: str) -> Any:
    name, path, default = reference["name"], reference["path"], reference["default"]
    if name == ENVIRONMENT:
        found: Any = os.environ.get(path)
    else:
        found = _field(responses.get(name), path)
    if found is None and default is None:
        raise FixtureError(f"{owner}: {reference.group()} does not exist")
    return default if found is None else found


def _field(response: Any, path: str) -> Any:
    """Return the field at a path such as `lines.data.0.id`, or None."""
    for key in path.split("."):
        place = key.strip("[]")
        if isinstance(response, list) and place.isdecimal() and int(place) < len(response):
            response = response[int(place)]
        elif isinstance(response, dict):
            response = response.get(key)
        else:
            return None
    return response
