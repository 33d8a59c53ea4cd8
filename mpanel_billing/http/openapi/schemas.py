"""JSON Schemas of our pydantic models, as OpenAPI 3.1 takes them."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

Schema = dict[str, Any]
Mode = Literal["validation", "serialization"]
"""What of a model is meant: what it takes, or what it writes."""

_REFERENCE = "#/components/schemas/{model}"


class _Untitled(GenerateJsonSchema):
    """Titles of fields would only say their names once more."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Leave all of them out."""
        return False


class Components:
    """The schemas that the document has in one place, and refers to."""

    def __init__(self, models: Sequence[tuple[type[BaseModel], Mode]]) -> None:
        """Describe these models, and those that they are made of."""
        self._references, definitions = models_json_schema(
            list(dict.fromkeys(models)),
            ref_template=_REFERENCE,
            union_format="primitive_type_array",
            schema_generator=_Untitled,
        )
        self.schemas: dict[str, Schema] = dict(sorted(definitions.get("$defs", {}).items()))

    def reference(self, model: type[BaseModel], mode: Mode) -> Schema:
        """Return how the document refers to a model."""
        return self._references[model, mode]


def schema_of_type(annotation: Any) -> Schema:
    """Describe a type that is no model, as those in addresses are."""
    return TypeAdapter(annotation).json_schema(schema_generator=_Untitled)


def schema_of_model(model: type[BaseModel]) -> Schema:
    """Describe what a model takes, whole: its fields become parameters."""
    return model.model_json_schema(union_format="primitive_type_array", schema_generator=_Untitled)


def without_null(schema: Schema) -> Schema:
    """Say the same without null: in a query or a header there is none, only nothing."""
    shorter = dict(schema)
    if isinstance(schema.get("type"), list):
        kinds = [kind for kind in schema["type"] if kind != "null"]
        shorter["type"] = kinds[0] if len(kinds) == 1 else kinds
    if "anyOf" in schema:
        shorter.pop("anyOf")
        first, *others = [one for one in schema["anyOf"] if one != {"type": "null"}]
        shorter |= {"anyOf": [first, *others]} if others else first
    if shorter.get("default", ...) is None:
        del shorter["default"]
    return shorter
