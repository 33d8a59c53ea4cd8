"""The reader of positions finds every value of a TOML text where it stands."""

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpanel_billing.catalogue.line_numbers import Path, line_of, locate_values
from mpanel_billing.resources import DEFAULT_CATALOGUE

TRICKY = '''\
# a comment with [brackets] and "quotes"
title = "a # that is no comment" # but this is
"quoted key" = 'literal \\'
dotted . "inner.key" = 1979-05-27 07:32:00

many = [ 1, # one
  [ "]", ']' ],
  { a = { b = 2 }, c.d = 3 },
]
text = """
[not.a.table]
ends with a quote: \\""""" # comment
other = \'\'\'
[[nor.this]]
'\'\'\'
[table.sub]
empty = []
nothing = {}
[[items]]
name = "first"
[items.prices]
monthly = 1
[[items.notes]]
text = "a"
[[items.notes]]
text = "b"

[[items]]
name = "second"
[items.prices]
monthly = 2
'''


def flattened(value: Any, path: Path = ()) -> Iterator[Path]:
    """The paths of everything within a parsed document."""
    children = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for name, child in children:
        yield (*path, name)
        yield from flattened(child, (*path, name))


def test_values_are_found_in_a_text_with_everything_that_toml_allows() -> None:
    lines = locate_values(TRICKY)
    assert {
        path: lines[path]
        for path in [
            ("title",),
            ("dotted", "inner.key"),
            ("many", 0),
            ("many", 1, 1),
            ("many", 2, "a", "b"),
            ("many", 2, "c", "d"),
            ("text",),
            ("other",),
            ("table", "sub", "nothing"),
            ("items", 0, "prices", "monthly"),
            ("items", 0, "notes", 1, "text"),
            ("items", 1),
            ("items", 1, "prices", "monthly"),
        ]
    } == {
        ("title",): 2,
        ("dotted", "inner.key"): 4,
        ("many", 0): 6,
        ("many", 1, 1): 7,
        ("many", 2, "a", "b"): 8,
        ("many", 2, "c", "d"): 8,
        ("text",): 10,
        ("other",): 13,
        ("table", "sub", "nothing"): 18,
        ("items", 0, "prices", "monthly"): 22,
        ("items", 0, "notes", 1, "text"): 26,
        ("items", 1): 28,
        ("items", 1, "prices", "monthly"): 31,
    }


@pytest.mark.parametrize("text", [TRICKY, DEFAULT_CATALOGUE.read_text()])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_value_that_tomllib_finds_has_a_line(text: str, newline: str) -> None:
    text = text.replace("\n", newline)
    lines = locate_values(text)
    assert set(lines) == set(flattened(tomllib.loads(text)))
    assert max(lines.values()) <= text.count("\n") + 1


WORDS = st.text(alphabet="ab-_[]{}#,.='\"\\ \té\n", max_size=6)


def written(value: Any) -> str:
    """A value in TOML, spread over lines where that is allowed."""
    match value:
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
            return f'"""\n{escaped}"""' if "\n" in value else f'"{escaped}"'
        case list():
            return "[\n" + "".join(f"  {written(item)}, # ]\n" for item in value) + "]"
        case dict():
            pairs = (f"{written(key)} = {written(item)}" for key, item in value.items())
            return "{" + ", ".join(pairs) + "}"
        case _:
            return str(value).lower()


KEYS = WORDS.filter(lambda word: "\n" not in word)
VALUES = st.recursive(
    st.integers() | st.booleans() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, VALUES, max_size=4), st.integers(0, 3))
def test_any_document_is_walked_as_tomllib_walks_it(document: dict[str, Any], blank: int) -> None:
    text = "\n" * blank
    starts = {}
    for key, value in document.items():
        starts[key] = text.count("\n") + 1
        text += f"{written(key)} = {written(value)} # = [\n"
    lines = locate_values(text)
    assert set(lines) == set(flattened(tomllib.loads(text)))
    assert {key: lines[(key,)] for key in document} == starts


def test_a_missing_value_has_the_line_of_what_surrounds_it() -> None:
    lines = locate_values("a = 1\n[[plans]]\ncode = 'x'\n")
    assert line_of(lines, ("plans", 0, "prices", "monthly")) == 2
    assert line_of(lines, ("plans", 0, "code")) == 3
    assert line_of(lines, ("nowhere",)) == 1
