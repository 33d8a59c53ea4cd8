"""Disputes: what is on record, evidence for the bank, and what they do to the subscription."""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import asyncpg

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.errors import BillingError, ConflictError, NotFoundError
from mpanel_billing.jobs.queue import enqueue_triggers
from mpanel_billing.mirror import repository as mirrored
from mpanel_billing.mirror.locks import lock
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.disputes import get_evidence, send_evidence
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.evidence import evidence_of
from mpanel_billing.subscriptions.lifecycle import ChangeRequest, cancel
from mpanel_billing.subscriptions.lookup import CustomerRef, require_customer
from mpanel_billing.subscriptions.repository.disputes import Wanted
from mpanel_billing.subscriptions.requested_changes import in_progress
from mpanel_billing.subscriptions.stripe_requests import CALLS_OF_A_CHANGE

logger = logging.getLogger(__name__)

_ANSWERABLE = frozenset({"needs_response", "warning_needs_response", "appeal_needs_response"})
_MOST_ENDED = 100
_BUSY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence of a dispute as it is at Stripe now; `submitted`: the bank has it."""

    fields: Mapping[str, str]
    submitted: bool


async def list_disputes(pool: Pool, wanted: Wanted, *, livemode: bool) -> Sequence[asyncpg.Record]:
    """Return the latest disputes; with `only_open` those to be answered, the most urgent first."""
    async with acquired(pool) as conn:
        return await repository.disputes.list_disputes(conn, wanted, livemode=livemode)


async def list_disputes_of(
    mirror: Mirror, named: CustomerRef, wanted: Wanted
) -> Sequence[asyncpg.Record]:
    """Return the disputes of a customer, or, if none is named, of all; NotFoundError."""
    async with acquired(mirror.pool) as conn:
        if not named.is_empty:
            wanted = replace(wanted, customer_id=await require_customer(conn, named))
        return await repository.disputes.list_disputes(conn, wanted, livemode=mirror.livemode)


async def list_latest(
    mirror: Mirror,
    named: CustomerRef,
    most: int,
    *,
    only_open: bool = False,
    after: str | None = None,
) -> Sequence[asyncpg.Record]:
    """Return disputes of `list_disputes_of` after one; with `only_open` those to be answered."""
    wanted = Wanted(only_open=only_open, after=after, most=most)
    return await list_disputes_of(mirror, named, wanted)


async def get_dispute(mirror: Mirror, dispute_id: str, named: CustomerRef) -> asyncpg.Record:
    """Return a dispute; NotFoundError for an unknown one, or another customer's."""
    rows = await list_disputes_of(mirror, named, Wanted(dispute_id))
    if not rows:
        raise NotFoundError("Dispute not found.", code="unknown_dispute")
    return rows[0]


async def give_evidence(
    mirror: Mirror, dispute_id: str, given: Mapping[str, str], by: Actor, *, submit: bool
) -> Evidence:
    """Stage what our records say, and what is `given` instead, at Stripe; `submit` sends it on.

    What was staged before stays, unless it is given again: empty, it is left out. What the bank has
    already is not sent again. ConflictError for a dispute that takes no evidence, because Stripe
    takes it once, and while another request writes its evidence; NotFoundError, StripeError.
    """
    await mirror.refresh("dispute", dispute_id)
    async with acquired(mirror.pool) as conn:
        record = await repository.disputes.get_evidence(conn, dispute_id, livemode=mirror.livemode)
    if record is None:
        raise NotFoundError("Dispute not found.", code="unknown_dispute")
    async with _claimed(mirror, dispute_id):
        staged = await get_evidence(mirror.stripe, dispute_id)
        if submit and staged.submissions > 0 and _has(staged.texts, given):
            return Evidence(staged.texts, submitted=True)
        if staged.status not in _ANSWERABLE or staged.submissions > 0:
            raise ConflictError(
                f"This dispute takes no more evidence: it is {staged.status}.",
                code="evidence_not_taken",
            )
        fields = {**evidence_of(dict(record)), **staged.texts, **given}
        sent = {name: text for name, text in fields.items() if text or name in staged.texts}
        await _send(mirror, dispute_id, sent, by, submit=submit)
    return Evidence({name: text for name, text in fields.items() if text}, submit)


def _has(texts: Mapping[str, str], given: Mapping[str, str]) -> bool:
    """Return whether these are the texts that are given; an empty one is not there."""
    return all(texts.get(name, "") == text for name, text in given.items())


async def read_evidence(mirror: Mirror, dispute_id: str) -> Evidence:
    """Return what `give_evidence` would stage: our records, and what is at Stripe instead.

    NotFoundError, StripeError.
    """
    async with acquired(mirror.pool) as conn:
        record = await repository.disputes.get_evidence(conn, dispute_id, livemode=mirror.livemode)
    if record is None:
        raise NotFoundError("Dispute not found.", code="unknown_dispute")
    staged = await get_evidence(mirror.stripe, dispute_id)
    fields = {**evidence_of(dict(record)), **staged.texts}
    return Evidence(fields, submitted=staged.submissions > 0)


@asynccontextmanager
async def _claimed(mirror: Mirror, dispute_id: str) -> AsyncIterator[None]:
    """Have the evidence of a dispute alone: what is staged is read, and written back with more."""
    seconds = CALLS_OF_A_CHANGE * mirror.stripe.longest_call_seconds
    async with acquired(mirror.pool) as conn:
        claim = await repository.disputes.claim_evidence(conn, dispute_id, seconds)
    if claim is None:
        raise in_progress(_BUSY_SECONDS)
    try:
        yield
    finally:
        async with acquired(mirror.pool) as conn:
            await repository.disputes.release_evidence(conn, dispute_id, claim)


async def _send(
    mirror: Mirror, dispute_id: str, fields: Mapping[str, str], by: Actor, *, submit: bool
) -> None:
    action = "dispute.submit" if submit else "dispute.stage"
    target = Target("dispute", dispute_id)
    async with audit.attempt(mirror.pool, by, action, target) as entry:
        entry.note(fields=sorted(fields))
        # staged again after something else, it is sent again; submitted twice, Stripe refuses it
        key = f"evidence-{dispute_id}-{entry.id}"
        await send_evidence(mirror.stripe, dispute_id, fields, submit=submit, key=key)
    await mirror.refresh("dispute", dispute_id)


async def waive(pool: Pool, dispute_id: str, reason: str, by: Actor) -> None:
    """Let a subscription go on despite a dispute; NotFoundError if none waits for that."""
    async with transaction(pool) as conn:
        intent = await repository.disputes.waive_dispute(conn, dispute_id, by.name, reason)
        if intent is None:
            raise NotFoundError("Dispute not found, or waived already.", code="unknown_dispute")
        await audit.record(
            conn, by, "dispute.waive", Target("dispute", dispute_id), {"reason": reason}
        )
        invoices = await mirrored.list_paid_invoices(conn, [intent])
        await lock(conn, (("in", id_) for id_ in invoices))
        await mirrored.note_taken_back(conn, invoices)
        subscriptions = await mirrored.list_invoice_subscriptions(conn, invoices)
        await lock(conn, (("sub", id_) for id_ in subscriptions))
        derived = await mirrored.derive(conn, subscriptions, [])
        await enqueue_triggers(conn, derived.work, ())


async def end_disputed(mirror: Mirror) -> int:
    """Cancel what goes on although a bank has taken its money, once for each dispute."""
    async with acquired(mirror.pool) as conn:
        due = await repository.disputes.list_disputed_to_end(
            conn, livemode=mirror.livemode, most=_MOST_ENDED
        )
    ended = 0
    for subscription_id, dispute_id in due:
        key = f"dispute-{dispute_id}"
        request = ChangeRequest(Actor("worker"), subscription_id, CustomerRef(), key)
        try:
            await cancel(mirror, request, at_period_end=False, reason=f"dispute {dispute_id}")
        except BillingError as error:
            fields: dict[str, Any] = {"disputeId": dispute_id}
            logger.warning("disputed, and not cancelled yet: %s", error, extra=fields)
        else:
            ended += 1
    return ended
