"""Amounts in minor units: formatting, percentages, splitting."""

from decimal import Decimal
from fractions import Fraction

from stripe_sandbox.errors import invalid

ZERO_DECIMAL = frozenset(
    [
        "bif",
        "clp",
        "djf",
        "gnf",
        "jpy",
        "kmf",
        "krw",
        "mga",
        "pyg",
        "rwf",
        "vnd",
        "vuv",
        "xaf",
        "xof",
        "xpf",
    ]
)
THREE_DECIMAL = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])
WHOLE_IN_HUNDREDTHS = frozenset(["isk", "ugx"])
"""Counted in hundredths, although they have no decimals any more."""
_CODES = (
    "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd "
    "bwp byn bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp "
    "gel gip gmd gnf gtq gyd hkd hnl hrk htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf "
    "krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn "
    "nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr "
    "sek sgd shp sle sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx uyu uzs vnd vuv "
    "wst xaf xcd xof xpf yer zar zmw"
)
CURRENCIES = tuple(_CODES.split())
"""From docs.stripe.com/currencies."""
MINIMUM_CHARGES = {
    "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250,
    "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200,
    "nok": 300, "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000, "usd": 50,
}  # fmt: skip
"""Minor units, from docs.stripe.com/currencies#minimum-and-maximum-charge-amounts."""
SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}


def format_amount(amount: int, currency: str) -> str:
    """Return an amount of minor units as pages show it: `$12.99`, `¥1,300`, `BHD 1.250`."""
    exponent = 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
    symbol = SYMBOLS.get(currency, f"{currency.upper()} ")
    sign = "-" if amount < 0 else ""
    return f"{sign}{symbol}{Decimal(abs(amount)).scaleb(-exponent):,.{exponent}f}"


def format_exact(amount: str, currency: str) -> str:
    """Return an amount of minor units that may have a fraction: `$0.0025`."""
    whole, _, fraction = amount.partition(".")
    shown = format_amount(int(whole), currency)
    if not fraction:
        return shown
    return f"{shown}{fraction}" if "." in shown else f"{shown}.{fraction}"


def minimum_charge(currency: str) -> int:
    """Return the smallest amount that can be charged, in minor units."""
    return MINIMUM_CHARGES.get(currency, 1)


def check_currency(currency: str, param: str) -> None:
    """Raise ApiError for a currency that Stripe does not support."""
    if currency not in CURRENCIES:
        supported = ", ".join(CURRENCIES)
        message = (
            f"Invalid currency: {currency}. Stripe currently supports these currencies: {supported}"
        )
        raise invalid(message, param=param)


def step_of(currency: str) -> int:
    """Return what amounts are charged in multiples of, in minor units."""
    if currency in THREE_DECIMAL:
        return 10
    return 100 if currency in WHOLE_IN_HUNDREDTHS else 1


def round_to_step(amount: Decimal | Fraction, step: int = 1) -> int:
    """Return an amount rounded to a multiple of the step, half away from zero."""
    steps = int(abs(Fraction(amount)) / step + Fraction(1, 2))
    return steps * step if amount >= 0 else -steps * step


def percent_of(amount: int, percent: float, step: int = 1) -> int:
    """Return the percentage of an amount, rounded half up to a multiple of the step."""
    return round_to_step(Decimal(amount) * Decimal(str(percent)) / 100, step)


def split_amount(total: int, weights: list[int], step: int = 1) -> list[int]:
    """Return the total split in proportion to the weights; the parts add up to it exactly.

    They are multiples of the step if the total is one.
    """
    if step > 1 and total % step == 0:
        return [steps * step for steps in split_amount(total // step, weights)]
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    shares = [total * weight // whole for weight in weights]
    remainders = [total * weight % whole for weight in weights]
    largest_first = sorted(range(len(weights)), key=lambda index: -remainders[index])
    for index in largest_first[: total - sum(shares)]:
        shares[index] += 1
    return shares


def check_amount(amount: int, currency: str) -> None:
    """Raise ApiError for an amount, in minor units, that is too small to be charged."""
    if amount < 1:
        message = "This value must be greater than or equal to 1."
        raise invalid(message, param="amount", code="parameter_invalid_integer")
    check_step(amount, currency, "amount")
    if amount < minimum_charge(currency):
        least = format_amount(minimum_charge(currency), currency)
        message = f"Amount must be at least {least} {currency}"
        raise invalid(message, param="amount", code="amount_too_small")


def check_step(amount: int | None, currency: str, param: str) -> None:
    """Raise ApiError for an amount, in minor units, that is no multiple of what can be charged."""
    step = step_of(currency)
    if amount is not None and amount % step:
        message = f"Invalid {param}: amounts in {currency} must be a multiple of {step}."
        raise invalid(message, param=param)
