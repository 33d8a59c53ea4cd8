"""The person who orders: a new buyer, or an existing customer."""

from dataclasses import dataclass
from uuid import UUID

from email_validator import EmailNotValidError, validate_email

from mpanel_billing.checkout.tax_ids import TaxId

LONGEST_EMAIL = 254

_COUNTRIES = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS
BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE
EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM
HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC
LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA
NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW
SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO
TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
"""
COUNTRIES = frozenset(_COUNTRIES.split())
"""ISO 3166-1 alpha-2."""


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address; fields left out are None. `country` is ISO 3166-1 alpha-2."""

    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    state: str | None = None
    postcode: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody is taxed; `country` is ISO 3166-1 alpha-2."""

    country: str
    state: str | None = None
    postcode: str | None = None


@dataclass(frozen=True, slots=True)
class Buyer:
    """The buyer's own details, unverified. `email` is normalised; compare it in lower case."""

    email: str
    name: str | None = None
    phone: str | None = None
    company: str | None = None
    address: Address = Address()
    tax_id: TaxId | None = None


@dataclass(frozen=True, slots=True)
class ExistingCustomer:
    """A customer on record, identified by mPanel's backend.

    The order runs on `stripe_customer_id`; None: on a new one. That becomes their principal Stripe
    customer instead of `principal` (None: they have none), unless `keeps_principal`.
    """

    id: UUID
    stripe_customer_id: str | None
    principal: str | None
    keeps_principal: bool = False

    def on_new_stripe_customer(self) -> "ExistingCustomer":
        """Return them for an order that cannot run on the Stripe customer that was chosen."""
        keeps = self.keeps_principal or self.stripe_customer_id is not None
        return ExistingCustomer(self.id, None, self.principal, keeps)


def normalise_email(text: str) -> str:
    """Return the address in normal form, with Unicode; ValueError if it is invalid."""
    try:
        return validate_email(text.strip(), check_deliverability=False).normalized
    except EmailNotValidError:
        msg = "must be an e-mail address, like ada@example.com"
        raise ValueError(msg) from None


def normalise_country(text: str) -> str:
    """Return the code in upper case; ValueError if it is invalid."""
    code = text.strip().upper()
    if code not in COUNTRIES:
        msg = "must be a country's two-letter code, like US"
        raise ValueError(msg)
    return code
