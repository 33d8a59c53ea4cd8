"""Who calls: the holder of a key, or anybody.

A route that is not for everybody begins with `by = await require_scope(request, "billing")`, and
hands `by` to the service that changes something, for the audit log (access/audit.py).
"""

import logging
from http import HTTPStatus

from aiohttp import hdrs, web

from mpanel_billing.access.actor import Actor
from mpanel_billing.access.keyring import Holder, UnknownKeyError
from mpanel_billing.access.scopes import Scope
from mpanel_billing.errors import BillingError, UnauthenticatedError
from mpanel_billing.http import keys
from mpanel_billing.http.rate_limits import refuse_if_spent, spend_allowance
from mpanel_billing.telemetry.logs import REQUEST_ID

logger = logging.getLogger(__name__)

ACTOR = web.RequestKey("actor", Actor)
"""Whose key a request carries, once it has been asked for."""

_SCHEME = "bearer"
_CHALLENGE = UnauthenticatedError.challenge


class ScopeMissingError(BillingError):
    """The key is good, but not for this."""

    status = HTTPStatus.FORBIDDEN
    code = "scope_missing"

    def __init__(self, scope: Scope) -> None:
        """Name the scope that would do."""
        super().__init__(f'This key may not do that: it needs the scope "{scope}".')
        self.challenge = f'{_CHALLENGE}, error="insufficient_scope", scope="{scope}"'


async def require_scope(request: web.Request, scope: Scope) -> Actor:
    """Let a request pass whose key opens that; answer who has the key, for the audit log.

    UnauthenticatedError (401) without a key or with a wrong one, RateLimitedError (429) after too
    many wrong ones, ScopeMissingError (403), DatabaseUnavailableError (503) when the key cannot be
    looked up.
    """
    given = _bearer_key(request)
    if given is None:
        raise UnauthenticatedError('This address needs a key: "Authorization: Bearer <key>".')
    holder = await _identify(request, given)
    if not holder.may(scope):
        raise ScopeMissingError(scope)
    actor = request[ACTOR] = Actor(holder.name, holder.key_id, REQUEST_ID.get())
    return actor


async def identify_backend(request: web.Request) -> Actor | None:
    """Return mPanel's backend, where a request carries its key; None without any key.

    Raises as `require_scope` does for another key: whoever sends one means to be known.
    """
    return None if _bearer_key(request) is None else await require_scope(request, "billing")


async def _identify(request: web.Request, given: str) -> Holder:
    """Ask the key ring; wrong keys are counted by address, and too many make it deaf.

    But never to a key that was right before: nobody is shut out by others behind his address.
    """
    ring = request.app[keys.KEY_RING]
    if not ring.has_proven(given):
        await refuse_if_spent(request, "wrong_keys")
    try:
        return await ring.identify(given)
    except UnknownKeyError as error:
        logger.info("key refused: %s", error)
        await spend_allowance(request, "wrong_keys")
        raise


def _bearer_key(request: web.Request) -> str | None:
    scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return given.strip() if scheme.lower() == _SCHEME else None
