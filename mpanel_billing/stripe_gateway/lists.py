"""Pages of Stripe's lists, as they come: for whoever walks through all of them.

The SDK's objects are left out: making them of a hundred subscriptions takes longer than Stripe
takes to answer.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway, read_date

PAGE = 100
"""The most that Stripe lists at once."""

MOST_TYPES = 20
"""How many types of events Stripe takes in one question."""

_PATHS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "customer": ("/v1/customers", {}),
    "subscription": ("/v1/subscriptions", {"status": "all"}),
    "invoice": ("/v1/invoices", {}),
    "invoice_payment": ("/v1/invoice_payments", {"status": "paid"}),
    "refund": ("/v1/refunds", {}),
    "event": ("/v1/events", {}),
}
"""Where each kind is listed; the payments of invoices as far as events tell of them."""


@dataclass(frozen=True, slots=True)
class Page:
    """Objects as Stripe listed them, read at some moment from `since` to `as_of`, by its clock."""

    objects: Sequence[Mapping[str, Any]]
    has_more: bool
    since: datetime
    as_of: datetime


async def list_page(gateway: StripeGateway, object_type: str, params: Mapping[str, Any]) -> Page:
    """Return a page of a list, newest first; `params` are Stripe's (created, starting_after, ...).

    StripeObjectMissingError when `starting_after` names what is no longer there.
    """
    path, always = _PATHS[object_type]
    started = time.monotonic()
    async with translated():
        answer = await gateway.client.raw_request_async(
            "get", path, **{"limit": PAGE, **always, **params}
        )
    took = math.ceil(time.monotonic() - started)
    as_of = read_date(answer.headers)
    content = cast("Mapping[str, Any]", answer.data)
    return Page(content["data"], content["has_more"], as_of - timedelta(seconds=took), as_of)
