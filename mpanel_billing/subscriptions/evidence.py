"""The evidence for a dispute, written from our records: a pure function.

Source: docs.stripe.com/disputes/reason-codes-defense-requirements; Stripe takes at most 20,000
characters in a field.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

MOST = 20_000
"""Characters of a field."""

EvidenceField = Literal[
    "access_activity_log",
    "billing_address",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "uncategorized_text",
]
"""Stripe's names of the texts that fit what we sell. Files are added in Stripe's Dashboard."""


def evidence_of(record: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields that our records can fill, from a row of `get_evidence`."""
    fields = {
        "customer_name": record["customer_name"],
        "customer_email_address": record["email"],
        "billing_address": record["address"],
        "product_description": _product(record),
        "service_date": _term(record),
        "access_activity_log": _served(record["served"] or ()),
        "uncategorized_text": _others(record["other_charges"] or ()),
    }
    return {name: text[:MOST] for name, text in fields.items() if text}


def _product(record: Mapping[str, Any]) -> str | None:
    if record["plan"] is None:
        return None
    domain = f" for {record['domain']}" if record["domain"] else ""
    return (
        f"Web hosting, plan {record['plan']}{domain}, billed {record['billing_cycle']} in advance."
        f" Ordered on {_day(record['ordered_at'])}; the payment is for invoice"
        f" {record['stripe_number']}."
    )


def _term(record: Mapping[str, Any]) -> str | None:
    start, end = record["period_start"], record["period_end"]
    return f"{_day(start)} to {_day(end)}" if start and end else None


def _served(lines: Sequence[Mapping[str, Any]]) -> str | None:
    """Say what was done for the customer, and when (UTC)."""
    told = [f"{one['at'][:19]} {one['action']} {one['service'] or ''}".rstrip() for one in lines]
    return "\n".join(["What was done with the customer's accounts (UTC):", *told]) if told else None


def _others(charges: Sequence[Mapping[str, Any]]) -> str | None:
    told = [
        f"{one['at'][:10]} {one['charge']}: {one['amount']} {one['currency']} (minor units)"
        for one in charges
    ]
    return "\n".join(["Other payments of the same customer:", *told]) if told else None


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
