"""The buyer is charged what the page promised."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from itertools import chain, combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpanel_billing.catalogue.cycles import BILLING_CYCLES
from mpanel_billing.catalogue.file import parse_catalogue
from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.catalogue.order import DomainMode, Order, OrderedDomain, PricedOrder
from mpanel_billing.catalogue.pricing import price_order
from mpanel_billing.catalogue.schema import CatalogueFile
from mpanel_billing.errors import InvalidRequestError
from mpanel_billing.resources import DEFAULT_CATALOGUE

# The marketing site's price list in US cents: monthly, annually, biennially, triennially.
CYCLES = ("monthly", "annually", "biennially", "triennially")
PLANS: dict[str, tuple[int | None, ...]] = {
    "student": (0, 0, 0, 0),
    "starter": (799, 2988, 4776, 5364),
    "premium": (899, 4188, 7176, 8964),
    "business": (999, 5988, 10776, 14364),
    "wp-starter": (1195, 10740, 19080, 25020),
    "mail-basic": (150, 1440, None, None),
    "storage-personal": (495, 4740, None, None),
}
ADDONS: dict[str, tuple[int | None, ...]] = {
    "addon-ssl-premium": (None, 999, 1998, 2997),
    "addon-backups-daily": (499, 5988, 11976, 17964),
    "addon-priority-support": (1999, 23988, 47976, 71964),
    "addon-storage-100gb": (799, 9588, 19176, 28764),
    "addon-cdn-basic": (599, 7188, 14376, 21564),
    "addon-monitoring": (399, 4788, 9576, 14364),
}
DOMAINS = {"com": 1299, "net": 1499, "org": 1399, "io": 3899}
TRIAL_DAYS = {"starter": 14}
FREE_DOMAIN = {"starter", "premium", "business", "wp-starter"}
NOT_ASKED_FOR = {"existing", "subdomain", "later"}


def domain(name: str, mode: DomainMode = "new-or-transfer") -> OrderedDomain:
    return OrderedDomain(mode, name, name)


def order(plan: str = "starter", cycle: str = "monthly", **more: object) -> Order:
    return Order(plan, cycle, **{"currency": "usd", **more})  # type: ignore[arg-type]


def refusal(catalogue: Catalogue, wanted: Order) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        price_order(catalogue, wanted)
    return caught.value


ADDON_SETS: list[tuple[str, ...]] = [
    (),
    *((code,) for code in ADDONS),
    ("addon-backups-daily", "addon-cdn-basic"),
    tuple(ADDONS),
]
COUPONS = [None, "WELCOME10"]
DOMAIN_SETS: list[tuple[OrderedDomain, ...]] = [
    (),
    (domain("ada.com"),),
    (domain("ada.io", "register"),),
    (domain("ada.org", "transfer"), domain("ada.net")),
    (domain("ada.com", "existing"), domain("ada.net")),
    (domain("ada.example.com", "subdomain"),),
    (domain("", "later"), domain("ada.com"), domain("ada.net")),
]


@pytest.mark.parametrize("position", range(len(CYCLES)), ids=CYCLES)
@pytest.mark.parametrize("plan", PLANS)
def test_every_order_costs_what_the_price_list_says(
    catalogue: Catalogue, plan: str, position: int
) -> None:
    trials = {False, plan in TRIAL_DAYS}
    for trial, addons, domains, coupon in product(trials, ADDON_SETS, DOMAIN_SETS, COUPONS):
        wanted = Order(plan, CYCLES[position], "usd", trial, addons, domains, coupon)
        recurring = [PLANS[plan][position], *(ADDONS[code][position] for code in addons)]
        if plan == "student" and not NOT_ASKED_FOR.issuperset(one.mode for one in domains):
            assert refusal(catalogue, wanted).code == "domain_not_included"
            continue
        if None in recurring:
            assert refusal(catalogue, wanted).code == "cycle_not_sold"
            continue
        priced = price_order(catalogue, wanted)
        term = sum(amount or 0 for amount in recurring)
        subtotal = term + price_of_domains(domains, free_first=position > 0 and plan in FREE_DOMAIN)
        discount = (subtotal + 5) // 10 if coupon else 0
        total = subtotal - discount
        assert priced.recurring_total == term
        assert (priced.subtotal, priced.discount) == (subtotal, discount)
        assert (priced.due_today, priced.due_after_trial) == ((0, total) if trial else (total, 0))
        assert priced.trial_days == (TRIAL_DAYS[plan] if trial else 0)


def price_of_domains(domains: tuple[OrderedDomain, ...], *, free_first: bool) -> int:
    return sum(
        DOMAINS[each.ascii.rpartition(".")[2]]
        for position, each in enumerate(domains)
        if each.mode in {"new-or-transfer", "register", "transfer"}
        and not (free_first and position == 0)
    )


def test_a_starter_trial_with_everything_is_free_today_and_billed_whole_after_it(
    catalogue: Catalogue,
) -> None:
    priced = price_order(
        catalogue,
        order(
            trial=True,
            addon_codes=("addon-backups-daily",),
            domains=(OrderedDomain("new-or-transfer", "xn--bcher-kva.com", "bücher.com"),),
            coupon_code="welcome10 ",
        ),
    )
    assert [(line.code, line.amount, line.recurring, line.when) for line in priced.lines] == [
        ("starter", 799, True, "after_trial"),
        ("addon-backups-daily", 499, True, "after_trial"),
        ("domain-com", 1299, False, "after_trial"),
    ]
    assert priced.lines[-1].name == ".com domain, one year: bücher.com"
    assert priced.lines[-1].domain == "xn--bcher-kva.com"
    assert (priced.subtotal, priced.discount) == (2597, 260)
    assert (priced.due_today, priced.due_after_trial) == (0, 2337)
    assert priced.recurring_total == 1298
    assert priced.product_types == ("hosting", "backup")
    assert priced.coupon is not None
    assert priced.coupon.code == "WELCOME10"


def test_the_first_domain_is_free_from_twelve_months_and_further_ones_are_charged(
    catalogue: Catalogue,
) -> None:
    domains = (domain("ada.io"), domain("ada.com"), domain("ada.io"), domain("ada.com"))
    monthly = price_order(catalogue, order(domains=domains))
    yearly = price_order(catalogue, order(cycle="annually", domains=domains))
    assert [line.domain for line in monthly.lines] == [None, "ada.io", "ada.com"]
    assert monthly.free_domain is None
    assert [line.domain for line in yearly.lines] == [None, "ada.com"]
    assert yearly.free_domain == "ada.io"
    assert {line.when for line in yearly.lines} == {"at_checkout"}


@pytest.mark.parametrize("cycle", CYCLES)
@pytest.mark.parametrize("mode", ["new-or-transfer", "register", "transfer"])
def test_with_a_plan_of_price_0_no_domain_is_registered_and_the_sentence_says_what_to_choose(
    catalogue: Catalogue, cycle: str, mode: DomainMode
) -> None:
    later = OrderedDomain("later", "", "")
    error = refusal(catalogue, order("student", cycle, domains=(later, domain("ada.io", mode))))
    assert (error.status, error.code) == (422, "domain_not_included")
    assert error.message == (
        "Student does not include the registration or transfer of a domain. Please choose one "
        "later, or use one that you already have; or order one of the plans with a domain: "
        "Starter, Premium, Business, WP Starter."
    )
    own = price_order(catalogue, order("student", cycle, domains=(domain("ada.io", "existing"),)))
    assert (own.total, own.free_domain) == (0, None)


def test_a_plan_without_a_free_domain_charges_the_first_one(catalogue: Catalogue) -> None:
    priced = price_order(catalogue, order("mail-basic", "annually", domains=(domain("ada.io"),)))
    assert (priced.total, priced.free_domain) == (1440 + 3899, None)


def coupon_of(line: str) -> CatalogueFile:
    """Return the shipped file with another line for its coupon."""
    text = DEFAULT_CATALOGUE.read_text()
    return parse_catalogue(text.replace("percent_off = 10", f"percent_off = 10\n{line}"))


def test_a_coupon_for_products_comes_off_their_lines_only(
    make_catalogue: Callable[[CatalogueFile], Catalogue],
) -> None:
    catalogue = make_catalogue(coupon_of('products = ["premium", "addon-cdn-basic"]'))
    wanted = order(
        addon_codes=("addon-cdn-basic",), domains=(domain("ada.com"),), coupon_code="WELCOME10"
    )
    priced = price_order(catalogue, wanted)
    assert (priced.subtotal, priced.discount) == (799 + 599 + 1299, 60)
    error = refusal(catalogue, order(coupon_code="WELCOME10"))
    assert (error.status, error.code) == (422, "coupon_not_for_order")
    assert error.message == ('The coupon "WELCOME10" is only valid for: Premium, Global CDN.')


def test_a_coupon_for_products_leaves_out_what_stripe_bills_without_a_product(
    make_catalogue: Callable[[CatalogueFile], Catalogue],
) -> None:
    text = DEFAULT_CATALOGUE.read_text()
    text = text.replace("trial_days = 14", "trial_days = 14\nsetup_fee = 2500")
    text = text.replace("percent_off = 10", 'percent_off = 10\nproducts = ["starter"]')
    catalogue = make_catalogue(parse_catalogue(text))
    now, later = (
        price_order(catalogue, order(trial=trial, coupon_code="WELCOME10"))
        for trial in (False, True)
    )
    assert (now.subtotal, now.discount) == (3299, 330)
    assert (later.subtotal, later.discount) == (3299, 80)


def test_a_coupon_with_a_minimum_takes_an_order_of_that_sum_in_its_currency(
    make_catalogue: Callable[[CatalogueFile], Catalogue],
) -> None:
    catalogue = make_catalogue(coupon_of("minimum_amount = 2988"))
    enough = price_order(catalogue, order(cycle="annually", coupon_code="WELCOME10"))
    assert enough.discount == 299
    error = refusal(catalogue, order(coupon_code="WELCOME10"))
    assert (error.status, error.code) == (422, "coupon_below_minimum")
    assert error.message == 'The coupon "WELCOME10" is only valid for orders of $29.88 or more.'
    assert refusal(catalogue, order(currency="eur", coupon_code="WELCOME10")).code == (
        "coupon_not_in_currency"
    )


def test_what_a_plan_and_its_add_ons_provision_is_listed_once_plan_first(
    catalogue: Catalogue,
) -> None:
    wanted = order("premium", addon_codes=("addon-storage-100gb", "addon-cdn-basic"))
    assert price_order(catalogue, wanted).product_types == ("hosting", "email", "storage", "cdn")
    again = order("storage-personal", addon_codes=("addon-storage-100gb",) * 2)
    priced = price_order(catalogue, again)
    assert priced.product_types == ("storage",)
    assert priced.subtotal == 495 + 799


@pytest.mark.parametrize(
    ("wanted", "code", "field", "sentence"),
    [
        (
            order("gold"),
            "unknown_plan",
            "planId",
            'Unknown plan "gold". Available: student, starter, premium, business, wp-starter',
        ),
        (order("addon-cdn-basic"), "unknown_plan", "planId", 'Unknown plan "addon-cdn-basic"'),
        (
            order(addon_codes=("addon-cdn-basic", "addon-gold")),
            "unknown_addon",
            "addonIds",
            'Unknown add-on "addon-gold"',
        ),
        (
            order(coupon_code="WELCOME90"),
            "unknown_coupon",
            "couponCode",
            'The coupon "WELCOME90" is not valid.',
        ),
        (
            order("premium", trial=True),
            "trial_not_offered",
            "trialActive",
            "Premium has no free trial.",
        ),
        (
            order("mail-basic", "biennially"),
            "cycle_not_sold",
            "billingCycle",
            "MigraMail Basic is not available biennially. Available: monthly, annually.",
        ),
        (
            order(addon_codes=("addon-ssl-premium",)),
            "cycle_not_sold",
            "billingCycle",
            "Premium SSL Certificate is not available monthly. Available: annually, biennially",
        ),
        (
            order(currency="eur"),
            "currency_not_sold",
            "currency",
            "Starter is not available in EUR.",
        ),
        (
            order(domains=(domain("ada.dev"),)),
            "unknown_tld",
            "domain.value",
            "ada.dev: we do not sell .dev domains. Available: .com, .net, .org, .io.",
        ),
        (
            order(cycle="annually", domains=(domain("ada.dev"),)),
            "unknown_tld",
            "domain.value",
            ".dev",
        ),
        (
            order(domains=(domain("www.ada.com"),)),
            "unknown_tld",
            "domain.value",
            ".ada.com domains",
        ),
        (order("x" * 5000), "unknown_plan", "planId", 'Unknown plan "' + "x" * 60 + '..."'),
    ],
)
def test_what_is_not_sold_is_refused_with_a_sentence_that_names_it(
    catalogue: Catalogue, wanted: Order, code: str, field: str, sentence: str
) -> None:
    error = refusal(catalogue, wanted)
    assert error.status == 422
    assert error.code == code
    assert set(error.fields or {}) == {field}
    assert sentence in error.message


def test_the_error_does_not_reveal_which_coupons_exist(catalogue: Catalogue) -> None:
    error = refusal(catalogue, order(coupon_code="?"))
    assert "WELCOME" not in error.message + str(error.fields)


@pytest.mark.parametrize(
    ("setup", "coupon", "subtotal", "discount"),
    [
        ("setup_fee = 2500", "percent_off = 10", 3299, 330),
        ("setup_fee = 0", "percent_off = 33.33", 799, 266),
        ("setup_fee = 0", "percent_off = 100", 799, 799),
        ("setup_fee = 0", "amount_off = 500", 799, 500),
        ("setup_fee = 0", "amount_off = 5000", 799, 799),
    ],
)
def test_a_coupon_comes_off_everything_and_never_makes_us_pay(
    make_catalogue: Callable[[CatalogueFile], Catalogue],
    setup: str,
    coupon: str,
    subtotal: int,
    discount: int,
) -> None:
    text = DEFAULT_CATALOGUE.read_text().replace("trial_days = 14", f"trial_days = 14\n{setup}")
    text = text.replace("percent_off = 10", coupon)
    priced = price_order(make_catalogue(parse_catalogue(text)), order(coupon_code="WELCOME10"))
    assert (priced.subtotal, priced.discount) == (subtotal, discount)
    assert priced.due_today == subtotal - discount


def test_a_setup_fee_is_charged_once_and_waits_for_the_end_of_a_trial(
    make_catalogue: Callable[[CatalogueFile], Catalogue],
) -> None:
    text = DEFAULT_CATALOGUE.read_text()
    text = text.replace("trial_days = 14", "trial_days = 14\nsetup_fee = 2500")
    priced = price_order(make_catalogue(parse_catalogue(text)), order(trial=True))
    fee = priced.lines[-1]
    assert (fee.code, fee.kind, fee.name, fee.amount) == ("starter", "fee", "Starter: setup", 2500)
    assert (fee.recurring, fee.when) == (False, "after_trial")
    assert (priced.due_today, priced.due_after_trial, priced.recurring_total) == (0, 3299, 799)


def test_other_currencies_have_prices_and_rounding_of_their_own(
    make_catalogue: Callable[[CatalogueFile], Catalogue],
) -> None:
    text = DEFAULT_CATALOGUE.read_text()
    text = text.replace(
        "trial_days = 14",
        "trial_days = 14\nprices_in = { jpy = { monthly = 1205 }, isk = { monthly = 99500 } }",
    )
    catalogue = make_catalogue(parse_catalogue(text))
    yen = price_order(catalogue, order(currency="jpy", coupon_code="WELCOME10"))
    assert (yen.subtotal, yen.discount) == (1205, 121)
    krona = price_order(catalogue, order(currency="isk", coupon_code="WELCOME10"))
    assert (krona.subtotal, krona.discount) == (99500, 10000), "Stripe charges whole kronas"
    assert refusal(catalogue, order(currency="jpy", domains=(domain("a.com"),))).code == (
        "currency_not_sold"
    )


def test_an_amount_off_holds_in_its_own_currency_only(
    make_catalogue: Callable[[CatalogueFile], Catalogue],
) -> None:
    text = DEFAULT_CATALOGUE.read_text().replace("percent_off = 10", "amount_off = 500")
    text = text.replace("trial_days = 14", "prices_in = { eur = { monthly = 749 } }")
    catalogue = make_catalogue(parse_catalogue(text))
    error = refusal(catalogue, order(currency="eur", coupon_code="WELCOME10"))
    assert (error.code, error.fields) == (
        "coupon_not_in_currency",
        {"couponCode": "only valid in USD"},
    )


ORDERS = st.builds(
    Order,
    plan_code=st.sampled_from(sorted(PLANS)),
    billing_cycle=st.sampled_from(list(BILLING_CYCLES)),
    currency=st.just("usd"),
    trial=st.booleans(),
    addon_codes=st.lists(st.sampled_from(sorted(ADDONS)), max_size=4).map(tuple),
    domains=st.lists(
        st.builds(
            OrderedDomain,
            mode=st.sampled_from(
                ["new-or-transfer", "register", "transfer", "existing", "subdomain"]
            ),
            ascii=(name := st.sampled_from(["a.com", "b.io", "c.net", "d.org"])),
            unicode=name,
        ),
        max_size=4,
    ).map(tuple),
    coupon_code=st.sampled_from([None, "WELCOME10"]),
)


@given(ORDERS)
def test_the_sums_of_any_order_agree_with_its_lines(catalogue: Catalogue, wanted: Order) -> None:
    if is_sold(wanted):
        assert_consistent(price_order(catalogue, wanted), wanted)
    else:
        assert refusal(catalogue, wanted).code in {
            "cycle_not_sold",
            "domain_not_included",
            "trial_not_offered",
        }


def is_sold(wanted: Order) -> bool:
    """Return whether an order can be placed, by the price list."""
    if wanted.billing_cycle not in CYCLES or (wanted.trial and wanted.plan_code not in TRIAL_DAYS):
        return False
    if wanted.plan_code == "student" and not NOT_ASKED_FOR.issuperset(
        domain.mode for domain in wanted.domains
    ):
        return False
    position = CYCLES.index(wanted.billing_cycle)
    amounts = [PLANS[wanted.plan_code], *(ADDONS[code] for code in wanted.addon_codes)]
    return all(amount[position] is not None for amount in amounts)


def assert_consistent(priced: PricedOrder, wanted: Order) -> None:
    assert priced.due_today + priced.due_after_trial == priced.subtotal - priced.discount
    assert 0 in {priced.due_today, priced.due_after_trial}
    assert 0 <= priced.discount <= priced.subtotal
    assert priced.recurring_total <= priced.subtotal
    assert {line.price.currency for line in priced.lines} == {wanted.currency}
    assert all(line.recurring == (line.price.billing_cycle is not None) for line in priced.lines)
    assert {line.when for line in priced.lines} == {
        "after_trial" if wanted.trial else "at_checkout"
    }
    keys = [(line.code, line.domain, line.kind) for line in priced.lines]
    assert len(keys) == len(set(keys)), "the same thing is charged once"
    assert [line.code for line in priced.lines if line.kind == "plan"] == [wanted.plan_code]
    exact = Decimal(priced.subtotal) / 10 if wanted.coupon_code else Decimal(0)
    assert abs(priced.discount - exact) <= Decimal("0.5")


@given(ORDERS.filter(is_sold), st.data())
def test_naming_things_twice_or_in_another_order_does_not_change_the_sum(
    catalogue: Catalogue, wanted: Order, data: st.DataObject
) -> None:
    shuffled = replace(
        wanted,
        addon_codes=tuple(data.draw(st.permutations(wanted.addon_codes * 2))),
        domains=wanted.domains * 2,
    )
    expected, priced = price_order(catalogue, wanted), price_order(catalogue, shuffled)
    assert (priced.total, priced.recurring_total) == (expected.total, expected.recurring_total)


def test_combinations_of_add_ons_cost_the_sum_of_the_add_ons(catalogue: Catalogue) -> None:
    codes = list(ADDONS)
    subsets = chain.from_iterable(combinations(codes, size) for size in range(len(codes) + 1))
    for subset in subsets:
        priced = price_order(catalogue, order(cycle="annually", addon_codes=subset))
        assert priced.total == 2988 + sum(ADDONS[code][1] or 0 for code in subset)
