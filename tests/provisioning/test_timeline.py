"""What a timeline says of an event: amounts, reasons, and the state as it was then."""

from datetime import UTC, datetime
from typing import Any

import pytest

from mpanel_billing.provisioning.timeline import read_entry

AT = datetime(2026, 11, 27, tzinfo=UTC)
END = 1_798_329_600  # 2026-12-27


@pytest.mark.parametrize(
    ("state", "detail"),
    [
        (None, "applied"),
        ({}, "applied"),
        ({"status": "active", "period_end": END}, "applied; active; term to 2026-12-27"),
        (
            {
                "status": "open", "currency": "usd", "amount_due": 799, "amount_paid": 0,
                "attempt_count": 2, "next_payment_attempt": END,
            },
            "applied; open; paid $0.00 of $7.99; attempts: 2; next on 2026-12-27",
        ),
        (
            {
                "status": "active", "cancel_at_period_end": True, "cancel_at": END,
                "cancellation": "cancellation_requested", "feedback": "too_expensive",
            },
            "applied; active; ends on 2026-12-27; reason: cancellation_requested, too_expensive",
        ),
        ({"status": "complete", "payment_status": "paid"}, "applied; complete, paid"),
        (
            {"currency": "jpy", "amounts": {"": 500, "refunded": 0, "to the balance": 500}},
            "applied; ¥500; to the balance ¥500",
        ),
        ({"comment": "no season"}, "applied; reason: no season"),
    ],
)  # fmt: skip
def test_an_event_tells_the_state_that_it_brought(
    state: dict[str, Any] | None, detail: str
) -> None:
    row = {"at": AT, "kind": "event", "what": "x", "detail": "applied", "state": state}
    assert read_entry(row).detail == detail
