"""Checks a request's key against the scope that its endpoint declares."""

import logging
import re
from http import HTTPStatus

from aiohttp import hdrs, web

from mpanel_billing.access.audit import Actor
from mpanel_billing.access.ceilings import count_call
from mpanel_billing.access.key import Scope
from mpanel_billing.access.keyring import Holder, UnknownKeyError
from mpanel_billing.errors import BillingError, MalformedRequestError, UnauthenticatedError
from mpanel_billing.http import keys
from mpanel_billing.http.client_address import address_name, address_of
from mpanel_billing.http.rate_limits import refuse_if_spent, spend_allowance
from mpanel_billing.telemetry.logs import REQUEST_ID, redact

logger = logging.getLogger(__name__)

ACTOR = web.RequestKey("actor", Actor)
"""The holder of the request's key as the audit log names it, once it has been checked."""

HOLDER = web.RequestKey("holder", Holder)
"""The holder of the request's key, with its scopes."""

PERSON_HEADER = "X-Actor"
PERSON = r"[A-Za-z0-9._:@+-]{1,100}"

_SCHEME = "bearer"
_CHALLENGE = UnauthenticatedError.challenge


class ScopeMissingError(BillingError):
    """The key is valid, but lacks the scope."""

    status = HTTPStatus.FORBIDDEN
    code = "scope_missing"

    def __init__(self, scope: Scope, advice: str = "") -> None:
        """Name the missing scope, after a sentence of advice."""
        super().__init__(f'{advice}This key lacks the scope "{scope}".')
        self.challenge = f'{_CHALLENGE}, error="insufficient_scope", scope="{scope}"'


class NetworkRefusedError(BillingError):
    """The key is valid, but may not be used from the client's address."""

    status = HTTPStatus.FORBIDDEN
    code = "network_refused"


class OwnerMissingError(ScopeMissingError):
    """The request names no customer, and its key is not for any."""

    def __init__(self) -> None:
        """Say how to name one."""
        super().__init__(
            "billing:any-customer", "Please name the customer, by customerId or userId. "
        )


async def require_scope(request: web.Request, scope: Scope) -> Actor:
    """Return the holder of the request's key, for the audit log.

    MalformedRequestError (400) for a malformed X-Actor, UnauthenticatedError (401) without a valid
    key, RateLimitedError or TooManyCallsError (429), NetworkRefusedError or ScopeMissingError
    (403), DatabaseUnavailableError (503) if the key cannot be looked up.
    """
    given = _bearer_key(request)
    if given is None:
        raise UnauthenticatedError('An API key is required: "Authorization: Bearer <key>".')
    person = read_person(request)
    holder = request[HOLDER] = await identify_key(request, given)
    await admit(request, holder)
    if not holder.may(scope):
        raise ScopeMissingError(scope)
    actor = request[ACTOR] = Actor(holder.name, holder.key_id, REQUEST_ID.get(), person)
    return actor


async def identify(request: web.Request, scope: Scope) -> Actor | None:
    """Like `require_scope`, but return None for a request without a key."""
    if _bearer_key(request) is not None:
        return await require_scope(request, scope)
    read_person(request)
    return None


async def admit(request: web.Request, holder: Holder) -> None:
    """Count a call of a key; NetworkRefusedError, TooManyCallsError."""
    if not holder.may_come_from(address_of(request)):
        client = address_name(request)
        logger.warning(
            "%s was used from outside its networks", holder.name, extra={"client": client}
        )
        raise NetworkRefusedError("This key may not be used from your address.")
    if holder.key_id and holder.counts_calls:
        await count_call(request.app[keys.POOL], holder.key_id)


async def identify_key(request: web.Request, given: str) -> Holder:
    """Look the key up, unless too many wrong ones have come from the client's address.

    A key that was valid before is always looked up, so that one client behind an address cannot
    lock out the others.
    """
    ring = request.app[keys.KEY_RING]
    if not ring.has_proven(given):
        await refuse_if_spent(request, "wrong_keys")
    try:
        return await ring.identify(given)
    except UnknownKeyError as error:
        logger.info("key refused: %s", error, extra={"client": address_name(request)})
        await spend_allowance(request, "wrong_keys")
        raise


def read_person(request: web.Request) -> str | None:
    """Return who acts behind the key (X-Actor), without the rest of an e-mail address."""
    given = request.headers.get(PERSON_HEADER)
    if given is None:
        return None
    if not re.fullmatch(PERSON, given):
        raise MalformedRequestError(
            f"{PERSON_HEADER} must be 1 to 100 letters, digits and . _ : @ + - characters."
        )
    return redact(given)


def _bearer_key(request: web.Request) -> str | None:
    scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return given.strip() if scheme.lower() == _SCHEME else None
