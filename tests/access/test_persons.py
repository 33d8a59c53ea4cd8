"""Addresses of one mailbox are one person; what is kept of them is a hash under a key."""

import pytest

from mpanel_billing.access.persons import PersonHasher, mailbox_of


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("ada@example.com", "ADA@Example.com"),
        ("ada@example.com", "ada+trial@example.com"),
        ("ada@example.com", "ada+a+b@example.com"),
        ("ada.lovelace@gmail.com", "adalovelace@gmail.com"),
        ("ada.lovelace@gmail.com", "A.d.a.Lovelace+x.y@googlemail.com"),
        ("ada@icloud.com", "ada+2@me.com"),
        ("ada_l@proton.me", "ada.l@protonmail.com"),
        ("ada@ya.ru", "ada+1@yandex.com"),
        ("ada@yahoo.com", "ada-shop@yahoo.com"),
        ("bücher@example.com", "BÜCHER+1@example.com"),
    ],
)
def test_addresses_of_one_mailbox_are_one_person(first: str, second: str) -> None:
    assert mailbox_of(first) == mailbox_of(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("ada@example.com", "ada@example.org"),
        ("ada.lovelace@example.com", "adalovelace@example.com"),
        ("ada@outlook.com", "ada@hotmail.com"),
        ("ada@yahoo.com", "ada@yahoo.co.uk"),
        ("ada-l@example.com", "ada@example.com"),
        ("+ada@example.com", "+grace@example.com"),
        ("ada@example.com", "ada@mail.example.com"),
    ],
)
def test_addresses_that_may_be_two_people_are_two(first: str, second: str) -> None:
    assert mailbox_of(first) != mailbox_of(second)


def test_the_same_person_has_the_same_hash_under_the_same_key_only() -> None:
    ours, theirs = PersonHasher(b"ours"), PersonHasher(b"theirs")
    assert ours.of_address("ada+1@gmail.com") == ours.of_address("a.da@googlemail.com")
    assert ours.of_address("ada@gmail.com") != theirs.of_address("ada@gmail.com")
    assert ours.of_card("Xt5EWLLDS7FJjR1c") == ours.of_card("Xt5EWLLDS7FJjR1c")
    assert ours.of_card("Xt5EWLLDS7FJjR1c") != theirs.of_card("Xt5EWLLDS7FJjR1c")
    assert ours.of_card("ada@gmail.com") != ours.of_address("ada@gmail.com")


def test_nothing_of_an_address_is_left_in_its_hash() -> None:
    hashed = PersonHasher(b"key").of_address("ada@example.com")
    assert len(hashed) == 32
    assert b"ada" not in hashed
