"""/api/billing/usage: what subscriptions have used."""

from mpanel_billing.errors import NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.schemas.usage import UsageRequest, UsageResponse
from mpanel_billing.usage.records import take_records

routes = Endpoints("billing")

MAX_BODY_BYTES = 512 * 1024
"""A thousand records, each with an id as long as it may be."""


@routes.endpoint(
    "POST",
    "/api/billing/usage",
    scope="billing:usage",
    most_bytes=MAX_BODY_BYTES,
    refusals={NotFoundError: ("unknown_customer",)},
)
async def post_usage(call: KeyedCall[None, None, UsageRequest]) -> UsageResponse:
    """Report usage, each record once: what is reported again is not counted again."""
    mirror, body = call.app[keys.MIRROR], call.body
    records = [record.to_record() for record in body.records]
    found = await take_records(mirror.pool, records, body.named, livemode=mirror.livemode)
    return UsageResponse.of(body.records, found)
