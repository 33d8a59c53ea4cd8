"""Times before now, as Stripe has them."""

from datetime import UTC, datetime, timedelta
from typing import Any

DAY = timedelta(days=1)


def unix(moment: datetime) -> int:
    return int(moment.timestamp())


def ago(days: float) -> int:
    return unix(datetime.now(UTC) - days * DAY)


def finalized(at: int) -> dict[str, Any]:
    return {"created": at, "status_transitions": {"finalized_at": at, "paid_at": None}}
