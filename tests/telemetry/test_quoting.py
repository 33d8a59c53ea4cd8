"""What other systems say is kept without the data in it, and cannot steer a terminal."""

import io
import logging

import asyncpg
import pytest

from mpanel_billing.cli.output import print_line, print_text
from mpanel_billing.database.pool import Pool
from mpanel_billing.telemetry.logs import JsonLines, TextLines
from mpanel_billing.telemetry.quoting import error_text, quote, sentence_of

ROW = ("Ada Lovelace", "ada@example.com", "12 St James's Square")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("a.example\n2026-11-27  done", r"a.example\x0a2026-11-27  done"),
        ("\x9b31m", r"\x9b31m"),
        ("evil\u202egnp.exe", r"evil\u202egnp.exe"),
        ("zero\u200bwidth", r"zero\u200bwidth"),
        ("Zoë — 北京", "Zoë — 北京"),
    ],
)
def test_control_characters_are_shown_in_a_line(
    text: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_line(text)
    assert capsys.readouterr().out == f"{shown}\n"


def test_a_text_keeps_its_lines_and_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    print_text("{\n\t\x1b[31m\r\n}")
    assert capsys.readouterr().out == "{\n\t\\x1b[31m\\x0d\n}\n"


def test_what_a_service_says_is_one_short_line_without_addresses_cards_and_keys() -> None:
    said = "no: ada@example.com\n 4242424242424242, sk_live_abc\x1b[0m " + "x" * 900
    assert quote(said).startswith(r"no: a***@example.com ****4242, sk_live_***\x1b[0m xxx")
    assert len(quote(said)) == 500


FAULTS = {
    "NotNullViolationError": """
        INSERT INTO stripe_customers (id, livemode, email, name)
        VALUES ($3::text, NULL, $2::text, $1::text)""",
    "UniqueViolationError": """
        INSERT INTO stripe_customers (id, livemode, email, name)
        SELECT $3::text, FALSE, $2::text, $1::text FROM generate_series(1, 2)""",
    "InvalidTextRepresentationError": "SELECT $1::text::uuid, $2::text, $3::text",
}


@pytest.mark.parametrize("kind", FAULTS)
async def test_an_error_of_postgresql_is_kept_without_the_row_that_it_quotes(
    pool: Pool, kind: str
) -> None:
    with pytest.raises(asyncpg.PostgresError) as raised:
        await pool.execute(FAULTS[kind], *ROW)
    assert any(part in str(raised.value) for part in ROW)
    kept = error_text(raised.value)
    assert kept.startswith(f"{kind}: ")
    assert "in execute" in kept  # the traceback
    assert not any(part in kept for part in ROW)


async def test_an_argument_that_the_driver_refuses_is_not_quoted(pool: Pool) -> None:
    with pytest.raises(asyncpg.DataError) as raised:
        await pool.execute("SELECT $1::integer", "Ada Lovelace")
    assert sentence_of(raised.value) == "DataError: invalid input for query argument $1"


def _fail() -> None:
    try:
        int("Ada Lovelace")
    except ValueError as error:
        raise RuntimeError("no number: Ada Lovelace") from error


def test_of_an_unexpected_error_the_kind_and_the_place_are_kept() -> None:
    with pytest.raises(RuntimeError) as raised:
        _fail()
    kept = error_text(raised.value)
    assert kept.startswith("RuntimeError in _fail\n")
    assert "caused by: ValueError in _fail\n" in kept
    assert "no number: Ada" not in kept.replace('RuntimeError("no number: Ada', "")


@pytest.mark.parametrize("formatter", [JsonLines(), TextLines()])
def test_a_log_line_does_not_quote_a_row_of_postgresql(formatter: logging.Formatter) -> None:
    error = asyncpg.UniqueViolationError("duplicate key value violates unique constraint")
    error.detail = "Key (email)=(Ada) already exists."
    outer = RuntimeError("not written")
    outer.__cause__ = error
    stream = io.StringIO()
    logger = logging.Logger("a")  # noqa: LOG001 - one of its own
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    logger.error("event failed: %s", error, exc_info=outer)
    line = stream.getvalue()
    assert "duplicate key value violates unique constraint" in line
    assert "Ada" not in line
    assert "RuntimeError: not written" in line
