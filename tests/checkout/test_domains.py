import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpanel_billing.checkout.cart import read_domain
from mpanel_billing.errors import InvalidRequestError


@pytest.mark.parametrize(
    ("typed", "ascii_", "unicode_"),
    [
        ("example.com", "example.com", "example.com"),
        (" Example.COM. ", "example.com", "example.com"),
        ("bücher.DE", "xn--bcher-kva.de", "bücher.de"),
        ("xn--bcher-kva.de", "xn--bcher-kva.de", "bücher.de"),
        ("山田。jp", "xn--rhtu98c.jp", "山田.jp"),
        ("faß.de", "xn--fa-hia.de", "faß.de"),
        ("a.co.uk", "a.co.uk", "a.co.uk"),
        ("президент.рф", "xn--d1abbgf6aiiy.xn--p1ai", "президент.рф"),
    ],
)
def test_a_domain_is_read_as_browsers_do(typed: str, ascii_: str, unicode_: str) -> None:
    domain = read_domain(typed, "register", field="domain.value")
    assert (domain.ascii, domain.unicode) == (ascii_, unicode_)


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "   ",
        ".",
        "Not A Domain!! ",
        "localhost",
        "example",
        "example..com",
        ".example.com",
        "-example.com",
        "example-.com",
        "exa_mple.com",
        "127.0.0.1",
        "::1",
        "example.123",
        "example.c",
        "https://example.com",
        "ada@example.com",
        "example.com/path",
        "a" * 64 + ".com",
        ".".join(["a" * 60] * 5) + ".com",
        "xn--zzzzzzz-.com",
        "ex\u0000ample.com",
        "*.example.com",
    ],
)
def test_an_invalid_domain_is_refused(typed: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        read_domain(typed, "register", field="here")
    assert refused.value.code == "invalid_domain"
    assert list(refused.value.fields or ()) == ["here"]


@given(st.text(max_size=253))
def test_any_text_is_a_domain_or_refused(typed: str) -> None:
    try:
        domain = read_domain(typed, "register", field="here")
    except InvalidRequestError:
        return
    assert read_domain(domain.ascii, "register", field="here") == domain
    assert len(domain.ascii) <= 253
