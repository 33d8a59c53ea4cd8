"""The one root of this service's errors, and the words by which clients know them."""

from collections.abc import Mapping
from http import HTTPStatus


class BillingError(Exception):
    """What this service raises on purpose.

    `status` is the HTTP status it becomes at the edge, `code` the machine word, the text a
    sentence for the person who reads it. The text never carries secrets, card data or full
    e-mail addresses (rule 12). `challenge` says which key would do, as WWW-Authenticate has it
    (RFC 6750, section 3).
    """

    status: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR
    code: str = "internal_error"
    challenge: str | None = None

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        fields: Mapping[str, str] | None = None,
        retry_after: int | None = None,
    ) -> None:
        """Keep `fields` (input name -> what is wrong) and `retry_after` (seconds)."""
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.fields = dict(fields) if fields else None
        self.retry_after = retry_after


class SettingsError(BillingError):
    """An environment variable is missing or malformed; the message names it."""

    code = "settings_invalid"


class MalformedRequestError(BillingError):
    """The bytes of a request cannot be read as what they should be."""

    status = HTTPStatus.BAD_REQUEST
    code = "malformed_request"


class InvalidRequestError(BillingError):
    """The request can be read, and asks for something that is not valid."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "invalid_request"


class UnauthenticatedError(BillingError):
    """The request carries no key, or one that is not ours."""

    status = HTTPStatus.UNAUTHORIZED
    code = "unauthenticated"
    challenge = 'Bearer realm="mpanel-billing"'


class NotFoundError(BillingError):
    """There is nothing by that id."""

    status = HTTPStatus.NOT_FOUND
    code = "not_found"


class ConflictError(BillingError):
    """The request contradicts another one, or the state of what it names."""

    status = HTTPStatus.CONFLICT
    code = "conflict"


class DatabaseUnavailableError(BillingError):
    """PostgreSQL cannot be reached now; asking again later works."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "database_unavailable"


class StripeError(BillingError):
    """Stripe did not do what was asked. Raised by the gateway only.

    `definite` tells whether Stripe certainly did nothing: only then may the next try use a
    new idempotency key. `stripe_code` is Stripe's word for why, where it gave one.
    """

    status = HTTPStatus.BAD_GATEWAY
    code = "stripe_error"
    definite = True
    stripe_code: str | None = None


class StripeUnavailableError(StripeError):
    """Stripe cannot be reached, is overloaded or broke; it may or may not have acted."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "stripe_unavailable"
    definite = False


class StripeBrokeError(StripeUnavailableError):
    """Stripe answered with a 5xx, and repeats that answer to the same idempotency key for a day."""


class StripeBusyError(StripeUnavailableError):
    """Another request under the same idempotency key is still running."""


class PaymentFailedError(StripeError):
    """A payment that a change needs did not go through; the change has not been made.

    The code is `card_declined` or the like, in Stripe's words, or `authentication_required` where
    only the customer himself can confirm the payment.
    """

    status = HTTPStatus.PAYMENT_REQUIRED
    code = "card_declined"


class StripeObjectMissingError(StripeError):
    """Stripe knows no object by that id (in this account and mode)."""

    code = "stripe_object_missing"
