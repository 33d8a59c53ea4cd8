"""A wrong command or setting ends in one sentence that says what to do, never in a traceback."""

from collections.abc import Container, Iterator
from typing import Any

import pytest
import typer.main

from mpanel_billing.cli.commands import build_app
from tests.commands import run_command


async def test_a_database_without_our_schema_is_distinguished_from_an_outage(
    empty_database_url: str,
) -> None:
    ended = await run_command(empty_database_url, "events", "list")
    assert ended.status == 1
    assert ended.err == (
        "mpanel-billing: the database schema does not match this version "
        '(relation "stripe_events" does not exist): run `mpanel-billing migrate up`\n'
    )


async def test_a_service_that_cannot_be_reached_is_named_with_the_reason() -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    for words in (("keys", "list"), ("stripe", "endpoint", "list"), ("migrate", "up")):
        ended = await run_command(nowhere, *words)
        assert ended.status == 1
        assert ended.err.count("\n") == 1
        assert ended.err.count("Connect call failed ('127.0.0.1', 1)") == 1


async def test_bytes_that_are_not_text_are_refused() -> None:
    ended = await run_command("postgresql://nobody@127.0.0.1:1/none", "timeline", "\udcff")
    assert (ended.status, ended.err) == (
        1,
        "mpanel-billing: an argument is not valid UTF-8\n",
    )


async def test_a_suspension_needs_a_reason() -> None:
    words = ("provision", "suspend", "sub_1", "--reason", " ")
    ended = await run_command("postgresql://nobody@127.0.0.1:1/none", *words)
    assert ended.status == 2
    assert "'--reason': must not be empty" in ended.err


def having(
    names: Container[str], command: Any = None, words: tuple[str, ...] = ()
) -> Iterator[tuple[str, Any, Any]]:
    """Yield each command with a parameter of one of these names, and that."""
    command = command or typer.main.get_command(build_app([]))
    for name, sub in getattr(command, "commands", {}).items():
        yield from having(names, sub, (*words, name))
    for param in command.params:
        if param.name in names:
            yield " ".join(words), command, param


def test_no_command_takes_an_amount_in_another_unit_than_it_says() -> None:
    """Five dollars are 500: `5.00` is refused, and not read as 5."""
    found = list(having({"amount", "refunds_per_day"}))
    assert {"refund", "credit", "balance add", "keys create"} <= {words for words, _, _ in found}
    for words, command, param in found:
        context = command.context_class(command)
        assert param.process_value(context, "500") == 500, words
        for wrong in ("5.00", "5,00", "1_000", "-5", "$5", "1e3", ""):
            with pytest.raises(Exception, match="must be"):
                param.process_value(context, wrong)


def test_no_command_takes_an_empty_reason_or_the_spaces_around_one() -> None:
    found = list(having({"reason"}))
    assert {"provision suspend", "audit settle"} < {words for words, _, _ in found}
    for words, command, option in found:
        context = command.context_class(command)
        assert option.process_value(context, " it was agreed ") == "it was agreed", words
        with pytest.raises(Exception, match="must not be empty"):
            option.process_value(context, "  ")


async def test_no_failed_events_to_replay_is_reported(database_url: str) -> None:
    ended = await run_command(database_url, "events", "replay-failed")
    assert (ended.status, ended.out) == (0, "no failed events\n")
