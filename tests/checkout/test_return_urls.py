import pytest

from mpanel_billing.checkout.return_urls import ReturnUrls
from tests.service import SITE, make_settings

SETTINGS = make_settings(app_url="https://panel.test/")


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (f"{SITE}/ok", f"{SITE}/ok?session_id={{CHECKOUT_SESSION_ID}}"),
        (f"{SITE}/ok?a=b%20c", f"{SITE}/ok?a=b%20c&session_id={{CHECKOUT_SESSION_ID}}"),
        (f"{SITE}/ok#top", f"{SITE}/ok?session_id={{CHECKOUT_SESSION_ID}}#top"),
        (f"{SITE}/ok/{{CHECKOUT_SESSION_ID}}", f"{SITE}/ok/{{CHECKOUT_SESSION_ID}}"),
        ("https://panel.test/ok", "https://panel.test/ok?session_id={CHECKOUT_SESSION_ID}"),
    ],
)
def test_an_address_on_an_allowed_origin_is_used(given: str, sent: str) -> None:
    assert ReturnUrls.choose(SETTINGS, given, None).success == sent


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "https://evil.test/ok",
        "http://migrahosting.test/ok",
        f"{SITE}.evil.test/",
        f"{SITE}:8443/",
        "https://evil.test\\@migrahosting.test/",
        "https://user@migrahosting.test/",
        "//migrahosting.test/ok",
        "/checkout/success",
        "javascript:alert(1)",
        "https://[broken",
    ],
)
def test_any_other_address_is_replaced_by_ours(given: str | None) -> None:
    urls = ReturnUrls.choose(SETTINGS, given, given)
    assert urls.success == ("https://panel.test/checkout/success?session_id={CHECKOUT_SESSION_ID}")
    assert urls.cancel == "https://panel.test/pricing"
