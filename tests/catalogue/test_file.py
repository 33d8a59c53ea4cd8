"""A catalogue file is right as a whole, or every mistake in it is named by line and field."""

from pathlib import Path

import pytest

from mpanel_billing.catalogue.file import (
    CatalogueFileError,
    parse_catalogue,
    read_catalogue_file,
)
from mpanel_billing.catalogue.rows import coupon_rows, price_rows, product_rows
from mpanel_billing.catalogue.schema import CatalogueFile

SMALL = """\
currency = "usd"

[[plans]]
code = "basic"
name = "Basic"
description = "A plan."
category = "hosting"
product_types = ["hosting"]
setup_fee = 500
[plans.prices]
monthly = 799
annually = 7990
[plans.prices_in.jpy]
monthly = 1200
[plans.setup_fee_in]
jpy = 0

[[domains]]
tld = "com"
name = ".com domain"
description = "A year of it."
price = 1299

[[fees]]
code = "rush"
name = "Rush"
description = "At once."
price = 2500

[[coupons]]
code = "TEN"
name = "Ten"
percent_off = 10
"""

NOT_WHOLE = "must be a whole number of minor units (1299 for $12.99), not"


def problems_of(text: str) -> list[str]:
    with pytest.raises(CatalogueFileError) as caught:
        parse_catalogue(text, name="my.toml")
    return str(caught.value).splitlines()


def test_the_shipped_catalogue_is_right(shipped: CatalogueFile) -> None:
    assert [plan.code for plan in shipped.plans][:3] == ["student", "starter", "premium"]
    assert (len(shipped.plans), len(shipped.addons), len(shipped.domains)) == (7, 6, 4)
    assert [coupon.code for coupon in shipped.coupons] == ["WELCOME10"]


def test_a_small_file_is_right() -> None:
    file = parse_catalogue(SMALL)
    assert [row["code"] for row in product_rows(file)] == ["basic", "domain-com", "rush"]


@pytest.mark.parametrize(
    ("written", "instead", "problem"),
    [
        (
            "monthly = 799",
            "monthly = 7.99",
            f"11: plans[0].prices.monthly: {NOT_WHOLE} 7.99",
        ),
        (
            "monthly = 799",
            'monthly = "799"',
            f"11: plans[0].prices.monthly: {NOT_WHOLE} '799'",
        ),
        (
            "price = 1299",
            "price = -1",
            "22: domains[0].price: must be a whole number of minor units (1299 for $12.99), not -1",
        ),
        (
            "price = 1299",
            "price = true",
            f"22: domains[0].price: {NOT_WHOLE} True",
        ),
        (
            "annually = 7990",
            "yearly = 7990",
            "12: plans[0].prices.yearly: 'yearly' is not a billing cycle; use one of: monthly",
        ),
        ("monthly = 799\nannually = 7990\n", "", "10: plans[0].prices: must not be empty"),
        ('name = "Basic"\n', "", "3: plans[0].name: is missing"),
        (
            "setup_fee = 500",
            "setup_fees = 500",
            "9: plans[0].setup_fees: is not a catalogue field",
        ),
        (
            'product_types = ["hosting"]',
            'product_types = "hosting"',
            "8: plans[0].product_types: must be a list in [brackets]",
        ),
        (
            'product_types = ["hosting"]',
            'product_types = ["hosting",\n "E-Mail"]',
            "9: plans[0].product_types[1]: should match pattern '^[a-z][a-z0-9_-]*$', not 'E-Mail'",
        ),
        (
            'code = "basic"',
            'code = "Basic Plan"',
            "4: plans[0].code: should match pattern '^[a-z0-9]+(-[a-z0-9]+)*$', not 'Basic Plan'",
        ),
        (
            'currency = "usd"',
            'currency = "usb"',
            "1: currency: 'usb' is not a currency of Stripe; use an ISO code in lower case",
        ),
        (
            "price = 1299",
            "price = 1299\nprice_in = { usd = 1299 }",
            "23: domains[0].price_in.usd: repeats the file's own currency, usd",
        ),
        (
            "[plans.setup_fee_in]\njpy = 0\n",
            "",
            "13: plans[0].prices_in.jpy: needs setup_fee_in.jpy too, 0 if there is none",
        ),
        (
            "jpy = 0",
            "jpy = 0\nkwd = 0",
            "17: plans[0].setup_fee_in.kwd: is without a price in kwd: add prices_in.kwd",
        ),
        (
            "price = 1299",
            "price = 1299\nprice_in = { jpy = 1900 }\ntransfer_price = 999",
            "23: domains[0].price_in.jpy: needs transfer_price_in.jpy too",
        ),
        (
            "percent_off = 10",
            "amount_off = 500\namount_off_in = { kwd = 1505 }",
            "34: coupons[0].amount_off_in.kwd: must be a multiple of 10, as Stripe charges kwd",
        ),
        (
            "percent_off = 10",
            "percent_off = 10\namount_off_in = { jpy = 700 }",
            "34: coupons[0].amount_off_in: needs amount_off too, in the file's own currency",
        ),
        (
            "percent_off = 10",
            "amount_off = 500\nminimum_amount = 900\namount_off_in = { jpy = 700 }",
            "35: coupons[0].amount_off_in.jpy: needs minimum_amount_in.jpy too",
        ),
        (
            "[plans.prices_in.jpy]\nmonthly = 1200\n[plans.setup_fee_in]\njpy",
            "[plans.prices_in.kwd]\nmonthly = 1255\n[plans.setup_fee_in]\nkwd",
            "14: plans[0].prices_in.kwd.monthly: must be a multiple of 10, as Stripe charges kwd",
        ),
        (
            'code = "rush"',
            'code = "basic"',
            "25: fees[0].code: 'basic' is already the code of plans[0]",
        ),
        ("percent_off = 10", "", "30: coupons[0]: needs either percent_off or amount_off"),
        (
            "percent_off = 10",
            "percent_off = 10\namount_off = 5",
            "30: coupons[0]: needs either percent_off or amount_off",
        ),
        (
            "percent_off = 10",
            "percent_off = 10.125",
            "33: coupons[0].percent_off: must have at most two decimals",
        ),
        (
            "percent_off = 10",
            'percent_off = 10\nduration = "repeating"',
            "34: coupons[0].duration: needs duration_in_months if and only if it is repeating",
        ),
        ('code = "TEN"', 'code = "ten"', "31: coupons[0].code: should match pattern"),
        (
            'name = "Ten"',
            "name = 10",
            "32: coupons[0].name: must be text in quotes",
        ),
        (
            "monthly = 799\nannually = 7990",
            "monthly = 0\nannually = 7990",
            "9: plans[0].free_domain: must be false for a plan with a price of 0",
        ),
        (
            "setup_fee = 500",
            'allowed_changes = ["large"]',
            "9: plans[0].allowed_changes[0]: 'large' is not a plan of this file",
        ),
        (
            "setup_fee = 500",
            "max_per_customer = 0",
            "9: plans[0].max_per_customer: should be greater than 0, not 0",
        ),
        (
            "percent_off = 10",
            "percent_off = 10\nmax_redemptions = 0",
            "34: coupons[0].max_redemptions: should be greater than 0, not 0",
        ),
        (
            "percent_off = 10",
            "percent_off = 10\nexpires_at = 2027-01-31T23:59:59",
            "34: coupons[0].expires_at: needs a time zone, such as the Z of 2027-01-31T23:59:59Z",
        ),
        (
            "percent_off = 10",
            'percent_off = 10\nexpires_at = "2027-01-31"',
            "34: coupons[0].expires_at: must be a date and time without quotes, such as",
        ),
        (
            "percent_off = 10",
            'percent_off = 10\nproducts = ["basic", "rush"]',
            "34: coupons[0].products[1]: 'rush' is not a plan or add-on of this file",
        ),
        (
            "percent_off = 10",
            "percent_off = 10\nminimum_amount = 49.9",
            f"34: coupons[0].minimum_amount: {NOT_WHOLE} 49.9",
        ),
        (
            "percent_off = 10\n",
            "percent_off = 10\nretention = true\nmax_redemptions = 5\n",
            "35: coupons[0].max_redemptions: counts orders, which a coupon with retention is not ",
        ),
        (
            "percent_off = 10\n",
            "percent_off = 10\nretention = true\nmax_per_customer = 1\n",
            "35: coupons[0].max_per_customer: counts orders",
        ),
        ("[[domains]]", "[[domain]]", "18: domain: is not a catalogue field"),
        ("price = 1299", "price = ", "22: is not valid TOML: Invalid value"),
        ('name = "Ten"', 'name = "Ten', "32: is not valid TOML: "),
        ("percent_off = 10\n", "percent_off = [", "33: is not valid TOML: Invalid value"),
    ],
)
def test_a_mistake_is_named_by_line_and_field(written: str, instead: str, problem: str) -> None:
    has_domain = "free" in problem
    text = SMALL.replace("setup_fee", "free_domain = true\nsetup_fee", 1) if has_domain else SMALL
    assert written in text
    [found] = problems_of(text.replace(written, instead, 1))
    assert found.startswith(f"my.toml:{problem}")


def test_all_mistakes_are_named_at_once_in_the_order_of_the_file() -> None:
    text = SMALL.replace("price = 2500", "price = 25.0").replace('"basic"', "7")
    assert [problem.split(": ")[:2] for problem in problems_of(text)] == [
        ["my.toml:4", "plans[0].code"],
        ["my.toml:28", "fees[0].price"],
    ]


def test_a_tld_may_be_called_like_a_plan() -> None:
    text = SMALL.replace('tld = "com"', 'tld = "basic"')
    assert [row["code"] for row in product_rows(parse_catalogue(text))][1] == "domain-basic"


def test_two_entries_for_one_tld_are_a_mistake() -> None:
    entry = SMALL[SMALL.index("[[domains]]") : SMALL.index("[[fees]]")]
    [found] = problems_of(SMALL + entry)
    assert found.startswith(
        "my.toml:35: domains[1].tld: 'domain-com' is already the code of domains[0]"
    )


def test_a_file_without_plans_sells_nothing_and_is_a_mistake() -> None:
    assert problems_of('currency = "usd"\n') == ["my.toml:1: plans: is missing"]


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(CatalogueFileError, match=r"missing\.toml:1: cannot be read: No such file"):
        read_catalogue_file(tmp_path / "missing.toml")
    (tmp_path / "latin.toml").write_bytes('name = "Müller"'.encode("latin-1"))
    with pytest.raises(CatalogueFileError, match=r"latin\.toml:1: is not UTF-8 text"):
        read_catalogue_file(tmp_path / "latin.toml")


def test_every_amount_has_a_row_and_a_lookup_key_of_its_own() -> None:
    rows = price_rows(parse_catalogue(SMALL))
    assert [(row["lookup_key"], row["billing_cycle"], row["unit_amount"]) for row in rows] == [
        ("basic_monthly_usd", "monthly", 799),
        ("basic_annually_usd", "annually", 7990),
        ("basic_monthly_jpy", "monthly", 1200),
        ("basic_setup_usd", None, 500),
        ("domain-com_once_usd", None, 1299),
        ("rush_once_usd", None, 2500),
    ]


def test_mpanels_own_columns_carry_the_price_of_the_shortest_term() -> None:
    [plan, domain, _] = product_rows(parse_catalogue(SMALL))
    assert {name: plan[name] for name in ("type", "billing_cycle", "price", "setup_fee")} == {
        "type": "hosting",
        "billing_cycle": "monthly",
        "price": "7.99",
        "setup_fee": "5.00",
    }
    assert (domain["type"], domain["billing_cycle"], domain["price"]) == ("domain", None, "12.99")


def test_a_percentage_stays_exact() -> None:
    text = SMALL.replace("percent_off = 10", "percent_off = 33.33")
    assert coupon_rows(parse_catalogue(text))[0]["percent_off"] == "33.33"


def test_a_coupon_has_a_currency_if_it_is_about_a_sum() -> None:
    text = SMALL.replace("percent_off = 10", "percent_off = 10\nminimum_amount = 5000")
    assert coupon_rows(parse_catalogue(text))[0]["currency"] == "usd"
    assert coupon_rows(parse_catalogue(SMALL))[0]["currency"] is None


def test_what_costs_nothing_is_limited_in_the_shipped_file(shipped: CatalogueFile) -> None:
    free = {plan.code for plan in shipped.plans if 0 in plan.prices.values()}
    limited = {plan.code for plan in shipped.plans if plan.max_per_customer == 1}
    with_domain = {plan.code for plan in shipped.plans if plan.free_domain}
    assert free == limited == {"student"}
    assert with_domain == {"starter", "premium", "business", "wp-starter"}
    assert not any(plan.card_required for plan in shipped.plans), "the site promises it"


def test_the_shipped_prices_are_the_marketing_sites(shipped: CatalogueFile) -> None:
    amounts = {row["lookup_key"]: row["unit_amount"] for row in price_rows(shipped)}
    assert len(amounts) == len(price_rows(shipped))
    assert amounts["starter_monthly_usd"] == 799
    assert amounts["starter_triennially_usd"] == 5364
    assert amounts["addon-ssl-premium_annually_usd"] == 999
    assert "addon-ssl-premium_monthly_usd" not in amounts
    assert amounts["domain-io_once_usd"] == 3899
