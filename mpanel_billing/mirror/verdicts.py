"""What is to become of snapshots that the database alone cannot order (rules 3 and 4).

The database applies a verdict only while the row that it was given on is still the stored one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mpanel_billing.database.queries import Connection
from mpanel_billing.mirror.mirrored_type import Row
from mpanel_billing.mirror.ordering import Decision
from mpanel_billing.mirror.questions import (
    further_question,
    question_of_lost_order,
    question_of_ordering,
)
from mpanel_billing.mirror.rows import decided_row_of
from mpanel_billing.mirror.service import (
    NO_ORDER,
    ORDER_MISSING,
    OUTCOMES,
    Outcome,
    by_type,
    report_second_payment,
)
from mpanel_billing.mirror.snapshot import Snapshot
from mpanel_billing.mirror.ties import decide
from mpanel_billing.mirror.types.checkout_session import SessionFacts
from mpanel_billing.mirror.types.subscription import SubscriptionFacts


class Verdict(NamedTuple):
    """The outcome of a snapshot, and its row for the database, with what to ask Stripe."""

    outcome: Outcome
    row: Mapping[str, Any]


async def judge(
    conn: Connection, snapshots: Sequence[Snapshot], rows: Mapping[str, Row]
) -> Mapping[str, Verdict]:
    """Decide on events' snapshots of different objects against their stored rows, by Stripe id.

    A subscription whose row was deleted here gets no verdict: more has to be written of it.
    """
    decisions: dict[str, Decision] = {}
    for _, group in by_type(snapshots):
        decisions |= await decide(conn, group, rows)
    verdicts = {
        each.object_id: _verdict(each, rows.get(each.object_id), decisions[each.object_id])
        for each in snapshots
    }
    return {object_id: verdict for object_id, verdict in verdicts.items() if verdict}


def _verdict(snapshot: Snapshot, row: Row | None, decision: Decision) -> Verdict | None:
    facts = snapshot.facts
    if row is None and isinstance(facts, SessionFacts):
        return _without_effect(snapshot, row, NO_ORDER)
    if row is not None and isinstance(facts, SubscriptionFacts):
        if row["deleted_id"] is not None:
            return None
        if row["order_is_missing"]:
            question = question_of_lost_order(facts.object_id)
            return _without_effect(snapshot, row, ORDER_MISSING, question)
    if row is not None and isinstance(facts, SessionFacts):
        report_second_payment(facts, row)
    decided = decided_row_of(snapshot, row, is_newer=decision.applies)
    if asked := _question(snapshot, row, decision):
        decided["question"] = asked
    return Verdict(OUTCOMES[decision], decided)


def _question(snapshot: Snapshot, row: Row | None, decision: Decision) -> Mapping[str, Any] | None:
    """Return what to ask Stripe: which is newer, else what the snapshot leaves open."""
    if decision.needs_refetch and row is not None:
        return question_of_ordering(snapshot, row["as_of"])
    return further_question(snapshot.facts) if decision.applies else None


def _without_effect(
    snapshot: Snapshot,
    row: Row | None,
    outcome: Outcome,
    question: Mapping[str, Any] | None = None,
) -> Verdict:
    decided = decided_row_of(snapshot, row, is_newer=False)
    return Verdict(outcome, decided | ({"question": question} if question else {}))
