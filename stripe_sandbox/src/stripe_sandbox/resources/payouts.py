"""`/v1/payouts` and `/v1/topups`: kept and announced; they move no money of the balance."""

from stripe.params import (
    PayoutCreateParams,
    PayoutListParams,
    PayoutRetrieveParams,
    PayoutUpdateParams,
    TopupCreateParams,
    TopupListParams,
    TopupRetrieveParams,
    TopupUpdateParams,
)

from stripe_sandbox.billing.periods import DAY
from stripe_sandbox.documents import Document
from stripe_sandbox.money import check_amount, check_currency
from stripe_sandbox.operations import Call
from stripe_sandbox.resources.records import Records
from stripe_sandbox.supported import supports

DAYS = 2
"""Until a payout arrives, or a top-up is there."""


def _payout_fields(call: Call) -> Document:
    check_currency(call.get("currency"), "currency")
    check_amount(call.get("amount"), call.get("currency"))
    return {
        "arrival_date": call.world.now() + DAYS * DAY,
        "automatic": False,
        "method": call.get("method", "standard"),
        "reconciliation_status": "not_applicable",
        "source_type": "card",
        "status": "pending",
        "type": "bank_account",
    }


def _topup_fields(call: Call) -> Document:
    check_currency(call.get("currency"), "currency")
    check_amount(call.get("amount"), call.get("currency"))
    return {
        "expected_availability_date": call.world.now() + DAYS * DAY,
        "initiated_by": "user",
        "status": "pending",
    }


PAYOUTS = Records("payout", "/payouts", "po", _payout_fields, announces=True)
TOPUPS = Records("topup", "/topups", "tu", _topup_fields, announces=True)
SAID = supports("amount", "currency", "description", "metadata", "statement_descriptor")

OPERATIONS = (
    PAYOUTS.creating(PayoutCreateParams, supports("method", base=SAID)),
    PAYOUTS.updating(PayoutUpdateParams, supports("metadata")),
    *PAYOUTS.reading(PayoutRetrieveParams, PayoutListParams, supports("created", "status")),
    TOPUPS.creating(TopupCreateParams, supports("transfer_group", base=SAID)),
    TOPUPS.updating(TopupUpdateParams, supports("description", "metadata")),
    *TOPUPS.reading(TopupRetrieveParams, TopupListParams, supports("created", "status")),
)
