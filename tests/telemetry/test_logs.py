import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpanel_billing.telemetry.logs import (
    MASKS,
    REQUEST_ID,
    JsonLines,
    TextLines,
    configure_logging,
    redact,
)
from tests.service import make_settings


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """The root logger, put back as it was after the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:], root.level = handlers, level


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("to ada.lovelace@example.com.", "to a***@example.com."),
        ("'grace+x@mail.example.org'", "'g***@mail.example.org'"),
        ("<jürgen@bücher.de>", "<j***@bücher.de>"),
        ("key sk_test_abc123DEF", "key sk_test_***"),
        ("key rk_live_abc123", "key rk_live_***"),
        ("secret whsec_abc123", "secret whsec_***"),
        ("pi_1_secret_abc", "pi_1_secret_***"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer ***"),
        ("postgresql://mpanel:pa:ss@db/mpanel", "postgresql://mpanel:***@db/mpanel"),
        ("https://user:secret@example.com/", "https://user:***@example.com/"),
        ("card 4242424242424242", "card ****4242"),
        ("card 4242 4242 4242 4242!", "card ****4242!"),
        ("card 378282246310005", "card ****0005"),
    ],
)
def test_secrets_and_addresses_are_masked(text: str, masked: str) -> None:
    assert redact(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "POST /api/checkout/create-session 200",
        "cs_test_a1b2 sub_1234567890 evt_1",
        "2f1d7e2c-4c52-4b8e-9f43-424242424242",
        "took 1234567890123 ns",
        "https://example.com/a@b",
        "postgresql://db/mpanel",
    ],
)
def test_text_that_is_not_secret_is_kept(text: str) -> None:
    assert redact(text) == text


_SECRETS = ("a.b@c.de", "sk_test_x1", "rk_live_", "whsec_a", "mpb_0123456789", "_secret_b", "://")
_AROUND = ("Bearer", "basic", "ba\u017fic", "https", "4242424242424242", "42", "pk", "_", "-", ".")
_PARTS = st.sampled_from((*_SECRETS, *_AROUND, ":", "@", "/", " ", "\n"))


@given(st.lists(_PARTS, max_size=12).map("".join))
def test_no_pattern_is_skipped_because_of_its_hint(text: str) -> None:
    masked = text
    for _, pattern, mask in MASKS:
        masked = pattern.sub(mask, masked)
    assert redact(text) == masked


def test_a_json_line_has_what_a_machine_looks_for(root_logger: logging.Logger) -> None:
    stream = io.StringIO()
    configure_logging(make_settings(log_format="json", log_level="info"), stream)
    token = REQUEST_ID.set("req-1")
    logging.getLogger("a.b").info(
        "mail to %s", "ada@example.com", extra={"status": 200, "who": {"mail": "b@example.com"}}
    )
    REQUEST_ID.reset(token)
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "a.b",
        "message": "mail to a***@example.com",
        "requestId": "req-1",
        "status": 200,
        "who": {"mail": "b***@example.com"},
    }


def test_a_traceback_is_one_line_without_secrets(root_logger: logging.Logger) -> None:
    stream = io.StringIO()
    configure_logging(make_settings(), stream)
    error = RuntimeError('no "sk_test_abc" for ada@example.com')
    logging.getLogger("a").error("failed", exc_info=error)
    assert stream.getvalue().count("\n") == 1
    traceback = json.loads(stream.getvalue())["traceback"]
    assert 'no "sk_test_***" for a***@example.com' in traceback


def test_a_text_line_can_be_read() -> None:
    record = logging.makeLogRecord(
        {"msg": "event %s", "args": ("applied",), "levelname": "INFO", "eventId": "evt_1"}
    )
    assert TextLines().format(record).endswith(" INFO    event applied (eventId=evt_1)")
    assert json.loads(JsonLines().format(record))["eventId"] == "evt_1"


def test_what_stripes_library_sends_is_not_logged(root_logger: logging.Logger) -> None:
    stream = io.StringIO()
    configure_logging(make_settings(log_level="debug"), stream)
    logging.getLogger("stripe").info("Request to Stripe api")
    assert stream.getvalue() == ""
