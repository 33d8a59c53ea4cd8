"""The pages of one of Stripe's lists, from a slice's cursor to its end."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from mpanel_billing.errors import StripeObjectMissingError
from mpanel_billing.reconciliation.slices import Slice
from mpanel_billing.stripe_gateway.gateway import Page, Resource, StripeGateway


async def pages(
    stripe: StripeGateway, resource: Resource, part: Slice, params: Mapping[str, Any]
) -> AsyncGenerator[Page]:
    """Yield pages, newest first; the next is asked for while one is looked at.

    `params` are Stripe's, beside those of the slice. At least one page comes, maybe an empty one.
    """
    asking = asyncio.create_task(_list(stripe, resource, part, params))
    try:
        while (page := await asking).has_more:
            part = part.at(page.objects[-1]["id"], page.objects[-1]["created"])
            asking = asyncio.create_task(_list(stripe, resource, part, params))
            yield page
        yield page
    finally:
        await _give_up(asking)


async def _give_up(asking: "asyncio.Task[Page]") -> None:
    """Let go of a question whose answer nobody waits for any longer."""
    asking.cancel()
    await asyncio.wait({asking})
    if not asking.cancelled():
        asking.exception()


async def _list(
    stripe: StripeGateway, resource: Resource, part: Slice, params: Mapping[str, Any]
) -> Page:
    """Return the page after the slice's cursor.

    When that object is gone since, what was made before it follows; some are then seen twice.
    """
    cursor = {"starting_after": part.cursor_id} if part.cursor_id else {}
    try:
        return await stripe.list_page(
            resource, {**params, **_created(part.created_from, part.created_before), **cursor}
        )
    except StripeObjectMissingError:
        before = None if part.cursor_created is None else part.cursor_created + 1
        return await stripe.list_page(resource, {**params, **_created(part.created_from, before)})


def _created(low: int | None, high: int | None) -> dict[str, Any]:
    bounds = {name: bound for name, bound in (("gte", low), ("lt", high)) if bound is not None}
    return {"created": bounds} if bounds else {}
