"""The documents name only files that exist, and their links work."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mpanel_billing.resources import ROOT

TOP = (
    "benchmarks",
    "catalog",
    "deploy",
    "docs",
    "mpanel_billing",
    "prisma",
    "requirements",
    "scripts",
    "sql",
    "stripe_sandbox",
    "tests",
)
DOCUMENTS = sorted(
    path.relative_to(ROOT)
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md", "stripe_sandbox/*.md")
    for path in ROOT.glob(pattern)
)
FILES = [
    "/" + path.relative_to(ROOT).as_posix()
    for top in TOP
    for path in (ROOT / top).rglob("*")
    if "__pycache__" not in path.parts
]

FULL_PATH = re.compile(rf"(?<![\w./-])(?:{'|'.join(TOP)})/[\w./*-]*[\w*/]")
SHORT_PATH = re.compile(r"`([\w.][\w./-]*\.(?:py|sql|md|toml|ya?ml|json|sh))`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"(?:^\|.*$\n?)+", re.MULTILINE)
CELL_END = re.compile(r"(?<!\\)\|")
DOCUMENT_PATH = re.compile(r"\b(?:docs|benchmarks)/[\w/-]+\.(?:md|yaml|json)\b")


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_each_path_in_a_document_exists(document: Path) -> None:
    text = (ROOT / document).read_text()
    missing = {path for path in FULL_PATH.findall(text) if not any(ROOT.glob(path))}
    missing |= {path for path in SHORT_PATH.findall(text) if not _ends_a_path(path)}
    assert missing == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_each_link_in_a_document_leads_somewhere(document: Path) -> None:
    text = (ROOT / document).read_text()
    broken = {link for link in LINK.findall(text) if not _leads_somewhere(document, link)}
    assert broken == set()


def test_each_document_that_the_code_refers_to_exists() -> None:
    missing = {
        f"{source.relative_to(ROOT)}: {path}"
        for source in _sources()
        for path in DOCUMENT_PATH.findall(source.read_text())
        if not (ROOT / path).exists()
    }
    assert missing == set()


def test_each_decision_has_a_number_of_its_own() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [path.name.partition("-")[0] for path in decisions]
    assert len(set(numbers)) == len(numbers), numbers
    for path in decisions:
        assert path.read_text().startswith(f"# {int(path.name[:4])}. "), path.name


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_each_row_of_a_table_is_below_a_heading_with_as_many_cells(document: Path) -> None:
    """Else a browser shows it as text with bars in it, or without its last cell."""
    text = FENCED.sub("", (ROOT / document).read_text())
    for table in TABLE.findall(text):
        _, rule, *_ = rows = table.splitlines()
        assert re.fullmatch(r"\|(?: ?:?-+:? ?\|)+", rule), rows[0]
        assert {len(CELL_END.findall(row)) for row in rows} == {rule.count("|")}, rows[0]


def _ends_a_path(path: str) -> bool:
    return (ROOT / path).exists() or any(file.endswith(f"/{path}") for file in FILES)


def _leads_somewhere(document: Path, link: str) -> bool:
    if link.startswith(("http://", "https://")):
        return True
    path, _, anchor = link.partition("#")
    target = (ROOT / document.parent / path).resolve() if path else ROOT / document
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(document: Path) -> set[str]:
    """Return the names that GitHub gives to the headings of a document."""
    headings = HEADING.findall(document.read_text())
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def _sources() -> Iterator[Path]:
    for top in ("mpanel_billing", "sql", "prisma", "scripts", "benchmarks", "catalog", "tests"):
        for suffix in ("py", "sql", "sh", "toml"):
            yield from (ROOT / top).rglob(f"*.{suffix}")
    yield from (ROOT / name for name in (".env.example", "Makefile", "ecosystem.config.js"))
