"""Stripe's search query language: `email:"amy@example.com" AND metadata["order"]:"7"`.

A query is clauses, all joined by AND (or spaces) or all by OR. A clause is a field, an operator and
a value; a `-` before it negates it. Source: docs.stripe.com/search.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from stripe_sandbox.documents import ReadOnly
from stripe_sandbox.errors import invalid

Kind = Literal["exact", "number", "words"]
"""Stripe's tokens match as a whole, its strings by their words or a part, numbers by comparison."""

Read = Callable[[ReadOnly], Any]
SHORTEST_PART = 3
MOST_CLAUSES = 10

_CLAUSE = re.compile(
    r"""(?P<negated>-)?
    (?P<field>[a-z_][a-z0-9_.]*)
    (?:\[(?P<key>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')\])?
    (?P<operator>>=|<=|[:~<>])
    (?P<value>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"']+)
    """,
    re.VERBOSE,
)
_GAP = re.compile(r"\s+(?:(?P<word>AND|OR)\s+)?", re.IGNORECASE)

COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    ":": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Field:
    """A field that can be searched; `read` returns its value, or several, or None."""

    kind: Kind
    read: Read


@dataclass(frozen=True)
class Searchable:
    """What of a resource can be searched; `name` is the resource's in Stripe's sentences."""

    name: str
    fields: Mapping[str, Field]

    def field(self, name: str) -> Field:
        """Return a field; raises ApiError for one that cannot be searched."""
        if name not in self.fields:
            raise invalid(
                f"Field `{name}` is an unsupported search field for resource `{self.name}`. See "
                f"http://stripe.com/docs/search#query-fields-for-{self.name.replace('_', '-')} "
                "for a list of supported fields."
            )
        return self.fields[name]


@dataclass(frozen=True)
class _Clause:
    field: Field
    operator: str
    value: str | None
    negated: bool

    def holds(self, document: ReadOnly) -> bool:
        found = self.field.read(document)
        values = found if isinstance(found, list) else [found]
        return any(self._matches(value) for value in values) != self.negated

    def _matches(self, found: Any) -> bool:
        if self.value is None or found is None:
            return self.value is None and found is None
        if self.field.kind == "number":
            return COMPARISONS[self.operator](Decimal(found), Decimal(self.value))
        text, wanted = _text(found), self.value.lower()
        if self.operator == "~":
            return wanted in text
        if self.field.kind == "exact":
            return wanted == text
        return f" {' '.join(_words(wanted))} " in f" {' '.join(_words(text))} "


def _text(value: Any) -> str:
    return str(value).lower()


def _words(text: str) -> list[str]:
    return re.findall(r"[\w@.+-]+", text)


def parse(query: str, searchable: Searchable) -> Callable[[ReadOnly], bool]:
    """Return the test of a query.

    Raises ApiError for what is not of the language, or not of the resource.
    """
    clauses, words, position = [], set(), 0
    text = query.strip()
    while True:
        found = _CLAUSE.match(text, position)
        if found is None:
            raise _unreadable()
        clauses.append(_clause(found, searchable))
        if found.end() == len(text):
            break
        gap = _GAP.match(text, found.end())
        if gap is None:
            raise _unreadable()
        words.add((gap["word"] or "AND").upper())
        position = gap.end()
    if len(words) > 1:
        raise invalid("You cannot combine AND and OR in a search query.", param="query")
    if len(clauses) > MOST_CLAUSES:
        message = f"A search query can have up to {MOST_CLAUSES} clauses."
        raise invalid(message, param="query")
    combine = any if words == {"OR"} else all
    return lambda document: combine(clause.holds(document) for clause in clauses)


def _unreadable() -> Exception:
    return invalid(
        "We were unable to parse your search query. Try using the format "
        '`metadata["key"]:"value"` to query for metadata or key:"value" to query for other fields.'
    )


def _clause(found: re.Match[str], searchable: Searchable) -> _Clause:
    name, sign = found["field"], found["operator"]
    if name == "metadata":
        if found["key"] is None:
            raise _unreadable()
        key = _unquoted(found["key"])
        field = Field("exact", lambda document: document["metadata"].get(key))
    else:
        field = searchable.field(name)
    quoted = found["value"][0] in "\"'"
    value = None if found["value"] == "null" else _unquoted(found["value"])
    _check(name, field, sign, value, quoted=quoted)
    return _Clause(field, sign, value, negated=bool(found["negated"]))


def _unquoted(text: str) -> str:
    inner = text[1:-1] if text[0] in "\"'" else text
    return re.sub(r"\\(.)", r"\1", inner)


def _check(name: str, field: Field, sign: str, value: str | None, *, quoted: bool) -> None:
    allowed = {"exact": {":"}, "number": {*COMPARISONS}, "words": {":", "~"}}[field.kind]
    if sign not in allowed:
        message = f"Operator `{sign}` is not supported for the field `{name}`."
        raise invalid(message, param="query")
    if value is None:
        return
    if field.kind == "number":
        _check_number(name, value)
    elif not quoted and not value.isdecimal():
        raise _unreadable()
    if sign == "~" and len(value) < SHORTEST_PART:
        message = f"A substring has at least {SHORTEST_PART} characters: `{name}~{value}`."
        raise invalid(message, param="query")


def _check_number(name: str, value: str) -> None:
    try:
        number = Decimal(value)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise invalid(f"The field `{name}` is a number: `{value}`.", param="query")
