"""Which named queries each process can run, read from the source without running it.

A definition (function, class, constant) uses the definitions that its text names, and so on, from
all that the modules of a process define. A class counts as a whole: so too much may be found, but
nothing is missed.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

import mpanel_billing
from mpanel_billing.database.privileges import Process
from mpanel_billing.database.queries import all_queries
from mpanel_billing.mirror.types import MIRRORED

_PACKAGE = mpanel_billing.__name__
_MODULES: Mapping[Process, tuple[str, ...]] = {
    # the doctor runs as the role that it examines
    Process.WEB: ("http", "console", "doctor", "cli.doctor"),
    Process.WORKER: ("worker", "doctor", "cli.doctor"),
    Process.COMMANDS: ("cli",),
    Process.KEYS: ("access.keys",),
}
_OF_OTHER_ROLES = ("cli.migrate", "cli.dev", "cli.serve", "cli.worker")
"""Commands of the owner, and those that start the other processes."""

_GIVING_ACCESS = frozenset({"api_keys.insert_key", "api_keys.replace_key", "api_keys.revoke_key"})
"""The console runs them only if its role was granted Process.KEYS."""

_OF_EACH_TYPE = ("list_stored", "write_snapshots", "list_compared", "find_absent")
"""The queries that mirror/repository.py finds by the type of an object."""

Definition = tuple[str, str]
"""A module, and a name in it."""


@dataclass(frozen=True)
class _Module:
    """The definitions of a module, what its imports name, and its other statements."""

    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imported: dict[str, list[str]] = field(default_factory=dict)
    others: list[ast.stmt] = field(default_factory=list)


class _Named(NamedTuple):
    """A definition, and the attribute of it that is used, if any."""

    module: str
    name: str
    attribute: str | None


def queries_of(process: Process) -> frozenset[str]:
    """Return the queries that a process can run, such as `inbox.insert_events`."""
    starts = [f"{_PACKAGE}.{name}" for name in _MODULES[process]]
    others = [f"{_PACKAGE}.{name}" for name in _OF_OTHER_ROLES]
    roots = [name for name in _modules() if _is_in(name, starts) and not _is_in(name, others)]
    found = frozenset(_Walk().run(roots))
    return found - _GIVING_ACCESS if process is Process.WEB else found


def _is_in(module: str, packages: Iterable[str]) -> bool:
    return any(f"{module}.".startswith(f"{package}.") for package in packages)


class _Walk:
    def __init__(self) -> None:
        self._seen: set[Definition] = set()
        self._found: set[str] = set()

    def run(self, roots: Iterable[str]) -> set[str]:
        for root in roots:
            module = _modules()[root]
            self._follow(root, module.others)
            for name in module.definitions:
                self._visit((root, name))
        return self._found

    def _visit(self, definition: Definition) -> None:
        if definition not in self._seen:
            self._seen.add(definition)
            module, name = definition
            self._follow(module, _modules()[module].definitions[name])

    def _follow(self, module: str, statements: Iterable[ast.stmt]) -> None:
        for chain in _chains(statements):
            if named := _resolve(module, chain):
                self._use(named)

    def _use(self, named: _Named) -> None:
        loads = _loads_of(_modules()[named.module].definitions[named.name])
        if loads is None:
            self._visit((named.module, named.name))
        elif file := _text_of(loads.args[0]):
            # without an attribute it is the beginning of a longer chain
            self._found |= {f"{file}.{name}" for name in [named.attribute] if name}
        else:
            of_types = {f"{each.query_file}.{q}" for each in MIRRORED for q in _OF_EACH_TYPE}
            self._found |= of_types & all_queries().keys()


def _chains(statements: Iterable[ast.stmt]) -> Iterator[list[str]]:
    """Yield each name with its attributes, such as `["repository", "get_server"]`."""
    for statement in statements:
        for node in ast.walk(statement):
            if chain := _chain(node):
                yield chain


def _chain(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute) and (start := _chain(node.value)):
        return [*start, node.attr]
    return []


def _resolve(module: str, chain: list[str]) -> _Named | None:
    """Find what a name stands for in a module; None if it is not one of our definitions."""
    name, *rest = chain
    if name in _modules()[module].definitions:
        return _Named(module, name, rest[0] if rest else None)
    full = [*_modules()[module].imported.get(name, ()), *rest]
    if ".".join(full) in _modules():
        return None  # a package may import its own modules
    for length in range(len(full) - 1, 0, -1):
        if (found := ".".join(full[:length])) in _modules():
            return _resolve(found, full[length:])
    return None


def _loads_of(statements: Iterable[ast.stmt]) -> ast.Call | None:
    """Return the call of `load_queries` in a constant's definition, if there is one."""
    for statement in statements:
        if isinstance(statement, ast.Assign):
            for node in ast.walk(statement):
                if isinstance(node, ast.Call) and _chain(node.func) == ["load_queries"]:
                    return node
    return None


def _text_of(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


@cache
def _modules() -> Mapping[str, _Module]:
    top = Path(mpanel_billing.__file__).parent
    return {
        _module_name(path.relative_to(top.parent)): _read(ast.parse(path.read_text()))
        for path in sorted(top.rglob("*.py"))
    }


def _module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _read(tree: ast.Module) -> _Module:
    module = _Module()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and _is_in(node.module, [_PACKAGE]):
            for each in node.names:
                module.imported[each.asname or each.name] = [*node.module.split("."), each.name]
    for statement in tree.body:
        names = _names_of(statement)
        for name in names:
            module.definitions.setdefault(name, []).append(statement)
        if not names:
            module.others.append(statement)
    return module


def _names_of(statement: ast.stmt) -> list[str]:
    """Return what a statement at the top of a module defines."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
    return []
