"""Each declared param makes a difference: in the answer, in what is stored, or in what follows."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import stripe_sandbox.world
from stripe_sandbox.errors import ApiError
from stripe_sandbox.operations import Operation
from stripe_sandbox.resources import OPERATIONS
from stripe_sandbox.supported import OneOf, Supported
from tests.stripe_sandbox import operations_table
from tests.stripe_sandbox.conftest import START
from tests.stripe_sandbox.desk import BY_NAME, Desk, as_form
from tests.stripe_sandbox.param_cases import VALUES, Scene
from tests.stripe_sandbox.param_scenes import ONLY_VALUES, SCENES
from tests.stripe_sandbox.param_types import (
    ByKey,
    Path,
    bare,
    fields,
    is_list,
    key_of,
    nested,
    required,
    scalars,
)
from tests.stripe_sandbox.param_world import populate


class _StoppedClock:
    def time(self) -> int:
        return START


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stripe_sandbox.world, "time", _StoppedClock())
        desk = Desk()
        populate(desk)
        yield desk


def declared(
    spec: type | ByKey, supported: Supported | None, path: Path = ()
) -> Iterator[tuple[Path, list[Any]]]:
    """Yield the path of every declared param without params inside, and values to try."""
    for name, kind in sorted(fields(spec).items()):
        if supported is not None and name not in supported.parts:
            continue
        part = supported.parts[name] if supported else None
        inner, here = nested(kind), (*path, name)
        if inner:
            yield from declared(inner, part if isinstance(part, Supported) else None, here)
        values = scalars(kind)
        if isinstance(part, OneOf):
            values = [v for v in values if part.accepts(bare(v))]
        if values:
            yield here, values


@dataclass(frozen=True)
class Place:
    """A param in a form; `index` is the entry of the outermost list."""

    spec: type | ByKey
    path: Path
    index: str = "0"

    def put(self, form: dict[str, Any], value: Any) -> dict[str, Any]:
        """Return the form with the param and what its containers require; None leaves it out."""
        name, *rest = self.path
        key, kind = key_of(name), fields(self.spec)[name]
        others = {other: one for other, one in form.items() if other != key}
        if not rest:
            return others if value is None else {**others, key: value}
        inner, listed = nested(kind), is_list(kind)
        held = form.get(key) or {}
        entry = held.get(self.index, {}) if listed else held
        needed = {other: one for other, one in required(inner).items() if other != rest[0]}
        index = "0" if listed else self.index
        filled = Place(inner, tuple(rest), index).put({**needed, **entry}, value)
        if not filled:
            return others
        return {**others, key: {**held, self.index: filled} if listed else filled}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
def test_every_supported_param_makes_a_difference(desk, operation):
    assert problems_of(desk, operation) == {}


def test_the_page_lists_what_each_operation_takes_and_sends(desk):
    """WRITE_SANDBOX_TABLE=1 writes the list."""
    for operation in OPERATIONS:
        if f"{operation.method} {operation.path}" not in desk.sent:
            problems_of(desk, operation)
    table = operations_table.render(desk.sent)
    if os.environ.get("WRITE_SANDBOX_TABLE"):
        operations_table.write(table)
    assert operations_table.written() == table, "make sandbox-table writes it"


def problems_of(desk: Desk, operation: Operation) -> dict[str, str]:
    """Return what is wrong with an operation's params; it is performed at least once."""
    if operation.method != "GET" and not operation.supports.parts:
        scene = SCENES[f"{operation.method} {operation.path}"]
        desk.outcome(operation, scene.of, as_form(scene.given, desk.names))
    return {
        ".".join(path): problem
        for path, values in declared(operation.params, operation.supports)
        if (f"{operation.method} {operation.path}", ".".join(path)) not in ONLY_VALUES
        if (problem := overlooked(desk, operation, path, values))
    }


def test_every_scene_is_of_an_operation():
    assert SCENES.keys() | {name for name, _ in ONLY_VALUES} <= BY_NAME.keys()


def overlooked(desk: Desk, operation: Operation, path: Path, values: list[Any]) -> str | None:
    """Return why a param seems to be overlooked, if it does."""
    scene = SCENES.get(f"{operation.method} {operation.path}", Scene())
    case = scene.case(".".join(path))
    base = as_form(case.given, desk.names)
    tried = [as_form(value, desk.names) for value in values_of(case, path, values)]
    at = Place(operation.params, path, case.index)
    try:
        outcomes = [
            desk.outcome(operation, case.of, at.put(base, value), case.after) for value in tried
        ]
    except ApiError as error:
        return f"{error}"
    refused = [desk.is_refused(operation, case.of, at.put(base, one)) for one in case.refused]
    if not all(refused):
        return "not refused"
    if desk.is_refused(operation, case.of, at.put(base, None)):
        return None if len(tried) == 1 or len(set(outcomes)) > 1 else "no difference"
    outcomes.append(desk.outcome(operation, case.of, at.put(base, None), case.after))
    return None if refused or len(set(outcomes)) > 1 else "no difference"


def values_of(case: Scene, path: Path, values: list[Any]) -> Any:
    return case.values or VALUES.get(path[-1]) or another(values)


def another(values: list[Any]) -> list[Any]:
    """Return the values, and a second one of a kind."""
    others = {"x": "y", "1": "2", "true": "false"}
    return [*values, *(others[v] for v in values if isinstance(v, str) and v in others)]
