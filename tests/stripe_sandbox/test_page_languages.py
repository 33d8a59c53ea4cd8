"""The hosted pages in the buyer's language: that of the session, or else of the browser."""

import re
import string
from html.parser import HTMLParser

import pytest
from aiohttp import ClientSession

from stripe_sandbox import bank_accounts, cards
from stripe_sandbox.billing import collection, debits, microdeposits
from stripe_sandbox.cards import Decline
from stripe_sandbox.errors import ApiError
from stripe_sandbox.hosted.english import ENGLISH
from stripe_sandbox.hosted.german import GERMAN
from stripe_sandbox.hosted.language import LANGUAGES, accepted
from tests.stripe_sandbox.calls import customer_with_card, subscribe
from tests.stripe_sandbox.test_customer_pages import CARD

GERMAN_BROWSER = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}
SHOWN_ATTRIBUTES = ("placeholder", "title", "aria-label", "alt")
AMOUNT = r"-?[\d.]+,\d\d\N{NO-BREAK SPACE}[$€]"
DATA = re.compile(
    rf"(Starter, )?(Starter|{AMOUNT}|{GERMAN['every.month']}|{GERMAN['once']})"
    rf"|\d+\. ({GERMAN['months'].replace(' ', '|')}) \d{{4}}"
    r"|[A-Z0-9]+-\d{4}|DE[\d ]+|[\d ]+|\w+@[\w.]+|(sub|ch)_\w+|visa 4242"
    r"|3D Secure|SM0000|US|eu_vat"
)
"""What pages show as it is in every language."""


class Shown(HTMLParser):
    """Collects what a page shows: its texts, and the attributes that are read."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.language = ""
        self._hidden = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._hidden = tag == "style"
        self.language = given.get("lang") or self.language
        self.texts += [given[name] or "" for name in SHOWN_ATTRIBUTES if given.get(name)]

    def handle_data(self, data: str) -> None:
        if data.strip() and not self._hidden:
            self.texts.append(" ".join(data.split(" ")).strip())


def pattern(template: str) -> re.Pattern[str]:
    """What the texts of a template look like."""
    return re.compile(re.sub(r"\\{\w+\\}", ".+", re.escape(template)))


TEMPLATES = [pattern(text) for name, text in GERMAN.items() if name not in {"months", "day"}]


def foreign(texts: list[str]) -> list[str]:
    """The texts that the German catalogue does not have."""
    return [
        text
        for text in texts
        if not DATA.fullmatch(text) and not any(one.fullmatch(text) for one in TEMPLATES)
    ]


async def ask(url: str, form: dict[str, str] | None = None, headers=GERMAN_BROWSER) -> Shown:
    shown = Shown()
    async with (
        ClientSession(headers=headers) as browser,
        browser.request("POST" if form else "GET", url, data=form) as page,
    ):
        shown.feed(await page.text())
    return shown


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_catalogues_have_the_same_names_and_values():
    assert list(GERMAN) == list(ENGLISH)
    for name, text in GERMAN.items():
        assert placeholders(text) <= placeholders(ENGLISH[name]), name
        assert text, name
    # a text that is the same in both is a name or a number, or was forgotten
    same = {name for name, text in ENGLISH.items() if GERMAN[name] == text}
    assert same == {
        "method.link",
        "field.iban",
        "field.name",
        "field.descriptorCode",
        "hint.cardCvc",
    }


def test_every_decline_has_its_sentence_in_german():
    german, modules = LANGUAGES["de"], (cards, bank_accounts, microdeposits, collection, debits)
    declines = [
        one for module in modules for one in vars(module).values() if isinstance(one, Decline)
    ]
    assert len(declines) > 20
    for decline in declines:
        said = german.refusal(ApiError(402, decline.message))
        assert said in GERMAN.values(), decline
        assert said != GERMAN["refusal.other"], decline
    unknown = ApiError(400, "No such price: 'price_1'")
    assert german.refusal(unknown) == GERMAN["refusal.other"]
    assert LANGUAGES["en"].refusal(unknown) == str(unknown)


@pytest.mark.parametrize(
    ("header", "first"),
    [("de", "de"), ("fr;q=0.3, de;q=0.8", "de"), ("en-GB,de;q=0.9", "en-GB"), ("*", "*")],
)
def test_the_language_wanted_most_comes_first(header, first):
    assert accepted(header)[0] == first


def test_what_a_browser_refuses_is_not_accepted():
    assert accepted("de;q=0, en") == ["en"]
    assert accepted("") == []


@pytest.mark.parametrize(
    ("text", "german"),
    [
        (
            "1 \N{MULTIPLICATION SIGN} Starter (at $1,010.00 / month)",
            "1 \N{MULTIPLICATION SIGN} Starter (zu 1.010,00\xa0$ / Monat)",
        ),
        (
            "2 \N{MULTIPLICATION SIGN} Starter (at €9.50 every 3 months)",
            "2 \N{MULTIPLICATION SIGN} Starter (zu 9,50\xa0€ alle 3 Monate)",
        ),
        (
            "31 \N{MULTIPLICATION SIGN} Usage (Tier 2 at $0.036 / month)",
            "31 \N{MULTIPLICATION SIGN} Usage (Stufe 2 zu 0,036\xa0$ / Monat)",
        ),
        ("Unused time on Starter", "Nicht genutzte Zeit von Starter"),
        ("Domain example.com", "Domain example.com"),
        (None, ""),
    ],
)
def test_lines_of_the_api_are_translated_and_those_of_the_merchant_are_not(text, german):
    assert LANGUAGES["de"].line(text) == german
    assert LANGUAGES["en"].line(text) == (text or "")


@pytest.mark.parametrize(
    ("locale", "browser", "code"),
    [
        (None, "de", "de"),
        ("auto", "de-CH, en", "de"),
        ("en", "de", "en"),
        ("de", "en", "de"),
        (None, "fr", "en"),
        ("fr", "de", "en"),
    ],
)
async def test_a_page_speaks_the_sessions_language_or_the_browsers(shop, locale, browser, code):
    session = await shop.open(**({"locale": locale} if locale else {}))
    page = await ask(session.url, headers={"Accept-Language": browser})
    assert (page.language, GERMAN["total"] in page.texts) == (code, code == "de")


async def test_a_trial_is_free_and_dates_and_amounts_have_the_form_of_the_language(shop):
    _, customer = await shop.clocked_customer()
    session = await shop.open(customer=customer, subscription_data={"trial_period_days": 14})
    english = await ask(session.url, headers={})
    assert english.texts.count("Free") == 2
    assert "$0.00" not in english.texts
    german = await ask(session.url)
    assert german.texts.count("Kostenlos") == 2
    [note] = [text for text in german.texts if text.startswith("Kostenlos bis")]
    assert re.fullmatch(
        r"Kostenlos bis \d+\. \w+ \d{4}, danach 10,00\N{NO-BREAK SPACE}\$ jeden Monat\.", note
    )


@pytest.mark.parametrize(
    ("headers", "words"), [({}, ENGLISH), (GERMAN_BROWSER, GERMAN)], ids=["en", "de"]
)
async def test_all_fields_that_are_wrong_are_marked_each_with_its_sentence(shop, headers, words):
    session = await shop.open()
    form = {"cardNumber": "4242", "cardExpiry": "13/30", "cardCvc": "1", "billingName": ""}
    async with (
        ClientSession(headers=headers) as browser,
        browser.post(session.url, data=form) as page,
    ):
        assert page.status == 400
        html = await page.text()
    for field, name in (
        ("cardNumber", "wrong.cardNumber.incomplete"),
        ("cardExpiry", "wrong.cardExpiry.invalid"),
        ("cardCvc", "wrong.cardCvc.incomplete"),
        ("billingName", "wrong.cardholder"),
    ):
        [tag] = re.findall(rf'<input id="{field}"[^>]*>', html)
        assert f'aria-invalid="true" aria-describedby="{field}-problem"' in tag
        sentence = words[name].replace("'", "&#x27;")
        assert f'<p class="wrong" id="{field}-problem">{sentence}</p>' in html
        assert f'<a href="#{field}">{sentence}</a>' in html


async def test_what_the_api_refuses_marks_its_field_too(shop):
    session = await shop.open(allow_promotion_codes=True)
    for form, field in (
        ({**CARD, "promotionCode": "NOPE"}, "promotionCode"),
        ({**CARD, "cardNumber": "4000 0000 0000 0127"}, "cardCvc"),
    ):
        async with ClientSession() as browser, browser.post(session.url, data=form) as page:
            assert page.status == 402
            assert f'id="{field}-problem"' in await page.text()


async def checkout_pages(shop):
    """Payment pages with all their fields, right and wrong, and their notices."""
    await shop.api.v1.coupons.create_async({"id": "OFF", "percent_off": 10, "duration": "once"})
    lines = [{**shop.lines("monthly")[0], "adjustable_quantity": {"enabled": True}}]
    session = await shop.open(
        line_items=[*lines, *shop.lines("domain")],
        allow_promotion_codes=True,
        billing_address_collection="required",
        shipping_address_collection={"allowed_countries": ["US"]},
        tax_id_collection={"enabled": True},
        payment_method_types=["card", "sepa_debit", "us_bank_account", "link"],
    )
    yield session.url, None
    for kind in ("card", "sepa_debit", "us_bank_account", "none"):
        yield session.url, {"paymentMethodType": kind, "quantity_0": "x"}
    yield session.url, {"quantity_0": "0", "quantity_1": "0"}
    yield session.url, {"promotionCode": "NOPE", "action": "update"}
    plain = await shop.open(discounts=[{"coupon": "OFF"}])
    yield plain.url, None
    yield plain.url, {**CARD, "cardNumber": "4000 0000 0000 0002"}
    yield plain.url, {**CARD, "cardNumber": "4000 0000 0000 3220"}
    await shop.driver.pay(plain.id)
    yield plain.url, None
    await shop.api.v1.checkout.sessions.expire_async(session.id)
    yield session.url, None
    yield session.url.replace(session.id, "cs_test_none"), None


async def customers_pages(shop):
    """The portal, its login, an invoice, a receipt and the page of the bank."""
    customer, _ = await customer_with_card(shop, email="ada@example.com")
    sold = await subscribe(shop, customer)
    features = {
        "customer_update": {
            "enabled": True,
            "allowed_updates": ["address", "email", "name", "phone", "tax_id"],
        },
        "invoice_history": {"enabled": True},
        "payment_method_update": {"enabled": True},
        "subscription_cancel": {"enabled": True},
        "subscription_update": {
            "enabled": True,
            "default_allowed_updates": ["price", "quantity"],
            "products": [{"product": shop.product, "prices": [shop.prices["bigger"]]}],
        },
    }
    configured = await shop.api.v1.billing_portal.configurations.create_async(
        {"features": features, "login_page": {"enabled": True}}
    )
    portal = await shop.api.v1.billing_portal.sessions.create_async(
        {"customer": customer, "configuration": configured.id, "return_url": "https://a.example"}
    )
    of = {"subscription": sold.id}
    yield portal.url, None
    yield portal.url, {**of, "action": "update", "quantity": "x"}
    yield portal.url, {"action": "card", **CARD, "cardCvc": "1"}
    yield portal.url, {"action": "customer", "taxIdType": "eu_vat", "taxId": "1"}
    yield portal.url, {**of, "action": "cancel"}
    yield f"{portal.url}?done=1", None
    yield portal.url.replace(portal.id, "bps_none"), None
    yield configured.login_page.url, None
    yield configured.login_page.url, {"email": "nobody@example.com"}
    [invoice] = await shop.invoices(sold.id)
    yield invoice.hosted_invoice_url, None
    [charge] = (await shop.api.v1.charges.list_async({"customer": customer})).data
    yield charge.receipt_url, None
    setup = await shop.api.v1.setup_intents.create_async(
        {
            "customer": customer,
            "payment_method": "pm_card_threeDSecure2Required",
            "confirm": True,
            "return_url": "https://shop.example",
        }
    )
    bank = setup.next_action.redirect_to_url.url
    yield bank, None
    await ask_once(bank, {"authentication": "complete"})
    yield bank, None


async def ask_once(url: str, form: dict[str, str]) -> None:
    async with ClientSession() as browser, browser.post(url, data=form, allow_redirects=False):
        pass


async def test_no_english_is_left_on_a_german_page(shop):
    count = 0
    for pages in (checkout_pages(shop), customers_pages(shop)):
        async for url, form in pages:
            page = await ask(url, form)
            assert page.language == "de", url
            assert (foreign(page.texts), url, form) == ([], url, form)
            count += 1
    assert count > 20


async def test_the_portal_prefers_the_customers_language_to_the_browsers(shop):
    customer = await shop.api.v1.customers.create_async({"preferred_locales": ["de"]})
    sessions = shop.api.v1.billing_portal.sessions
    portal = await sessions.create_async({"customer": customer.id})
    assert (await ask(portal.url, headers={"Accept-Language": "en"})).language == "de"
    portal = await sessions.create_async({"customer": customer.id, "locale": "en"})
    assert (await ask(portal.url)).language == "en"
