"""Request and responses of /api/admin/customers/{id}/notes."""

from collections.abc import Iterable
from typing import Annotated, Self

import asyncpg
from pydantic import Field, StringConstraints

from mpanel_billing.http.schemas.base import Moment, Response, Schema, StrictRequest
from mpanel_billing.search.notes import LONGEST, MOST


class NoteRequest(StrictRequest):
    """What to note about a customer."""

    body: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST)]


class NoteSchema(Schema):
    """A note about a customer; `person` is who wrote it behind the key `writtenBy`."""

    body: str
    written_by: str
    person: str | None
    written_at: Moment


class NotesResponse(Response):
    """The latest notes, newest first."""

    notes: tuple[NoteSchema, ...] = Field(max_length=MOST)

    @classmethod
    def of(cls, rows: Iterable[asyncpg.Record]) -> Self:
        """Build the response from rows of `list_notes`."""
        return cls(notes=tuple(NoteSchema.of_row(row) for row in rows))


class NotedResponse(Response):
    """A note that was added."""

    id: int
