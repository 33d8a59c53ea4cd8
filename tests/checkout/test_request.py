"""The buyer's own fields."""

from typing import Any

import pytest

from mpanel_billing.checkout.buyer import Address, Buyer
from mpanel_billing.errors import InvalidRequestError
from mpanel_billing.http.request import validate
from mpanel_billing.http.schemas.checkout import CheckoutRequest

GRACE = {
    "email": " Grace@Example.COM ",
    "name": "Grace  Hopper",
    "phone": "+1 (555) 123-4567",
    "company": "Hopper Systems Inc.",
    "address1": "1 Compiler Rd",
    "address2": "",
    "city": None,
    "country": "us",
}


def buyer_of(**changes: Any) -> Buyer:
    return validate(CheckoutRequest, {"customer": {**GRACE, **changes}}).customer.to_buyer()


def test_a_buyer_is_normalised() -> None:
    assert buyer_of() == Buyer(
        email="Grace@example.com",
        name="Grace  Hopper",
        phone="+1 (555) 123-4567",
        company="Hopper Systems Inc.",
        address=Address(line1="1 Compiler Rd", country="US"),
    )


def test_unicode_survives() -> None:
    assert buyer_of(name="Žofie 山田 👩‍💻").name == "Žofie 山田 👩‍💻"
    assert buyer_of(email="zoë@bücher.de").email == "zoë@bücher.de"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"email": "ada"}, "customer.email"),
        ({"email": "ada@"}, "customer.email"),
        ({"email": "ada@localhost"}, "customer.email"),
        ({"email": "a\u0000da@example.com"}, "customer.email"),
        ({"email": "a" * 300 + "@example.com"}, "customer.email"),
        ({"name": "   "}, "customer.name"),
        ({"name": "a\nb"}, "customer.name"),
        ({"name": "a\u2028b"}, "customer.name"),
        ({"name": "a" * 201}, "customer.name"),
        ({"country": "XX"}, "customer.country"),
        ({"country": "USA"}, "customer.country"),
        ({"postcode": "1" * 21}, "customer.postcode"),
    ],
)
def test_a_field_that_is_wrong_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        buyer_of(**changes)
    assert list(refused.value.fields or ()) == [field]


def test_the_sentence_is_for_the_buyer() -> None:
    with pytest.raises(InvalidRequestError) as refused:
        validate(CheckoutRequest, {"customer": {**GRACE, "email": "ada"}}, CheckoutRequest.labels)
    assert refused.value.message == (
        "Please check your email address: it must be an e-mail address, like ada@example.com."
    )
