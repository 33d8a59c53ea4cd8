"""Nobody finds coupons by trying codes: those that are not valid are counted for each client."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mpanel_billing.errors import BillingError
from mpanel_billing.http.endpoint import Call
from mpanel_billing.http.rate_limits import refuse_if_spent, spend_allowance

_WRONG = frozenset({"coupon_used", "coupon_used_up", "unknown_coupon"})


@asynccontextmanager
async def counting_codes(call: Call[Any, Any, Any], code: str | None) -> AsyncIterator[None]:
    """Count a coupon code that turns out not to be valid, unless mPanel's backend has sent it.

    RateLimitedError, and no code is looked at, once there were too many of the client's address.
    """
    if code is None or call.actor is not None:
        yield
        return
    await refuse_if_spent(call.request, "wrong_codes")
    try:
        yield
    except BillingError as error:
        if error.code in _WRONG:
            await spend_allowance(call.request, "wrong_codes")
        raise
