"""What a text may be that an operator searches for."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpanel_billing.domains.names import DomainName
from mpanel_billing.errors import InvalidRequestError
from mpanel_billing.search.terms import Address, OurId, StripeId, Term, Words, read_terms

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
        ("Example.com.", [DomainName("example.com", "example.com"), Words(("Example.com.",))]),
        ("müller.example", [
            DomainName("xn--mller-kva.example", "müller.example"), Words(("müller.example",))
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
