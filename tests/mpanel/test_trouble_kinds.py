"""The registry of kinds of trouble is what the views, the runbook and the command line say."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import asyncpg
import pytest
import typer.main

from mpanel_billing.cli.commands import build_app
from mpanel_billing.resources import ROOT, SQL
from tests.mpanel.databases import connected

LISTS = {"trouble": "billing_trouble", "watch": "billing_watch"}
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
BRANCH = re.compile(r"^SELECT\n    '(\w+)'(?: AS trouble)?,$", re.MULTILINE)


@pytest.fixture
async def kinds(database_url: str) -> list[asyncpg.Record]:
    async with connected(database_url) as connection:
        return await connection.fetch("SELECT * FROM billing_trouble_kinds")


def test_the_runbook_describes_each_kind_as_the_registry_does(kinds: list[asyncpg.Record]) -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    for list_, view in LISTS.items():
        expected = [_described(kind) for kind in kinds if kind["list"] == list_]
        assert [_plain(row) for row in ROW.findall(_section(text, view))] == expected


@pytest.mark.parametrize("list_", LISTS)
def test_each_view_shows_exactly_the_kinds_of_its_list(
    kinds: list[asyncpg.Record], list_: str
) -> None:
    text = (SQL / "views" / f"{LISTS[list_]}.sql").read_text()
    shown = BRANCH.findall(text)
    assert len(shown) == text.count("\nUNION ALL\n") + 1, "each branch begins with its kind"
    assert set(shown) == {kind["kind"] for kind in kinds if kind["list"] == list_}


def test_the_two_views_have_the_same_columns(schema_columns: Mapping[str, list[str]]) -> None:
    assert schema_columns["billing_watch"] == schema_columns["billing_trouble"]


@pytest.fixture
async def schema_columns(database_url: str) -> Mapping[str, list[str]]:
    query = """SELECT attrelid::regclass::text AS view,
            array_agg(attname || ' ' || atttypid::regtype ORDER BY attnum) AS columns
        FROM pg_attribute
        WHERE attrelid IN ('billing_watch'::regclass, 'billing_trouble'::regclass)
        GROUP BY 1"""
    async with connected(database_url) as connection:
        return {row["view"]: row["columns"] for row in await connection.fetch(query)}


def test_each_kind_has_a_name_of_its_own_a_sentence_and_a_command_that_exists(
    kinds: list[asyncpg.Record],
) -> None:
    names = [kind["kind"] for kind in kinds]
    assert len(set(names)) == len(names)
    commands = {
        " ".join(words): _required_options(command)
        for words, command in _commands(typer.main.get_command(build_app([])), ())
    }
    for kind in kinds:
        assert kind["list"] in LISTS, kind
        assert re.fullmatch(r"\w.+\.", kind["meaning"]), kind
        if kind["command"]:
            words = re.sub(r"(?<= )(?:--.*|[A-Z].*)", "", kind["command"]).split()
            named = " ".join(words[1:])
            assert named in commands, kind
            assert all(option in kind["command"] for option in commands[named]), kind


def _required_options(command: Any) -> list[str]:
    """Return the options without which a command does not run: what is listed can be copied."""
    return [p.opts[0] for p in command.params if p.param_type_name == "option" and p.required]


def _commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, (*words, name))


def _section(text: str, view: str) -> str:
    """Return the table below the sentence that introduces the view."""
    return text.split(f"`{view}`:\n", 1)[1].split("\n\n", 1)[0]


def _described(kind: asyncpg.Record) -> tuple[str, ...]:
    return (kind["kind"], kind["meaning"], kind["settled_by"], kind["command"] or "-")


def _plain(row: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(cell.replace("`", "") for cell in row)
