"""Events made ready for the database: each with the row of its snapshot, serialized on arrival."""

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from mpanel_billing.database.pool import encode_json
from mpanel_billing.mirror.locks import lock_keys
from mpanel_billing.mirror.questions import further_question
from mpanel_billing.mirror.repository import GROUPS
from mpanel_billing.mirror.rows import first_row_of
from mpanel_billing.mirror.service import APPLIED, Outcome, is_first
from mpanel_billing.mirror.snapshot import Snapshot
from mpanel_billing.mirror.types.invoice import InvoiceFacts
from mpanel_billing.mirror.types.subscription import SubscriptionFacts
from mpanel_billing.webhooks.event import Event

_RENEWALS, _BILLS = "renewals", "bills"
"""The parameters that take subscriptions which may have renewed, and invoices of renewals."""


class PreparedEvent(NamedTuple):
    """An event with the row of its snapshot, serialized for the database.

    Rows are serialized on arrival, while the database writes the previous batch; between two
    batches the database would have to wait for it. `outcome` is what it has if it is applied;
    `becomes_row`: the stored row then is its snapshot, with its dates.
    """

    event: Event
    object_id: str
    group: str
    keys: Sequence[str]
    row: orjson.Fragment
    outcome: Outcome = APPLIED
    becomes_row: bool = True


def prepare_event(event: Event) -> PreparedEvent | None:
    """Prepare an event of a mirrored object; None if there is no such row to write."""
    snapshot = event.snapshot
    if snapshot is None or snapshot.object_type not in GROUPS:
        return None
    row = first_row_of(snapshot)
    if question := further_question(snapshot.facts):
        row["question"] = question
    if snapshot.version.test_clock:
        row["undated"] = True
    try:
        encoded = encode_json(row)
    except orjson.JSONEncodeError:
        return None  # an amount beyond 64 bits: the full path keeps the event with its error
    return PreparedEvent(
        event,
        snapshot.object_id,
        _group_of(snapshot),
        lock_keys([snapshot]),
        orjson.Fragment(encoded),
    )


def _group_of(snapshot: Snapshot) -> str:
    facts = snapshot.facts
    if snapshot.version.test_clock:
        return GROUPS[snapshot.object_type]
    if isinstance(facts, InvoiceFacts):
        return _BILLS if facts.lines_complete else GROUPS[snapshot.object_type]
    if isinstance(facts, SubscriptionFacts) and not is_first(snapshot):
        return _RENEWALS if facts.items_complete and not facts.discounts else "subscriptions"
    return GROUPS[snapshot.object_type]
