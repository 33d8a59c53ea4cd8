"""Apply snapshots to the mirror, in whatever order they arrive (rules 3 to 5)."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any
from uuid import UUID

from mpanel_billing.database.queries import Connection
from mpanel_billing.jobs.queue import Requests, Work, enqueue_triggers
from mpanel_billing.mirror import repository
from mpanel_billing.mirror.discounts import requests_for_coupons
from mpanel_billing.mirror.erasure import without_erased
from mpanel_billing.mirror.facts import Facts
from mpanel_billing.mirror.locks import keys_of, lock
from mpanel_billing.mirror.mirrored_type import Row
from mpanel_billing.mirror.ordering import Decision, Kind
from mpanel_billing.mirror.questions import (
    further_question,
    question,
    question_of_lost_order,
    question_of_ordering,
)
from mpanel_billing.mirror.rows import lookup_of, row_of, rows_of
from mpanel_billing.mirror.snapshot import Snapshot
from mpanel_billing.mirror.ties import decide
from mpanel_billing.mirror.types import MIRRORED
from mpanel_billing.mirror.types.checkout_session import SessionFacts
from mpanel_billing.mirror.types.credit_note import CreditNoteFacts
from mpanel_billing.mirror.types.dispute import DisputeFacts
from mpanel_billing.mirror.types.invoice_payment import InvoicePaymentFacts
from mpanel_billing.mirror.types.refund import RefundFacts
from mpanel_billing.mirror.types.subscription import SubscriptionFacts, is_lost_order

logger = logging.getLogger(__name__)

_WRITING_ORDER = tuple(each.object_type for each in MIRRORED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a snapshot; `status` is a value of stripe_events.status."""

    status: str
    reason: str | None = None


APPLIED = Outcome("applied")
STALE = Outcome("stale")
UNDECIDED = Outcome("applied", "order within the second is undecided: refetching")
DELETED_HERE = Outcome("ignored", "its row was deleted here: see billing_trouble")
ORDER_MISSING = Outcome("applied", "names an order that is not here: fetching its customer")
NO_ORDER = Outcome("ignored", "no order for this Checkout session")
OUTCOMES: Mapping[Decision, Outcome] = {
    Decision.APPLY: APPLIED,
    Decision.STALE: STALE,
    Decision.REFETCH: UNDECIDED,
    Decision.APPLY_AND_REFETCH: UNDECIDED,
}


@dataclass(slots=True)
class _Batch:
    """Snapshots of one transaction, at most one per object, and their effects."""

    snapshots: Sequence[Snapshot]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    applied: list[Snapshot] = field(default_factory=list)
    affecting_derived: list[Snapshot] = field(default_factory=list)
    undecided: list[Mapping[str, Any]] = field(default_factory=list)
    unknown_customers: list[str] = field(default_factory=list)
    deleted_here: list[dict[str, Any]] = field(default_factory=list)
    orders_missing: list[Snapshot] = field(default_factory=list)
    touched: set[UUID] = field(default_factory=set)


async def apply_snapshots(conn: Connection, snapshots: Sequence[Snapshot]) -> Mapping[str, Outcome]:
    """Apply snapshots of different objects (sessions: of different orders) in a transaction.

    Returns the outcomes by Stripe id. All effects (links, statuses, provisioning jobs, refetch
    requests) are part of the same transaction.
    """
    await lock(conn, {key for snapshot in snapshots for key in keys_of(snapshot)})
    return await apply_locked(conn, snapshots)


async def apply_locked(conn: Connection, snapshots: Sequence[Snapshot]) -> Mapping[str, Outcome]:
    """Apply snapshots as `apply_snapshots` does, once the locks of `lock_keys` are held."""
    batch = _Batch(await without_erased(conn, snapshots))
    for object_type, group in by_type(batch.snapshots):
        await _apply_group(conn, batch, object_type, group)
    if batch.deleted_here:
        await repository.note_deleted(conn, batch.deleted_here)
    work = await _derive(conn, batch)
    refetches = await _request_refetches(conn, batch)
    await enqueue_triggers(conn, work, refetches)
    return batch.outcomes


def by_type(snapshots: Sequence[Snapshot]) -> Iterable[tuple[str, list[Snapshot]]]:
    """Group snapshots by their type, in the order in which they are written."""
    ordered = sorted(snapshots, key=lambda s: _WRITING_ORDER.index(s.object_type))
    for object_type, group in groupby(ordered, key=lambda s: s.object_type):
        yield object_type, list(group)


async def _apply_group(
    conn: Connection, batch: _Batch, object_type: str, group: list[Snapshot]
) -> None:
    """Compare snapshots of one type with the stored rows, and write what is newer."""
    stored = await repository.list_stored(conn, object_type, [lookup_of(s) for s in group])
    decisions = await decide(conn, group, stored)
    newer = [s for s in group if _accept(batch, s, stored, decisions[s.object_id])]
    if newer:
        rows = rows_of(newer, stored)
        _note_written(batch, newer, await repository.write_decided(conn, object_type, rows))
        if adopted := [a for s in newer if (a := _adoption(s, stored.get(s.object_id)))]:
            await repository.adopt_orders(conn, adopted)
    if late := [row_of(s) for s in group if _is_late(s, decisions[s.object_id])]:
        await repository.observe_late(conn, late)


def _is_late(snapshot: Snapshot, decision: Decision) -> bool:
    """Whether it shows how a subscription was before: the mirror has no use for it."""
    return isinstance(snapshot.facts, SubscriptionFacts) and not decision.applies


def is_first(snapshot: Snapshot) -> bool:
    """Whether no row can be older: that of a subscription is never written before it is created."""
    is_created = snapshot.version.kind is Kind.CREATED
    return is_created and isinstance(snapshot.facts, SubscriptionFacts)


def _note_written(
    batch: _Batch, snapshots: Sequence[Snapshot], written: Mapping[str, bool]
) -> None:
    """Record the written snapshots, and which of them affect derived columns."""
    for snapshot in snapshots:
        if snapshot.object_id in written:
            batch.applied.append(snapshot)
            batch.outcomes.setdefault(snapshot.object_id, APPLIED)
            if written[snapshot.object_id]:
                batch.affecting_derived.append(snapshot)


def _accept(batch: _Batch, snapshot: Snapshot, rows: Mapping[str, Row], decision: Decision) -> bool:
    """Record the outcome of a snapshot; returns whether to write it."""
    row = rows.get(snapshot.object_id)
    if row is None and isinstance(snapshot.facts, SessionFacts):
        batch.outcomes[snapshot.object_id] = NO_ORDER
        return False
    if row is not None and isinstance(snapshot.facts, SubscriptionFacts):
        barred = _barred(batch, snapshot, snapshot.facts, row)
        if barred is not None:
            batch.outcomes[snapshot.object_id] = barred
            return False
    if decision.needs_refetch and row is not None:
        batch.undecided.append(question_of_ordering(snapshot, row["as_of"]))
    if decision.applies and (row is None or row["as_of"] is None):
        _note_unknown_customer(batch, snapshot.facts, row)
    if row is not None and isinstance(snapshot.facts, SessionFacts):
        batch.touched.add(row["subscription_id"])
        report_second_payment(snapshot.facts, row)
    batch.outcomes[snapshot.object_id] = OUTCOMES[decision]
    return decision.applies


def _barred(
    batch: _Batch, snapshot: Snapshot, facts: SubscriptionFacts, row: Row
) -> Outcome | None:
    """Return why a subscription must not get a row now; None if it may.

    Its row was deleted here, and a person has to decide; or it names an order that was lost, whose
    Stripe customer only a fetched object shows.
    """
    if row["deleted_id"] is not None:
        batch.deleted_here.append(
            {
                "deleted_id": row["deleted_id"],
                "object_id": facts.object_id,
                "stripe_status": facts.stripe_status,
                "as_of": snapshot.version.as_of,
            }
        )
        return DELETED_HERE
    if row["order_is_missing"] and facts.lost_order is None:
        if snapshot.version.event_id is not None:
            batch.orders_missing.append(snapshot)
        return ORDER_MISSING
    return None


def _adoption(snapshot: Snapshot, row: Row | None) -> dict[str, Any] | None:
    """Return what to complete of a new row that may have been here before; None: nothing."""
    facts = snapshot.facts
    if not isinstance(facts, SubscriptionFacts) or row is None or row["subscription_id"]:
        return None
    lost = facts.lost_order
    if snapshot.version.event_id is not None or lost is None:
        return None
    adopted: dict[str, Any] = {
        "stripe_subscription_id": facts.object_id,
        "order_id": facts.order_id,
        "problem": None,
        "metadata": {},
        "buyer": {},
    }
    if is_lost_order(facts, row):
        return adopted | {
            "problem": lost.problem,
            "metadata": lost.metadata,
            "buyer": lost.buyer,
        }
    if row["order_is_missing"]:
        problem = f"it names the order {facts.order_id}, but its Stripe customer does not agree"
        return adopted | {"problem": problem}
    return adopted


def report_second_payment(facts: SessionFacts, row: Row) -> None:
    """Log an order that was paid through two of its sessions; billing_trouble lists it."""
    first = row["order_stripe_subscription_id"]
    if facts.stripe_subscription_id and first not in {None, facts.stripe_subscription_id}:
        logger.warning(
            "an order was paid twice",
            extra={
                "subscriptionId": str(row["subscription_id"]),
                "sessionId": facts.object_id,
                "stripeSubscriptionId": facts.stripe_subscription_id,
            },
        )


def _note_unknown_customer(batch: _Batch, facts: Facts, row: Row | None) -> None:
    """Request the customer of a subscription created outside our checkout, if unknown here."""
    if isinstance(facts, SubscriptionFacts) and row is not None and row["customer_id"] is None:
        batch.unknown_customers.append(facts.stripe_customer_id)


async def _derive(conn: Connection, batch: _Batch) -> Work:
    """Recompute the touched subscriptions and notify waiters; return what there is to provision."""
    repaid = await _note_taken_back(conn, batch)
    stripe_ids = await _touched_subscriptions(conn, batch, repaid)
    if not stripe_ids and not batch.touched:
        return ()
    derived = await repository.derive(conn, sorted(stripe_ids), sorted(batch.touched))
    if derived.changed:
        await repository.notify(conn, derived.changed)
    return derived.work


async def _note_taken_back(conn: Connection, batch: _Batch) -> list[str]:
    """Write what refunds, disputes and credit notes have taken back of invoices; return these.

    Refunds and disputes name payments: their invoices are looked up, then locked, since other
    transactions may be writing them.
    """
    payments = _returned_payments(batch.applied)
    noted = [
        s.facts.stripe_invoice_id for s in batch.applied if isinstance(s.facts, CreditNoteFacts)
    ]
    paid = await repository.list_paid_invoices(conn, payments) if payments else []
    if paid:
        await lock(conn, (("in", id_) for id_ in paid))
    repaid = sorted({*paid, *noted})
    if repaid:
        await repository.note_taken_back(conn, repaid)
    return repaid


async def _touched_subscriptions(
    conn: Connection, batch: _Batch, repaid: Sequence[str]
) -> set[str]:
    """Return the Stripe subscriptions to recompute, all of them locked.

    Invoice payments, the `repaid` invoices, and sessions without a subscription, do not name
    theirs: it is looked up, then locked, since other transactions may be writing it.
    """
    keys = [key for snapshot in batch.affecting_derived for key in keys_of(snapshot)]
    stripe_ids = {stripe_id for kind, stripe_id in keys if kind == "sub"}
    found: list[str] = []
    if paid := [*_paid_invoices(batch.applied), *repaid]:
        found += await repository.list_invoice_subscriptions(conn, paid)
    if batch.touched:
        found += await repository.list_stripe_ids(conn, sorted(batch.touched))
    if late := set(found) - stripe_ids:
        await lock(conn, (("sub", id_) for id_ in late))
    return stripe_ids | set(found)


async def _request_refetches(conn: Connection, batch: _Batch) -> Requests:
    """Request what the snapshots leave open, and return it."""
    coupons = await requests_for_coupons(conn, batch.applied)
    # of two requests for an object, the one that is asked in any case
    requests = {each["object_id"]: each for each in (*batch.undecided, *_requests(batch), *coupons)}
    return await repository.request_refetches(conn, list(requests.values())) if requests else ()


def _paid_invoices(applied: Sequence[Snapshot]) -> list[str]:
    return [s.facts.stripe_invoice_id for s in applied if isinstance(s.facts, InvoicePaymentFacts)]


def _returned_payments(applied: Sequence[Snapshot]) -> list[str]:
    return [
        s.facts.stripe_payment_intent_id
        for s in applied
        if isinstance(s.facts, RefundFacts | DisputeFacts)
        and s.facts.stripe_payment_intent_id is not None
    ]


def _requests(batch: _Batch) -> list[Mapping[str, Any]]:
    """Return what to ask in any case, and what only the order within a second leaves open."""
    incomplete = [
        ("subscription", s.object_id, "has more items than an event carries")
        for s in batch.applied
        if isinstance(s.facts, SubscriptionFacts) and not s.facts.items_complete
    ]
    unknown_customers = [
        ("customer", id_, "unknown customer") for id_ in dict.fromkeys(batch.unknown_customers)
    ]
    asked = [
        question(object_type, id_, reason)
        for object_type, id_, reason in (*incomplete, *unknown_customers)
    ]
    further = [open_ for s in batch.applied if (open_ := further_question(s.facts))]
    lost = [question_of_lost_order(s.object_id) for s in batch.orders_missing]
    return [*asked, *lost, *further]
