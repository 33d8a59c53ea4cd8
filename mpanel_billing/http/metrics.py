"""What the web process counts of Stripe's events."""

import time
from datetime import datetime

from mpanel_billing.telemetry import counters
from mpanel_billing.webhooks.event import MIRRORED_TYPES


def count_event(event_type: str, outcome: str) -> None:
    """Count an event that was acknowledged; types that we do not mirror count as one."""
    known = event_type if event_type in MIRRORED_TYPES else counters.OTHER
    counters.event_counter(known, outcome).inc()


def observe_age(created: datetime | None) -> None:
    """Note how old an event is as it comes; Stripe's clock has whole seconds, and may be ahead."""
    if created is not None:
        counters.EVENT_AGE.observe(max(0.0, time.time() - created.timestamp()))
