"""Amounts in integer minor units with their currency, and their display.

The units are Stripe's: most currencies have two decimals, some none, some three, and a few have
none that Stripe still counts in hundredths.
Source: docs.stripe.com/currencies, sections "Zero-decimal", "Three-decimal", "Special cases".
"""

from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

_ZERO_DECIMAL = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf"
ZERO_DECIMAL = frozenset(_ZERO_DECIMAL.split())
"""100 JPY is `100`."""

THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
"""1 KWD is `1000`; Stripe only accepts amounts ending in 0."""

WHOLE_UNITS_IN_HUNDREDTHS = frozenset({"isk", "ugx"})
"""5 ISK is `500`; Stripe only accepts multiples of 100."""

_STRIPE_CURRENCIES = """
aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn
bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd
gnf gtq gyd hkd hnl htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak
lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd
omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std
szl thb tjs tnd top try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xcg xof xpf yer
zar zmw
"""
STRIPE_CURRENCIES = frozenset(_STRIPE_CURRENCIES.split())
"""The currencies that Stripe can charge: ISO 4217 codes in Stripe's lower case."""

LARGEST_AMOUNT = 99_999_999
"""Stripe's limit for an amount: eight digits of minor units."""

LARGEST_IN_MPANEL = Decimal("99999999.99")
"""What mPanel's decimal columns can hold."""

_HUNDREDTH = Decimal("0.01")

SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥", "cad": "CA$", "aud": "A$"}


def decimals_of(currency: str) -> int:
    """Return the decimals of Stripe's minor unit of `currency` (ISO code, any case)."""
    code = currency.lower()
    if code in ZERO_DECIMAL:
        return 0
    return 3 if code in THREE_DECIMAL else 2


def smallest_step(currency: str) -> int:
    """Return the minor units that every amount in `currency` must be a multiple of."""
    code = currency.lower()
    if code in THREE_DECIMAL:
        return 10
    return 100 if code in WHOLE_UNITS_IN_HUNDREDTHS else 1


@lru_cache(maxsize=4096)  # few prices, formatted often
def to_decimal(minor: int, currency: str) -> Decimal:
    """Return minor units as exact major units: 1299 USD is 12.99 (rule 9).

    The result has the currency's decimals: 500 JPY is `500`, 1250 KWD is `1.250`.
    """
    digits = tuple(int(digit) for digit in str(abs(minor)))
    return Decimal((int(minor < 0), digits, -decimals_of(currency)))


def to_hundredths(minor: int, currency: str) -> Decimal:
    """Return minor units as major units with two decimals, as mPanel's columns have them.

    Only currencies with three decimals are rounded, half up, as PostgreSQL does. Amounts that add
    up are to be rounded before they are added or subtracted.
    """
    return to_decimal(minor, currency).quantize(_HUNDREDTH, ROUND_HALF_UP)


def round_to_step(amount: Decimal, currency: str) -> int:
    """Round minor units to an amount that Stripe can charge in `currency`, half up."""
    step = smallest_step(currency)
    return int((amount / step).to_integral_value(ROUND_HALF_UP)) * step


def floor_to_step(amount: int, currency: str) -> int:
    """Round minor units down to an amount that Stripe can charge in `currency`."""
    return amount - amount % smallest_step(currency)


def format_money(minor: int, currency: str) -> str:
    """Format minor units for display: `$12.99`, `¥1,500`, `1.250 KWD`."""
    number = f"{abs(to_decimal(minor, currency)):,f}"
    sign = "-" if minor < 0 else ""
    symbol = SYMBOLS.get(currency.lower())
    return f"{sign}{symbol}{number}" if symbol else f"{sign}{number} {currency.upper()}"
