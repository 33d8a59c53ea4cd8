"""What a key may give to another one: no more than it has itself."""

from collections.abc import Sequence
from http import HTTPStatus

from mpanel_billing.access import repository
from mpanel_billing.access.key import Limits, Network, Scope
from mpanel_billing.access.keyring import Holder
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import BillingError


class WiderKeyError(BillingError):
    """A key would be given more than its giver has."""

    status = HTTPStatus.FORBIDDEN
    code = "key_too_wide"


async def require_givable(
    conn: Connection, giver: Holder | None, scopes: Sequence[Scope], limits: Limits
) -> None:
    """Raise WiderKeyError if a key gave another one more than it has; None: no key gives it."""
    if giver is None:
        return
    lacked = [scope for scope in scopes if not giver.may(scope)]
    if lacked:
        raise WiderKeyError(
            f"Your own key lacks the scope {', '.join(lacked)}, so that it cannot give it."
        )
    own = await repository.get_limits(conn, giver.key_id) if giver.key_id else None
    if own is not None:
        _require_within(own, limits)


def _require_within(own: Limits, given: Limits) -> None:
    """A key with a ceiling gives none at all: with two, it would have the double of it."""
    if own.calls_per_minute is not None or own.refunds_per_day is not None:
        raise WiderKeyError(
            "Your own key has a ceiling of calls or refunds: with another key there would be a way"
            " around it."
        )
    if own.networks is not None and not _are_within(given.networks, own.networks):
        allowed = ", ".join(str(network) for network in own.networks)
        raise WiderKeyError(
            f"Your own key is for {allowed} only: name some of these networks for the new one."
        )


def _are_within(given: Sequence[Network] | None, own: Sequence[Network]) -> bool:
    return given is not None and all(
        any(_is_within(one, allowed) for allowed in own) for one in given
    )


def _is_within(inner: Network, outer: Network) -> bool:
    first, last = inner.network_address, inner.broadcast_address
    return inner.version == outer.version and first in outer and last in outer
