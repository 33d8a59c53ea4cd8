"""`/v1/country_specs`: in which countries an account can be, and its currency there.

Which fields verify an account, and where money can be sent, is made up: the same for all countries.
"""

from collections.abc import Mapping

from stripe.params import CountrySpecListParams, CountrySpecRetrieveParams

from stripe_sandbox import shapes
from stripe_sandbox.documents import Document
from stripe_sandbox.errors import no_such
from stripe_sandbox.money import CURRENCIES
from stripe_sandbox.operations import Call, Listing, Operation

KIND = "country_spec"
EURO = ("AT", "BE", "BG", "CY", "DE", "EE", "ES", "FI", "FR", "GR", "HR", "IE", "IT", "LT", "LU",
        "LV", "MT", "NL", "PT", "SI", "SK")  # fmt: skip
CURRENCY_OF: Mapping[str, str] = {
    **dict.fromkeys(EURO, "eur"),
    "AE": "aed", "AU": "aud", "BR": "brl", "CA": "cad", "CH": "chf", "CZ": "czk", "DK": "dkk",
    "GB": "gbp", "HK": "hkd", "HU": "huf", "IN": "inr", "JP": "jpy", "LI": "chf", "MX": "mxn",
    "MY": "myr", "NO": "nok", "NZ": "nzd", "PL": "pln", "RO": "ron", "SE": "sek", "SG": "sgd",
    "TH": "thb", "US": "usd",
}  # fmt: skip
"""The countries of stripe.com/global, with the currency of each."""

FIELDS = {
    "company": {"additional": [], "minimum": ["business_profile.url", "company.name"]},
    "individual": {"additional": [], "minimum": ["business_profile.url", "individual.last_name"]},
}


def spec_of(country: str) -> Document:
    """Return what Stripe supports in a country."""
    currency = CURRENCY_OF[country]
    sharing = [one for one, other in sorted(CURRENCY_OF.items()) if other == currency]
    return shapes.complete(
        {
            "id": country,
            "object": KIND,
            "default_currency": currency,
            "supported_bank_account_currencies": {currency: sharing},
            "supported_payment_currencies": list(CURRENCIES),
            "supported_payment_methods": ["ach", "card", "stripe"],
            "supported_transfer_countries": sorted(CURRENCY_OF),
            "verification_fields": FIELDS,
        }
    )


def list_specs(_: Call) -> Listing:
    """List the countries."""
    return Listing([spec_of(country) for country in sorted(CURRENCY_OF)])


def fetch(call: Call) -> Document:
    """Return a country by its code of two letters."""
    if call.id not in CURRENCY_OF:
        raise no_such("country", call.id)
    return spec_of(call.id)


OPERATIONS = (
    Operation("GET", "/country_specs", CountrySpecListParams, list_specs),
    Operation("GET", "/country_specs/{id}", CountrySpecRetrieveParams, fetch),
)
