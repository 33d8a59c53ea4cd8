"""docs/messages.md lists every type, and the fields of what is sent (test_examples)."""

import json
import re
from typing import Any

import pytest

from mpanel_billing.messages.types import TYPES
from mpanel_billing.resources import ROOT
from tests.messages.examples import read_examples

TEXT = (ROOT / "docs" / "messages.md").read_text()
CONTEXT = frozenset({"links", "before"})


def test_each_type_is_in_the_document_with_its_meaning() -> None:
    rows = dict(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \| ([^|]+) \|$", TEXT, re.MULTILINE))
    assert rows == dict(TYPES)


def shape(value: Any) -> Any:
    """The names in an object, and in those within it."""
    return {name: shape(each) for name, each in value.items()} if isinstance(value, dict) else ""


def test_the_example_in_the_text_has_the_fields_that_are_sent() -> None:
    [example] = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]
    assert shape(example) == shape(read_examples()["invoice.paid"])


def objects_in_docs(type_: str) -> dict[str, set[str]]:
    """The objects that a type has by the table, with their fields."""
    found: dict[str, set[str]] = {}
    for types, name, fields in re.findall(r"^\| (.*`) \| `(\w+)` \| (.+) \|$", TEXT, re.MULTILINE):
        patterns = re.findall(r"`([a-z_]+\.[a-z_*]+|\*)`", types)
        if any(type_ == one or type_.startswith(one.rstrip("*")) for one in patterns):
            before_proof, _, proof = fields.partition("`proof` with")
            found.setdefault(name, set()).update(re.findall(r"`(\w+)`", before_proof))
            if proof:
                found[name].add("proof")
                found["proof"] = set(re.findall(r"`(\w+)`", proof))
    return found


@pytest.mark.parametrize("type_", TYPES)
def test_the_table_has_the_objects_and_fields_of_each_type(type_: str) -> None:
    data, told = read_examples()[type_]["data"], objects_in_docs(type_)
    proof = told.pop("proof", None)
    assert {name: set(data[name]) for name in data.keys() - CONTEXT} == told
    if proof and data["domain"]["proof"]:
        assert set(data["domain"]["proof"]) == proof
