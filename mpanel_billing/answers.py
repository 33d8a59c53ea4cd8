"""What the models of our answers have in common."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self

import asyncpg
from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel


def _as_utc(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


Moment = Annotated[
    datetime,
    PlainSerializer(_as_utc, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A moment; all of ours are UTC."""


class Part(BaseModel):
    """A part of an answer, in the clients' spelling."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        json_schema_serialization_defaults_required=True,
    )

    @classmethod
    def of_row(cls, row: Mapping[str, Any] | asyncpg.Record) -> Self:
        """Show a row that has the part's names."""
        return cls.model_validate(dict(row))


class Answer(Part):
    """What went well."""

    success: Literal[True] = True
