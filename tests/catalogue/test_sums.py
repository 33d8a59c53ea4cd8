"""Whatever is ordered in a currency, and whatever a coupon takes off: every sum can be charged."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from mpanel_billing import money
from mpanel_billing.catalogue.file import parse_catalogue
from mpanel_billing.catalogue.from_file import catalogue_of
from mpanel_billing.catalogue.order import Order, OrderedDomain
from mpanel_billing.catalogue.pricing import price_order

CURRENCIES = st.sampled_from(sorted(money.STRIPE_CURRENCIES - {"usd"}))
STEPS = st.integers(1, 9_999)
NAMES = ("ada.com", "grace.com")

SOLD = """\
currency = "usd"
[[plans]]
code = "plan"
name = "Plan"
description = "A plan."
category = "hosting"
product_types = ["hosting"]
trial_days = 14
max_quantity = 9
prices = {{ monthly = 100 }}
prices_in = {{ {currency} = {{ monthly = {plan} }} }}
setup_fee = 10
setup_fee_in = {{ {currency} = {fee} }}
[[domains]]
tld = "com"
name = "Domain"
description = "A year."
price = 100
price_in = {{ {currency} = {domain} }}
[[coupons]]
code = "OFF"
name = "Off"
{off}
"""


@st.composite
def shops(draw: st.DrawFn) -> tuple[str, str]:
    """Draw a shop that sells in a further currency, and that currency."""
    currency = draw(CURRENCIES)
    step = money.smallest_step(currency)
    plan, fee, domain, less = (draw(STEPS) * step for _ in range(4))
    off = draw(
        st.one_of(
            st.integers(1, 10_000).map(lambda hundredths: f"percent_off = {hundredths / 100}"),
            st.just(f"amount_off = 10\namount_off_in = {{ {currency} = {less} }}"),
        )
    )
    return SOLD.format(currency=currency, plan=plan, fee=fee, domain=domain, off=off), currency


@given(shop=shops(), quantity=st.integers(1, 9), trial=st.booleans(), domains=st.integers(0, 2))
def test_every_sum_of_an_order_can_be_charged_and_they_add_up(
    shop: tuple[str, str], quantity: int, trial: bool, domains: int
) -> None:
    text, currency = shop
    names = tuple(OrderedDomain("register", name, name) for name in NAMES[:domains])
    wanted = Order(
        "plan", "monthly", currency, trial=trial, domains=names, coupon_code="OFF",
        quantities={"plan": quantity},
    )  # fmt: skip
    priced = price_order(catalogue_of(parse_catalogue(text), datetime.now(UTC)), wanted)
    nets = [one.net for one in priced.domains]
    sums = [*(line.amount for line in priced.lines), priced.discount, priced.total, *nets]
    assert {amount % money.smallest_step(currency) for amount in sums} == {0}
    assert sum(line.amount for line in priced.lines) - priced.discount == priced.total >= 0
    assert priced.due_today + priced.due_after_trial == priced.total
    for one in priced.domains:
        assert 0 <= one.net <= one.first_year
    assert sum(one.first_year - one.net for one in priced.domains) <= priced.discount
