"""The table of operations in docs/sandbox.md, made of their declarations and of what they send."""

import re
from collections.abc import Mapping, Set
from pathlib import Path

from stripe_sandbox.operations import Operation
from stripe_sandbox.resources import OPERATIONS
from stripe_sandbox.supported import ANY, OneOf, Supported

PAGE = Path(__file__).parents[2] / "docs" / "sandbox.md"
BEGIN, END = "<!-- operations: make sandbox-table -->", "<!-- end of operations -->"


def render(events: Mapping[str, Set[str]]) -> str:
    """Return the table; `events` are the types that each operation has sent, by its name."""
    rows = ["| resource | operation | params | events |", "|---|---|---|---|"]
    rows += [
        _row(one, events.get(f"{one.method} {one.path}", set())) for one in sorted_operations()
    ]
    return "\n".join(rows)


def sorted_operations() -> list[Operation]:
    return sorted(OPERATIONS, key=lambda one: (_resource(one), one.path, one.method))


def _resource(operation: Operation) -> str:
    return operation.path.partition("/{")[0].strip("/")


def _row(operation: Operation, events: Set[str]) -> str:
    rest = operation.path.removeprefix(f"/{_resource(operation)}")
    params = "all; the list is empty" if operation.is_empty else _params(operation.supports)
    verb = f"`{operation.method}{f' {rest}' if rest else ''}`"
    return f"| {_resource(operation)} | {verb} | {params} | {', '.join(sorted(events))} |"


def _params(supported: Supported) -> str:
    return ", ".join(_param(name, part) for name, part in sorted(supported.parts.items()))


def _param(name: str, part: Supported | OneOf | None) -> str:
    shown = "a currency" if name == ANY else name
    if isinstance(part, Supported):
        return f"{shown}[{_params(part)}]"
    if isinstance(part, OneOf):
        values = (one.__name__ if isinstance(one, type) else str(one) for one in part.values)
        return f"{shown}={'/'.join(values)}"
    return shown


def written() -> str:
    """Return the table in the page."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0].strip()


def write(table: str) -> None:
    """Put the table into the page."""
    pattern = f"{re.escape(BEGIN)}.*?{re.escape(END)}"
    text = re.sub(pattern, lambda _: f"{BEGIN}\n{table}\n{END}", PAGE.read_text(), flags=re.DOTALL)
    PAGE.write_text(text)
