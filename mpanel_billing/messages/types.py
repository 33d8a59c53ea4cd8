"""The types of messages, and what a receiver may ask for."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from mpanel_billing.errors import InvalidRequestError

ALL = "*"

TYPES: Mapping[str, str] = MappingProxyType(
    {
        "order.placed": "An order was recorded; its buyer is sent to the payment page.",
        "subscription.activated": "It is paid or on trial, and its services are ready.",
        "subscription.changed": "Plan, add-ons, term or amount changed; `before` is how it was.",
        "subscription.renewed": "A new term has begun; invoice.paid says that it is paid.",
        "subscription.past_due": "A payment for a term failed; Stripe tries again.",
        "subscription.suspended": "Its services were suspended.",
        "subscription.resumed": "It is served again, or for the first time after a suspension.",
        "subscription.cancelled": "It will end: at `cancelAt`, or with its term.",
        "subscription.kept": "A cancellation was withdrawn: it will not end.",
        "subscription.ended": "It has ended; its accounts are kept for RETENTION_DAYS.",
        "trial.ending": "Its trial ends within three days; then it is charged, unless it will end.",
        "invoice.upcoming": "A term will be charged in some days, as Stripe is set to tell.",
        "invoice.created": "An invoice was issued.",
        "invoice.paid": "An invoice was paid, or had nothing to pay.",
        "invoice.failed": "An attempt to collect an invoice failed.",
        "refund.created": "A refund was made.",
        "refund.succeeded": "The money was given back.",
        "refund.failed": "The money could not be given back.",
        "credit_note.created": "A credit note was issued.",
        "credit_note.voided": "A credit note was voided.",
        "dispute.created": "A customer's bank disputes a payment, or asks about it (`warning_`).",
        "dispute.escalated": "The bank that had asked takes the money.",
        "dispute.answered": "Evidence was submitted; the bank decides.",
        "dispute.won": "The money is ours: it was won, or the inquiry is closed.",
        "dispute.lost": "The money is lost.",
        "card.expiring": "The card that pays for a subscription expires within 30 days.",
        "usage.threshold_reached": "The usage of a term reached what the catalogue names.",
        "usage.limit_reached": "The usage of a term reached its limit; `action` is what follows.",
        "price.changing": "The price of something that it has changes with a renewal to come.",
        "tax.starting": "Taxes will be added to its prices, from the end of a notice on.",
        "domain.expiring": "A domain expires within a month, and again: within a week.",
        "domain.expired": "A domain has expired: it was not renewed.",
        "domain.verification_needed": "A buyer has to prove that a domain is theirs: `proof`.",
        "domain.verified": "It is proven; its tenant gets the name.",
        "domain.verification_expired": "No proof was seen in time; one is still accepted.",
        "tenant.ready": "All services of a tenant are there.",
        "tenant.changed": "The resources of a service changed.",
        "tenant.suspended": "The tenant was suspended.",
        "tenant.resumed": "The tenant is active again.",
        "tenant.terminated": "All services were terminated; their data is gone.",
    }
)
"""Each type and when it is sent. A type keeps its meaning; its payload only gains fields."""

PAYLOAD_VERSION = 1
"""`version` of each payload: it grows if a field is removed or changes its meaning."""


def read_types(texts: Iterable[str]) -> list[str]:
    """Return what a receiver asks for: types, `invoice.*`, or `*` for all; InvalidRequestError."""
    wanted = sorted({text.strip() for text in texts} - {""}) or [ALL]
    groups = {f"{type_.partition('.')[0]}.*" for type_ in TYPES}
    for text in wanted:
        if text not in {*TYPES, *groups, ALL}:
            raise InvalidRequestError(
                f"{text!r} is not a type of message. There are: {', '.join(TYPES)};"
                f" {', '.join(sorted(groups))}; and * for all."
            )
    return wanted
