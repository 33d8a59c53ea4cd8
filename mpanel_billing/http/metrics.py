"""What is counted in this process, for /metrics.

Labels are bounded: an event type that we do not mirror counts as "other".
"""

from prometheus_client import Counter

from mpanel_billing.webhooks.envelope import MIRRORED_TYPES

WEBHOOK_EVENTS = Counter(
    "mpanel_billing_webhook_events",
    "Events that were acknowledged, by type and outcome",
    ["type", "outcome"],
)
WEBHOOKS_REFUSED = Counter(
    "mpanel_billing_webhooks_refused",
    "Webhook requests that were refused and not stored, by reason",
    ["reason"],
)


def count_event(event_type: str, outcome: str) -> None:
    """Count an event that was acknowledged."""
    known = event_type if event_type in MIRRORED_TYPES else "other"
    WEBHOOK_EVENTS.labels(known, outcome).inc()
