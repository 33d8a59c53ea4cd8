"""Why nobody was signed in, in words."""

from http import HTTPStatus

from mpanel_billing.errors import BillingError


class ProviderError(BillingError):
    """The identity provider could not be asked, or says what cannot be used."""

    status = HTTPStatus.BAD_GATEWAY
    code = "identity_provider"


class SignInRefusedError(BillingError):
    """The sign-in is over: refused, too late, not begun here, or for nobody who may enter."""

    status = HTTPStatus.FORBIDDEN
    code = "sign_in_refused"
