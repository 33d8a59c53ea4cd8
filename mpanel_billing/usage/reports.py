"""Reads Stripe's reports of meter events that it took and does not count.

A thin event says that there is one; the rest is fetched. It names some of the meter events: those
are not billed, as if Stripe had refused them. A comparison of the sums shows the others.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.errors import StripeError
from mpanel_billing.mirror.reading import Fields
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.telemetry.quoting import quote
from mpanel_billing.usage import repository
from mpanel_billing.usage.model import DroppedEvent, UsageReport

logger = logging.getLogger(__name__)

_UUID_LENGTH = 36


async def read_reports(pool: Pool, gateway: StripeGateway, *, livemode: bool) -> int:
    """Ask Stripe for all reports that are due; return how many were read."""
    read = 0
    while True:
        async with acquired(pool) as conn:
            event_id = await repository.claim_report(conn, livemode=livemode)
        if event_id is None:
            return read
        read += await _read(pool, gateway, event_id)


async def _read(pool: Pool, gateway: StripeGateway, event_id: str) -> bool:
    try:
        event = await gateway.retrieve_thin_event(event_id)
    except StripeError as error:
        logger.warning("a report of usage is asked for later: %s", error)
        async with acquired(pool) as conn:
            await repository.retry_report(conn, event_id, str(error))
        return False
    report = report_of(event)
    logger.error(
        "Stripe does not count %d meter events: %s",
        report.dropped,
        report.detail,
        extra={"eventId": event_id},
    )
    async with transaction(pool) as conn:
        await repository.finish_report(conn, event_id, report)
    return True


def report_of(event: Mapping[str, Any]) -> UsageReport:
    """Return what a thin event reports; pure. What cannot be read of it is left out."""
    reason = Fields(event).child("data", "reason").values
    types = [each for each in _list(reason, "error_types") if isinstance(each, dict)]
    named = tuple(found for each in types for found in _named(each))
    counted = sum(_count(each) for each in types)
    codes = ", ".join(str(each.get("code") or "unknown") for each in types)
    summary = Fields(event).child("data").values.get("developer_message_summary")
    detail = quote(f"{summary or 'it does not say why'} ({codes or 'no code'})")
    return UsageReport(max(_count(reason), counted, len(named), 1), detail, named)


def _named(error_type: Mapping[str, Any]) -> Iterator[DroppedEvent]:
    for sample in _list(error_type, "sample_errors"):
        fields = Fields(sample if isinstance(sample, dict) else {})
        identifier = fields.child("request").values.get("identifier")
        with suppress(ValueError):  # not one of ours
            # by itself, or at the beginning of the idempotency key
            id_ = UUID(str(identifier)[:_UUID_LENGTH])
            said = fields.values.get("error_message") or "no message"
            yield DroppedEvent(id_, quote(f"{said} ({error_type.get('code') or 'unknown'})"))


def _list(values: Mapping[str, Any], name: str) -> Sequence[Any]:
    found = values.get(name)
    return found if isinstance(found, list) else []


def _count(values: Mapping[str, Any]) -> int:
    count = values.get("error_count")
    return count if isinstance(count, int) else 0
