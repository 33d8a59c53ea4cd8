"""Finds awaits that may last for ever: of known calls, and of tasks and futures."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WAITING = frozenset(
    {
        "acquire",
        "cleanup",
        "close",
        "close_async",
        "communicate",
        "drain",
        "gather",
        "join",
        "readexactly",
        "readline",
        "recv",
        "wait",
        "wait_closed",
    }
)
"""Calls that take as long as someone else pleases, unless they get a timeout."""

_BOUNDS = frozenset({"timeout", "timeout_at", "wait_for"})


@dataclass(frozen=True, order=True)
class Unbounded:
    """An await without a limit of its own: where, and of what."""

    module: str
    function: str
    awaited: str


def find_unbounded(source: str, module: str) -> Iterator[Unbounded]:
    """Yield each await that neither has a timeout nor stands in a block with one."""
    yield from _walk(ast.parse(source), module, "")


def in_package(package: Path, left_out: tuple[str, ...]) -> Iterator[Unbounded]:
    """Yield those of all modules of a package but those of some folders."""
    for path in sorted(package.rglob("*.py")):
        module = path.relative_to(package).as_posix()
        if not module.startswith(left_out):
            yield from find_unbounded(path.read_text(), module)


def _walk(node: ast.AST, module: str, function: str) -> Iterator[Unbounded]:
    if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
        function = node.name
    if isinstance(node, ast.AsyncWith):
        if any(_is_bound(item.context_expr) for item in node.items):
            return
        entered = [item.context_expr for item in node.items]
        yield from (Unbounded(module, function, ast.unparse(e)) for e in entered if _lasts(e))
    if isinstance(node, ast.Await) and (_lasts(node.value) or _is_task(node.value)):
        yield Unbounded(module, function, ast.unparse(node.value))
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, module, function)


def _lasts(node: ast.expr) -> bool:
    if not isinstance(node, ast.Call) or _name(node) not in WAITING | {"get"}:
        return False
    if _name(node) == "get" and node.args:  # of a mapping or a client, not of a queue
        return False
    return not any(keyword.arg == "timeout" for keyword in node.keywords)


def _is_task(node: ast.expr) -> bool:
    return isinstance(node, ast.Name | ast.Attribute)


def _is_bound(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and _name(node) in _BOUNDS


def _name(call: ast.Call) -> str:
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""
