"""What a key looks like."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpanel_billing.access.key import MistypedKeyError, hash_key, make_key, read_key_id
from mpanel_billing.telemetry.logs import redact

LETTERS = string.ascii_letters + string.digits


def test_a_leak_scanner_finds_every_key_by_the_documented_pattern() -> None:
    keys = [make_key() for _ in range(200)]
    pattern = re.compile(r"mpb_[0-9A-Za-z]{10}_[0-9A-Za-z]{49}")
    assert all(pattern.fullmatch(key.text) for key in keys)
    assert len({key.id for key in keys}) == len({hash_key(key.text) for key in keys}) == 200


def test_a_key_contains_its_id() -> None:
    key = make_key()
    assert read_key_id(key.text) == key.id
    assert key.text.startswith(key.id + "_")


@given(place=st.integers(0, 63), letter=st.sampled_from(LETTERS))
def test_one_wrong_letter_is_noticed(place: int, letter: str) -> None:
    text = make_key().text
    wrong = text[:place] + letter + text[place + 1 :]
    if wrong == text:
        return
    if wrong.startswith("mpb_"):
        with pytest.raises(MistypedKeyError):
            read_key_id(wrong)
    else:
        assert read_key_id(wrong) is None


@given(place=st.integers(4, 63))
def test_a_missing_or_a_further_letter_is_noticed(place: int) -> None:
    text = make_key().text
    for wrong in (text[:place] + text[place + 1 :], text[:place] + "x" + text[place:]):
        with pytest.raises(MistypedKeyError):
            read_key_id(wrong)


@given(st.text())
def test_any_other_text_is_not_one_of_our_keys(text: str) -> None:
    if not text.startswith("mpb_"):
        assert read_key_id(text) is None


def test_what_is_logged_of_a_key_is_its_id() -> None:
    key = make_key()
    assert redact(f"refused {key.text}!") == f"refused {key.id}_***!"
    assert key.text not in repr(key)
