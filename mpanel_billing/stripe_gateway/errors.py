"""Translates Stripe's errors into ours."""

import math
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp

from mpanel_billing.errors import (
    NoCardError,
    PaymentFailedError,
    StripeBrokeError,
    StripeBusyError,
    StripeError,
    StripeObjectMissingError,
    StripeUnavailableError,
    SubscriptionScheduledError,
)
from mpanel_billing.stripe_gateway.budget import within_budget
from mpanel_billing.stripe_gateway.sdk import stripe

_DEFAULT_RETRY_AFTER_SECONDS = 10
_LONGEST_RETRY_AFTER_SECONDS = 600
_BAD_REQUEST = 400
_CONFLICT = 409
_SERVER_ERROR = 500
_ACTION_REQUIRED = ("requires_action", "authentication_required")
_NOTHING_TO_CHARGE = "missing"
"""Stripe's code if a customer has no card."""

_SCHEDULED = re.compile(
    r"(?:managed by the subscription schedule|already attached to a schedule"
    r"|attached to the subscription schedule)\W+(sub_sched_\w+)"
)
"""Stripe gives this refusal no code: only its sentence says why, and which schedule it is."""


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Translate what the SDK or its transport raises into StripeError and its subclasses.

    StripeUnavailableError, also when the request has waited too long (`StripeBudget`): Stripe may
    or may not have acted; retry with the same idempotency key.
    StripeObjectMissingError: an id is unknown. PaymentFailedError: a card was declined.
    SubscriptionScheduledError: a subscription schedule manages the subscription.
    StripeError: Stripe refused the request and did nothing.
    """
    try:
        async with within_budget():
            yield
    except stripe.RateLimitError as error:
        raise _unavailable(_retry_after(error.headers)) from error
    except (stripe.APIConnectionError, aiohttp.ClientError, TimeoutError) as error:
        raise _unavailable(_DEFAULT_RETRY_AFTER_SECONDS) from error
    except stripe.StripeError as error:
        raise _refused(error) from error


def _refused(error: stripe.StripeError) -> StripeError:
    if error.code == "resource_missing":
        missing = StripeObjectMissingError(_describe(error))
        missing.param = getattr(error, "param", None)
        return missing
    status = error.http_status
    if status is not None and status >= _SERVER_ERROR:
        return _unavailable(_retry_after(error.headers), StripeBrokeError)
    if status == _CONFLICT:  # the SDK leaves the code (idempotency_key_in_use) out of these
        return _unavailable(_retry_after(error.headers), StripeBusyError)
    if status is None or status < _BAD_REQUEST:  # a success whose body cannot be read
        return _unavailable(_retry_after(error.headers))
    if isinstance(error, stripe.CardError):
        return _payment_failed(error)
    schedule = _SCHEDULED.search(error.user_message or "")
    refused = _scheduled(schedule[1]) if schedule else _plain(error)
    refused.stripe_code = error.code
    return refused


def _plain(error: stripe.StripeError) -> StripeError:
    return StripeError(_describe(error), code=_code_of(error))


def _scheduled(schedule_id: str) -> SubscriptionScheduledError:
    return SubscriptionScheduledError(
        f"The subscription schedule {schedule_id} at Stripe manages this subscription, and was not "
        "made here. Nothing was changed; release the schedule in Stripe's Dashboard, or make the "
        "change there."
    )


def _payment_failed(error: stripe.CardError) -> PaymentFailedError:
    """Say what the customer can do; Stripe's own message is for developers."""
    if (error.code or "").endswith(_ACTION_REQUIRED):
        return PaymentFailedError(
            "The bank requires the customer to confirm this payment. Nothing was changed.",
            code="authentication_required",
        )
    if error.code == _NOTHING_TO_CHARGE:
        return NoCardError()
    return PaymentFailedError(
        "The payment was declined. Nothing was changed; please try again with another card.",
        code=error.code,
    )


def _unavailable(
    retry_after: int, kind: type[StripeUnavailableError] = StripeUnavailableError
) -> StripeUnavailableError:
    return kind(
        "The payment service is temporarily unavailable; please try again in a moment.",
        retry_after=retry_after,
    )


def _code_of(error: stripe.StripeError) -> str:
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return "stripe_key_refused"
    if isinstance(error, stripe.IdempotencyError):
        return "stripe_idempotency_mismatch"
    return "stripe_refused"


def _describe(error: stripe.StripeError) -> str:
    """Name code, param and request id only: Stripe's message may quote what was sent."""
    param = getattr(error, "param", None)
    parts = [
        f"Stripe refused the request (HTTP {error.http_status}",
        f"code {error.code}" if error.code else type(error).__name__,
        *([f"param {param}"] if param else []),
        *([f"request {error.request_id}"] if error.request_id else []),
    ]
    return ", ".join(parts) + ")."


def _retry_after(headers: Mapping[str, str] | None) -> int:
    text = next((v for k, v in (headers or {}).items() if k.lower() == "retry-after"), "")
    try:
        seconds = float(text)
    except ValueError:
        return _DEFAULT_RETRY_AFTER_SECONDS
    if not math.isfinite(seconds):
        return _DEFAULT_RETRY_AFTER_SECONDS
    return max(1, min(math.ceil(seconds), _LONGEST_RETRY_AFTER_SECONDS))
