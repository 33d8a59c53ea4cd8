"""Payment methods as objects: what shows of a card, a bank account or a Link wallet."""

from dataclasses import dataclass

from stripe_sandbox.bank_accounts import ROUTING_NUMBER, Instrument, TestAccount
from stripe_sandbox.cards import TestCard
from stripe_sandbox.documents import Document, ReadOnly

CHECKS = ("address_line1_check", "address_postal_code_check", "cvc_check")
SHOWN = ("brand", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4")
BANK = "STRIPE TEST BANK"
EXPIRY = (12, 2034)


@dataclass(frozen=True)
class Holder:
    """Who a payment method belongs to, and when a card expires: (month, year)."""

    name: str | None = None
    email: str | None = None
    address: ReadOnly | None = None
    expiry: tuple[int, int] = EXPIRY
    company: bool = False
    savings: bool = False


def type_of(instrument: Instrument) -> str:
    """Return the type of a payment method."""
    return "card" if isinstance(instrument, TestCard) else instrument.type


def facts_of(instrument: Instrument, holder: Holder) -> Document:
    """Return the part of a payment method that has the name of its type."""
    if isinstance(instrument, TestCard):
        return _card(instrument, holder.expiry)
    if not isinstance(instrument, TestAccount):
        return {"email": holder.email}
    shown = {"fingerprint": instrument.fingerprint, "last4": instrument.number[-4:]}
    if instrument.type == "sepa_debit":
        bank = {"bank_code": instrument.number[4:12], "country": instrument.country}
        return {**shown, **bank, "branch_code": "", "generated_from": {}}
    return {
        **shown,
        "account_holder_type": "company" if holder.company else "individual",
        "account_type": "savings" if holder.savings else "checking",
        "bank_name": BANK,
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": ROUTING_NUMBER,
        "status_details": {},
    }


def _card(card: TestCard, expiry: tuple[int, int]) -> Document:
    month, year = expiry
    failed = dict.fromkeys(card.failed_checks, "fail")
    return {
        "brand": card.brand,
        "checks": {**dict.fromkeys(CHECKS), "cvc_check": "pass", **failed},
        "country": card.country,
        "display_brand": card.brand,
        "exp_month": month,
        "exp_year": year,
        "fingerprint": card.fingerprint,
        "funding": card.funding,
        "last4": card.number[-4:],
        "networks": {"available": [card.brand], "preferred": None},
        "three_d_secure_usage": {"supported": True},
    }


def details_of(method: ReadOnly, instrument: Instrument, mandate: str | None) -> Document:
    """Return the `payment_method_details` of a charge."""
    kind = str(method["type"])
    if isinstance(instrument, TestCard):
        shown: Document = {name: method["card"][name] for name in SHOWN}
        checks = {name: "fail" if name in instrument.failed_checks else None for name in CHECKS}
        shown |= {"checks": checks, "network": instrument.brand}
    elif isinstance(instrument, TestAccount):
        hidden = (
            "financial_connections_account",
            "generated_from",
            "networks",
            "status_details",
        )
        shown = {name: one for name, one in method[kind].items() if name not in hidden}
        shown["mandate"] = mandate
    else:
        shown = {"country": instrument.country}
    return {kind: shown, "type": kind}
