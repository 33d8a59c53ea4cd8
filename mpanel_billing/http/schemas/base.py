"""What request and response models share: camelCase keys, times, and types of form fields.

Each is built when it is first used: most processes never use most of them.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import UUID

import asyncpg
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from mpanel_billing.checkout.buyer import LONGEST_EMAIL, normalise_email
from mpanel_billing.errors import InvalidRequestError
from mpanel_billing.http.request import NO_TIME
from mpanel_billing.subscriptions.lookup import CustomerRef

MOST_ROWS = 100


def _as_utc(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


Moment = Annotated[
    datetime,
    PlainSerializer(_as_utc, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A UTC time in ISO 8601, with `Z`."""


_RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})")


def _read_moment(value: object) -> object:
    if isinstance(value, str) and _RFC_3339.fullmatch(value):
        return value
    raise ValueError(NO_TIME)


GivenMoment = Annotated[
    AwareDatetime,
    Field(strict=False),
    BeforeValidator(_read_moment),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A time in a request: text with its zone, no number of seconds."""


def _read_number(value: object) -> object:
    if isinstance(value, bool | str):
        raise PydanticCustomError("int_type", "must be a whole number")
    return value


ONLY_NUMBERS = BeforeValidator(_read_number)
"""For a whole number in JSON: refuses `true` and text. Comes after the limits of a field."""


class Schema(BaseModel):
    """An object in a response, with camelCase keys."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        json_schema_serialization_defaults_required=True,
        defer_build=True,
    )

    @classmethod
    def of_row(cls, row: Mapping[str, Any] | asyncpg.Record) -> Self:
        """Build the object from a row with columns of the same names."""
        return cls.model_validate(dict(row))


class Response(Schema):
    """The body of a successful response."""

    success: Literal[True] = True


class CacheableResponse(BaseModel):
    """A response with an ETag, which a handler may return again and again while it is true."""

    model_config = ConfigDict(frozen=True)

    @cached_property
    def written(self) -> tuple[bytes, str]:
        """Its JSON and the ETag of that."""
        body = self.model_dump_json(by_alias=True).encode()
        return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'


class Request(BaseModel):
    """The body or query of a request, in camelCase; unknown keys are ignored.

    `labels` are the words for its fields in error sentences (`customer.email` -> `your email
    address`).
    """

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, defer_build=True)
    labels: ClassVar[Mapping[str, str]] = MappingProxyType({})


class StrictRequest(Request):
    """The same of the routes that need a key: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


_ONE_LINE = r"^[^\u0000-\u001F\u007F-\u009F\u2028\u2029]*$"
"""As much of `Line`'s rule as JSON Schema can express."""

_LINE_BREAKING = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories that break a line, or that UTF-8 cannot encode."""


def _refuse_control_characters(text: str) -> str:
    if any(unicodedata.category(character) in _LINE_BREAKING for character in text):
        msg = "must be a single line of text"
        raise ValueError(msg)
    return text


def _blank_is_absent(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


Line = Annotated[
    str, AfterValidator(_refuse_control_characters), Field(json_schema_extra={"pattern": _ONE_LINE})
]
Absent = BeforeValidator(_blank_is_absent)
"""Forms send "" or null for a field that was left empty."""

Id = Annotated[Line, Field(min_length=1, max_length=100)]
OptionalId = Annotated[Annotated[Line, Field(max_length=100)] | None, Absent]
Email = Annotated[str, Field(max_length=LONGEST_EMAIL), AfterValidator(normalise_email)]
SearchText = Annotated[Line, Field(max_length=255)]
LONGEST_REASON = 500
Reason = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_REASON)
]
"""Why an operator does something, for the record."""


class CurrencyQuery(Request):
    """In which currency prices are asked for."""

    currency: OptionalId = Field(
        default=None, description="Such as `eur`; without it, the currency of the catalogue."
    )


class OwnerRequest(StrictRequest):
    """The customer that a request is about; if both ids are given, they must agree."""

    customer_id: UUID | None = None
    user_id: UUID | None = None

    @property
    def named(self) -> CustomerRef:
        """The customer that the request names."""
        return CustomerRef(self.customer_id, self.user_id)

    def require_named(self, *other_fields: str) -> CustomerRef:
        """Return the customer; InvalidRequestError if the request names none.

        `other_fields` are further fields that can name one.
        """
        if not self.named.is_empty:
            return self.named
        fields = ", ".join(("customerId", "userId", *other_fields))
        raise InvalidRequestError(
            f"Please name the customer by one of: {fields}.", fields={"customerId": "is missing"}
        )


class OwnerQuery(OwnerRequest):
    """The customer it must belong to; what belongs to another is not found."""


class PageQuery(OwnerRequest):
    """Which page of a list: at most `limit` rows, after the page whose `nextCursor` is given."""

    limit: Annotated[int, Field(ge=1, le=MOST_ROWS)] = 25
    cursor: Annotated[str, Field(max_length=200)] | None = None


class PageOfIdsQuery(StrictRequest):
    """Which page of a list by subscription: at most `limit`, after the last of the page before."""

    limit: Annotated[int, Field(ge=1, le=MOST_ROWS)] = MOST_ROWS
    after: UUID | None = Field(
        None, description="Only subscriptions after that one: the last of the page before."
    )
