"""Usage at Stripe: meter events."""

from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_hex

from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.sdk import stripe


@dataclass(frozen=True, slots=True)
class MeterEvent:
    """What a customer used of a meter; Stripe counts an identifier once in a day."""

    event_name: str
    customer_id: str
    value: int
    used_at: datetime
    identifier: str


async def create_meter_event(gateway: StripeGateway, event: MeterEvent) -> datetime | None:
    """Report usage; return when Stripe took it, None if it had the identifier before.

    Without a fixed idempotency key: Stripe would repeat an answer of ours that it has lost track
    of, and the identifier is enough. The key begins with it, because the API reference says that
    reports of what is not counted name the key.
    """
    async with translated():
        try:
            made = await gateway.client.v1.billing.meter_events.create_async(
                {
                    "event_name": event.event_name,
                    "payload": {
                        "stripe_customer_id": event.customer_id,
                        "value": str(event.value),
                    },
                    "identifier": event.identifier,
                    "timestamp": int(event.used_at.timestamp()),
                },
                {"idempotency_key": f"{event.identifier}/{token_hex(8)}"},
            )
        except stripe.InvalidRequestError as error:
            if _is_known(error):
                return None
            raise
    return datetime.fromtimestamp(made.created, UTC)


def _is_known(error: stripe.InvalidRequestError) -> bool:
    """Whether Stripe says that it has the identifier; its code is not documented."""
    said = f"{error.code or ''} {error.user_message or ''}".lower()
    return "identifier" in said and "already exists" in said
