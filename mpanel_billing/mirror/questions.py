"""What only Stripe can say: the requests to fetch an object, each with its reason."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mpanel_billing.mirror.facts import Facts
from mpanel_billing.mirror.snapshot import Snapshot
from mpanel_billing.mirror.types.invoice import InvoiceFacts
from mpanel_billing.mirror.types.refund import NOTHING_GIVEN, RefundFacts


def question(object_type: str, object_id: str, reason: str) -> dict[str, Any]:
    """Return the request to fetch an object."""
    return {"object_type": object_type, "object_id": object_id, "reason": reason}


def question_of_ordering(snapshot: Snapshot, stored_as_of: datetime) -> Mapping[str, Any]:
    """Return the request to ask Stripe which of a snapshot and the stored one is newer.

    `tied_at` is the latest second that either may be of: a row of a later one leaves nothing open.
    None: the object lives by a test clock, and dates do not help.
    """
    version = snapshot.version
    asked = question(
        snapshot.object_type, snapshot.object_id, "order within the second is undecided"
    )
    tied_at = None if version.test_clock else max(version.as_of, stored_as_of)
    return {**asked, "tied_at": tied_at}


def question_of_lost_order(object_id: str) -> Mapping[str, Any]:
    """Return the request for a subscription whose order is not here: its customer shows whose."""
    reason = "names an order that is not here"
    return question("subscription", object_id, reason)


def further_question(facts: Facts) -> Mapping[str, Any] | None:
    """Return the request for what an object leaves open once it is applied; None: nothing."""
    if isinstance(facts, RefundFacts):
        return _question_of_charge(facts)
    if isinstance(facts, InvoiceFacts) and not facts.lines_complete:
        reason = "has more lines than an event carries"
        return question("invoice", facts.object_id, reason)
    return None


def _question_of_charge(refund: RefundFacts) -> Mapping[str, Any] | None:
    """Return the request for the charge of a refund that failed; None for any other.

    No event that is mirrored says that what was refunded of it is less again.
    """
    if refund.status not in NOTHING_GIVEN or refund.stripe_charge_id is None:
        return None
    reason = "a refund of it failed"
    return question("charge", refund.stripe_charge_id, reason)
