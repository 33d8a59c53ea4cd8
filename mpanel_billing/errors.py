"""The errors of this service, the codes that clients match on, and how fields are named."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus


class BillingError(Exception):
    """The root of all errors that this service raises deliberately.

    `status` is the HTTP status of the response, `code` a stable word for programs, the message a
    sentence for people, without secrets, card data or full e-mail addresses (rule 12).
    `challenge` is the value of WWW-Authenticate (RFC 6750, section 3).
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
        """Take `fields` (input name -> what is wrong) and `retry_after` (seconds)."""
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.fields = dict(fields) if fields else None
        self.retry_after = retry_after

    def add(self, sentence: str) -> None:
        """Say more than is said already."""
        self.message = f"{self.message} {sentence}"
        self.args = (self.message,)


class SettingsError(BillingError):
    """An environment variable is missing or malformed; the message names it."""

    code = "settings_invalid"


class MalformedRequestError(BillingError):
    """The body, a header or an id in the address cannot be parsed."""

    status = HTTPStatus.BAD_REQUEST
    code = "malformed_request"


class InvalidRequestError(BillingError):
    """The request can be parsed but asks for something invalid."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "invalid_request"


class UnauthenticatedError(BillingError):
    """The request carries no key, or an invalid one."""

    status = HTTPStatus.UNAUTHORIZED
    code = "unauthenticated"
    challenge = 'Bearer realm="mpanel-billing"'


class NotFoundError(BillingError):
    """Nothing has that id."""

    status = HTTPStatus.NOT_FOUND
    code = "not_found"


class ConflictError(BillingError):
    """The request conflicts with another one, or with the state of its target."""

    status = HTTPStatus.CONFLICT
    code = "conflict"


class DatabaseUnavailableError(BillingError):
    """PostgreSQL is unavailable now; retrying later works."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "database_unavailable"


class ServiceUnreachableError(BillingError):
    """A service with accounts could not be asked; nothing was changed."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "service_unreachable"


class StripeError(BillingError):
    """A request to Stripe failed.

    Raised by the gateway only. `definite` is whether Stripe certainly did nothing: only then may
    a retry use a new idempotency key. `stripe_code` is Stripe's error code, if there is one.
    """

    status = HTTPStatus.BAD_GATEWAY
    code = "stripe_error"
    definite = True
    stripe_code: str | None = None


class StripeUnavailableError(StripeError):
    """Stripe is unreachable, overloaded or failing; it may or may not have acted."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "stripe_unavailable"
    definite = False


class StripeBrokeError(StripeUnavailableError):
    """Stripe returned a 5xx, and repeats it for the same idempotency key for a day."""


class StripeBusyError(StripeUnavailableError):
    """Another request with the same idempotency key is still running."""


class PaymentFailedError(StripeError):
    """A payment that a change requires failed; the change was not made.

    The code is Stripe's, such as `card_declined`, or `authentication_required` if the customer
    must confirm the payment.
    """

    status = HTTPStatus.PAYMENT_REQUIRED
    code = "card_declined"


class NoCardError(PaymentFailedError):
    """There is nothing to charge: neither Stripe nor a subscription has a card for it."""

    code = "no_card"

    def __init__(self) -> None:
        """Say who can help."""
        super().__init__("There is no card to charge. Nothing was changed; please add one first.")


class SubscriptionScheduledError(StripeError):
    """Stripe refused a change because a subscription schedule manages the subscription.

    The message names the schedule (`sub_sched_...`) and says what to do.
    """

    status = HTTPStatus.CONFLICT
    code = "subscription_scheduled"


class StripeObjectUnreadableError(StripeError):
    """Stripe returned an object that this version of the service cannot read."""

    code = "stripe_object_unreadable"
    definite = False


class StripeObjectMissingError(StripeError):
    """Stripe has no object with that id (in this account and mode).

    `param` is the param of the request that named it; None: the address did.
    """

    code = "stripe_object_missing"
    param: str | None = None


def field_name(path: Iterable[int | str]) -> str:
    """Return the name of a field, as errors show it: `cartItems[2].domain`, counting from 0.

    pydantic adds `[key]` to the path of a key that is wrong itself.
    """
    names = [part for part in path if part != "[key]"]
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in names)
    return text.removeprefix(".")
