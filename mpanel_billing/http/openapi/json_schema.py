"""JSON Schemas of pydantic models, in OpenAPI 3.1's dialect."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

JsonSchema = dict[str, Any]
Mode = Literal["validation", "serialization"]
"""What a model accepts, or what it writes."""

_REFERENCE = "#/components/schemas/{model}"


class _Untitled(GenerateJsonSchema):
    """Leaves out the titles of fields, which only repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Return False for all fields."""
        return False


class Components:
    """The schemas that the document refers to."""

    def __init__(self, models: Sequence[tuple[type[BaseModel], Mode]]) -> None:
        """Describe these models and the ones nested in them."""
        self._references, definitions = models_json_schema(
            list(dict.fromkeys(models)),
            ref_template=_REFERENCE,
            union_format="primitive_type_array",
            schema_generator=_Untitled,
        )
        self.schemas: dict[str, JsonSchema] = dict(sorted(definitions.get("$defs", {}).items()))

    def reference(self, model: type[BaseModel], mode: Mode) -> JsonSchema:
        """Return the reference to a model."""
        return self._references[model, mode]


def schema_of_model(model: type[BaseModel]) -> JsonSchema:
    """Return what a model accepts, without references: its fields become parameters."""
    return model.model_json_schema(union_format="primitive_type_array", schema_generator=_Untitled)


def without_null(schema: JsonSchema) -> JsonSchema:
    """Return the schema without null: queries and headers cannot have it."""
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
