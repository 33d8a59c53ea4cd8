"""What a text may be that an operator searches for."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpanel_billing.domains.names import DomainName
from mpanel_billing.errors import InvalidRequestError
from mpanel_billing.resources import QUERIES, ROOT
from mpanel_billing.search.terms import (
    ACCENTED,
    PLAIN,
    Address,
    DomainStart,
    IdStart,
    OurId,
    StripeId,
    Term,
    Words,
    read_terms,
)

ID = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        (ID, [OurId(UUID(ID))]),
        (f"  {ID.upper()} ", [OurId(UUID(ID))]),
        ("cus_NffrFeUfNV2Hib", [StripeId("cus_NffrFeUfNV2Hib")]),
        ("cs_test_a11YYufWQzNY63", [StripeId("cs_test_a11YYufWQzNY63")]),
        ("sub_sched_1Mr3YcLkdIwHu7ix", [StripeId("sub_sched_1Mr3YcLkdIwHu7ix")]),
        ("Jane@Example.com", [Address("Jane@Example.com"), Words(("Jane@Example.com",))]),
        ("Example.com.", [
            DomainName("example.com", "example.com"), Words(("Example.com.",)),
            DomainStart("example.com."),
        ]),
        ("https://www.Example.com/shop?a=b", [
            DomainName("example.com", "example.com"), Words(("Example.com",)),
            DomainStart("example.com"),
        ]),
        ("www.com", [DomainName("www.com", "www.com"), Words(("www.com",)), DomainStart("com")]),
        ("@example.com", [Words(("@example.com",))]),
        ("6f9619ff-8b", [
            Words(("6f9619ff-8b",)), DomainStart("6f9619ff-8b"),
            IdStart(
                UUID("6f9619ff-8b00-0000-0000-000000000000"),
                UUID("6f9619ff-8bff-ffff-ffff-ffffffffffff"),
            ),
        ]),
        ("müller.example", [
            DomainName("xn--mller-kva.example", "müller.example"), Words(("müller.example",)),
            DomainStart("müller.example"),
        ]),
        ("jane  doe", [Words(("jane", "doe"))]),
        ("O'Neill & (sons)", [Words(("O", "Neill", "sons"))]),
        ("&|", []),
    ],
)  # fmt: skip
def test_a_text_is_read_as_what_it_may_be(text: str, terms: list[Term]) -> None:
    assert list(read_terms(text)) == terms


@pytest.mark.parametrize("text", ["", " a ", "x" * 256])
def test_a_text_that_is_too_short_or_too_long_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="2 to 255 characters"):
        read_terms(text)


@given(st.text(min_size=2, max_size=255))
def test_any_other_text_is_read(text: str) -> None:
    try:
        terms = read_terms(text)
    except InvalidRequestError:
        assert len(" ".join(text.split())) < 2
        return
    assert all(not isinstance(each, Words) or all(each.words) for each in terms)


@pytest.mark.parametrize(
    ("words", "tsquery"),
    [
        (("jane", "Doe"), "'jane':* & 'doe':*"),
        (("Müller",), "'muller':*"),
        (("@example.com",), "('example.com':* | ('example':* & 'com':*))"),
        (("ada@example.c",), "'ada':* & ('example.c':* | ('example':* & 'c':*))"),
        (("anna.berg",), "('anna.berg':* | ('anna':* & 'berg':*))"),
    ],
)
def test_words_are_asked_for_as_the_index_has_them(words: tuple[str, ...], tsquery: str) -> None:
    assert Words(words).tsquery == tsquery


def test_the_query_and_the_index_fold_the_same_letters() -> None:
    index = ROOT / "prisma/migrations/20261126001716_index_billing_customers_words_idx.sql"
    for text in (index.read_text(), (QUERIES / "search.sql").read_text()):
        assert (ACCENTED in text, PLAIN in text) == (True, True)
    assert len(ACCENTED) == len(PLAIN) == len(set(ACCENTED))
