"""Signed texts: only what this service signed, for this purpose, and only for their time."""

from datetime import UTC, datetime, timedelta

import pytest

from mpanel_billing.access.signed import (
    LONGEST_TOKEN,
    ExpiredTokenError,
    Signer,
    UnreadableTokenError,
)

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
LIFETIME = timedelta(minutes=15)
CLAIMS = {"subscription": "sub_1", "due": 900, "prices": [["price_1", 1]]}

signer = Signer([b"whsec_first"], "plan-change-preview")


def signed(by: Signer = signer) -> str:
    """Return a token that is valid from NOW."""
    return by.sign(CLAIMS, now=NOW, lifetime=LIFETIME)


def test_claims_are_read_as_they_were_signed() -> None:
    assert signer.read(signed(), now=NOW + LIFETIME - timedelta(seconds=1)) == CLAIMS


def test_a_token_fits_into_a_cookie_and_an_address() -> None:
    assert set(signed()) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


def test_a_token_ends_with_its_lifetime() -> None:
    with pytest.raises(ExpiredTokenError):
        signer.read(signed(), now=NOW + LIFETIME)


def test_a_token_of_another_purpose_is_not_read() -> None:
    with pytest.raises(UnreadableTokenError):
        signer.read(signed(Signer([b"whsec_first"], "browser")), now=NOW)


def test_every_secret_is_accepted_while_one_is_rolled_and_the_first_one_signs() -> None:
    rolled = Signer([b"whsec_second", b"whsec_first"], "plan-change-preview")
    assert rolled.read(signed(), now=NOW) == CLAIMS
    with pytest.raises(UnreadableTokenError):
        signer.read(signed(rolled), now=NOW)


def test_no_changed_character_survives() -> None:
    token = signed()
    for place, letter in enumerate(token):
        other = "A" if letter != "A" else "B"
        with pytest.raises(UnreadableTokenError):
            signer.read(token[:place] + other + token[place + 1 :], now=NOW)


@pytest.mark.parametrize(
    "text",
    ["", ".", "a", "a.b", "é.é", "\udcff.\udcff", "." * 9, "e30.", "e30.AAAA", "A" * LONGEST_TOKEN],
)
def test_what_is_no_token_is_refused_without_another_error(text: str) -> None:
    with pytest.raises(UnreadableTokenError):
        signer.read(text, now=NOW)


def test_a_token_that_is_too_long_is_refused_although_it_was_signed() -> None:
    token = signer.sign({"x": "y" * LONGEST_TOKEN}, now=NOW, lifetime=LIFETIME)
    with pytest.raises(UnreadableTokenError):
        signer.read(token, now=NOW)
