"""The commands that the documents show can be run, and docs/billing-api.md has all of its API."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import typer.main

from mpanel_billing.cli.commands import build_app
from mpanel_billing.http.app import create_app
from mpanel_billing.http.operation import Operation, operation_of
from mpanel_billing.resources import ROOT
from tests.service import make_settings
from tests.test_docs import DOCUMENTS

BILLING = (ROOT / "docs" / "billing-api.md").read_text()
KEYED = BILLING + (ROOT / "docs" / "access.md").read_text()

BLOCK = re.compile(r"^```[a-z]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN_LINE = re.compile(r"^(?:\$ |\S*/)?mpanel-billing ([^\n#|>&;]+)", re.MULTILINE)
MENTIONED = re.compile(r"`mpanel-billing ([^`]+)`")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


@pytest.fixture(scope="module")
def program() -> Any:
    return typer.main.get_command(build_app([]))


def shown_in(document: Path) -> Iterator[str]:
    """Yield the commands of a document: those in a block, and those within its sentences."""
    text = (ROOT / document).read_text()
    for block in BLOCK.findall(text):
        yield from SHOWN_LINE.findall(block.replace("\\\n", " "))
    yield from MENTIONED.findall(BLOCK.sub("", text).replace("\n", " "))


def named(program: Any, words: list[str]) -> Any:
    """Return the command that the first words name, or a group if they name no more."""
    command = program
    for word in words:
        inner = getattr(command, "commands", {})
        if not inner or word.startswith(("-", ".", "<")) or word.isupper():
            break
        assert word in inner, " ".join(words)
        command = inner[word]
    return command


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_each_command_that_a_document_shows_is_there_with_its_options(
    program: Any, document: Path
) -> None:
    for shown in shown_in(document):
        command = named(program, shown.split())
        has = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
        if not command.context_settings.get("ignore_unknown_options"):
            assert set(OPTION.findall(shown)) <= {*has, "--help"}, shown


def operations() -> Iterator[Operation]:
    app = create_app(make_settings())
    found = (operation_of(route.handler) for route in app.router.routes() if route.method != "HEAD")
    return (each for each in found if each and each.is_billing)


def test_each_route_is_in_the_table_of_its_document() -> None:
    table = re.findall(r"^\| `([A-Z]+) (/api/billing/[^`]+)` \|", BILLING, re.MULTILINE)
    shown = {(method, re.sub(r":(\w+)", r"{\1}", path)) for method, path in table}
    assert shown == {(each.method, each.address) for each in operations()}


def test_each_code_of_a_refusal_is_explained_with_its_status() -> None:
    """Those of every route are in docs/access.md and docs/api.md."""
    rows = re.findall(r"^\| (\d{3}) \| ([^|]+) \|", KEYED, re.MULTILINE)
    explained = {(status, code) for status, codes in rows for code in re.findall(r"`(\w+)`", codes)}
    refused = {
        (str(HTTPStatus(kind.status).value), code)
        for each in operations()
        for kind, codes in each.refusals.items()
        for code in (codes or (kind.code,))
    }
    assert refused - explained == set()
