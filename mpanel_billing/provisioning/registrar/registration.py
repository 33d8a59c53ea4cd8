"""A domain at a registrar, and the next command that brings it to what was paid for. Pure.

What the registrar says of a name decides, not what we have sent: every run inspects first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from mpanel_billing.provisioning.drivers.registrar import (
    DomainAction,
    DomainFound,
    DomainRefused,
    RegistrarStatus,
)

DomainState = Literal[
    "ordered",
    "paid",
    "registering",
    "transferring",
    "verifying",
    "active",
    "renewing",
    "expired",
    "redemption",
    "transferred_out",
    "released",
    "failed",
]
"""The value of `billing_domains.state`."""

AUTH_CODE = "auth_code"
"""What a transfer needs, in `needs`; everything else there is a field of the customer."""

ENDED: frozenset[DomainState] = frozenset({"released", "failed"})
"""The registrar is not asked about it any more."""

_ASKED_FOR: frozenset[DomainState] = frozenset({"paid", "registering", "transferring"})
_OURS: Mapping[RegistrarStatus, DomainState] = {
    "active": "active",
    "expired": "expired",
    "redemption": "redemption",
    "transferred_out": "transferred_out",
}
_RENEWED_WITHIN = timedelta(days=30)
"""A registry's year is not to the second what was computed here."""

_DROPPED_AFTER = timedelta(days=30)
"""So long after its expiry a name that the registrar does not have is anybody's again."""

_YEAR = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Registration:
    """A row of `billing_domains` that a registrar manages.

    `pending` is a command whose outcome is unknown. `is_confirmed`: the registrar has taken the
    order for it. `has_auth_code`: one was handed in, and not used yet. `needs`: what the registrar
    needs and nobody has told. `stopped`: it has refused a command, a person has to look. `version`
    grows with every change that the worker does not make itself.
    """

    id: UUID
    name: str
    mode: str
    state: DomainState
    driver: str
    version: int = 0
    external_ref: str | None = None
    registered_at: datetime | None = None
    expires_at: datetime | None = None
    paid_until: datetime | None = None
    name_servers: tuple[str, ...] = ()
    has_auth_code: bool = False
    needs: tuple[str, ...] = ()
    generation: int = 0
    pending: DomainAction | None = None
    pending_request: Mapping[str, Any] | None = field(default=None, repr=False)
    is_confirmed: bool = False
    attempts: int = 0
    stopped: bool = False
    last_error: str | None = None

    @property
    def is_asked_for(self) -> bool:
        """Whether it is still to be registered or transferred."""
        return self.state in _ASKED_FOR

    @property
    def renewal_due(self) -> bool:
        """Whether a further year is paid for, and the registry does not have it yet."""
        if self.state != "renewing" or self.paid_until is None or self.expires_at is None:
            return False
        return self.expires_at <= self.paid_until - _RENEWED_WITHIN

    @property
    def years_due(self) -> int:
        """How many years are to be renewed."""
        if self.paid_until is None or self.expires_at is None:
            return 0
        return max(1, round((self.paid_until - self.expires_at) / _YEAR))


Asking = Literal["registering", "transferring"]
"""How a domain is asked for: the state that it then has."""


def asking_of(domain: Registration) -> Asking | None:
    """Return how it is asked for; None: whichever is possible, the registrar has to be asked."""
    if domain.state == "registering" or (domain.state == "paid" and domain.mode == "register"):
        return "registering"
    if domain.state == "transferring" or domain.mode == "transfer":
        return "transferring"
    return None


def found_to_be(domain: Registration, found: DomainFound, now: datetime) -> Registration:
    """Return the domain as the registrar reports it; a command that it shows is not pending.

    An order that the registrar had taken and does not know any more is not sent again: a person
    has to look.
    """
    if _is_anothers(domain, found):
        error = "the registrar has it already, and not for this order"
        return replace(domain, stopped=True, last_error=error)
    domain = replace(
        domain,
        external_ref=found.external_ref or domain.external_ref,
        generation=max(domain.generation, found.generation or 0),
        expires_at=found.expires_at or domain.expires_at,
        last_error=domain.last_error if domain.stopped or domain.needs else None,
    )
    match found.status:
        case "absent":
            return _absent(domain, now)
        case "pending":
            asked = domain.state
            if asked == "paid":  # a backup from before was restored
                asked = asking_of(domain) or "registering"
            waits = replace(_without_pending(domain), state=asked, needs=())
            return replace(waits, is_confirmed=waits.is_asked_for)
        case "failed" if domain.is_asked_for:
            refused = found.refused or DomainRefused("the registry refused it")
            return refused_to_be(replace(domain, is_confirmed=False), refused)
        case "failed":
            return replace(domain, last_error="the registrar reports a failed order")
        case _:
            return _ours(domain, found, now)


def _is_anothers(domain: Registration, found: DomainFound) -> bool:
    """Whether a name is in the host's account for something else than this order."""
    if not domain.is_asked_for or found.status == "absent" or found.domain_id == domain.id:
        return False
    return found.domain_id is not None or domain.generation == 0


def _ours(domain: Registration, found: DomainFound, now: datetime) -> Registration:
    """Return a domain that is, or was, in the host's account."""
    has_expired = found.expires_at is not None and found.expires_at <= now
    status: RegistrarStatus = found.status
    if status == "active" and has_expired:
        status = "expired"
    settled = replace(
        _without_pending(domain),
        registered_at=domain.registered_at or found.registered_at or now,
        has_auth_code=False,
        needs=(),
    )
    is_lost = status == "transferred_out"
    if domain.renewal_due and replace(domain, expires_at=settled.expires_at).renewal_due:
        state: DomainState = "transferred_out" if is_lost else "renewing"
    else:
        state = _OURS[status]
    return replace(
        settled,
        state=state,
        is_confirmed=False,
        attempts=domain.attempts if state == "renewing" else 0,
        stopped=domain.stopped and domain.state == state,
        last_error="it has gone to another registrar" if is_lost else None,
    )


def _absent(domain: Registration, now: datetime) -> Registration:
    if domain.is_asked_for:
        if not domain.is_confirmed:
            return domain
        return replace(domain, last_error="the registrar took the order, and does not know it now")
    is_dropped = domain.expires_at is not None and domain.expires_at <= now - _DROPPED_AFTER
    if domain.state in {"expired", "redemption"} and is_dropped:
        return replace(_without_pending(domain), state="released")
    return replace(
        _without_pending(domain),
        state="transferred_out",
        last_error="the registrar does not have it any more",
    )


def refused_to_be(domain: Registration, refused: DomainRefused) -> Registration:
    """Return the domain after its order or renewal was refused; nothing was done.

    What somebody else can mend waits for them: another auth code, data of the registrant. A name
    that cannot be registered is lost, or transferred if that was ordered too. Everything else is a
    person's.
    """
    domain = replace(_without_pending(domain), last_error=refused.error, attempts=0)
    match refused.why, domain.state:
        case "auth_code_wrong", _:
            return replace(domain, has_auth_code=False, needs=(AUTH_CODE,))
        case "registrant_incomplete", _:
            return replace(domain, needs=refused.fields, stopped=True)
        case "domain_unavailable", "registering" if domain.mode == "new-or-transfer":
            return replace(domain, state="transferring")
        case "domain_unavailable", "registering":
            return replace(domain, state="failed", needs=())
        case _:
            return replace(domain, stopped=True)


_ORDER: Mapping[Asking, DomainAction] = {"registering": "register", "transferring": "transfer"}


def next_action(
    domain: Registration, found: DomainFound | None, asking: Asking | None = None
) -> DomainAction | None:
    """Return the next command for a domain, None if there is nothing to send now.

    `found`: what the registrar reports, None if it can never say. `asking`: how one that is not
    asked for yet can be asked for; None: something is missing for that.
    """
    if domain.stopped or domain.state in ENDED or (found and found.status == "pending"):
        return None
    if domain.is_asked_for:
        return None if domain.is_confirmed or asking is None else _ORDER[asking]
    if domain.renewal_due:
        return "renew"
    return _change_of(domain, found) if found and domain.state == "active" else None


def _change_of(domain: Registration, found: DomainFound) -> DomainAction | None:
    if found.auto_renew:
        return "set_auto_renew"
    return "set_nameservers" if _served_by_others(domain, found) else None


def done_to_be(
    domain: Registration, action: DomainAction, external_ref: str, expires_at: datetime | None
) -> Registration:
    """Return the domain once the registrar has taken a command; inspection says what came of it."""
    taken = replace(
        _without_pending(domain),
        external_ref=external_ref,
        is_confirmed=domain.is_confirmed or action in {"register", "transfer"},
        last_error=None,
        needs=(),
    )
    return replace(taken, expires_at=expires_at or domain.expires_at)


def believed_to_be(domain: Registration, now: datetime) -> Registration:
    """Return the domain of a registrar that can never be asked: what it has taken is done."""
    if domain.state == "renewing" and not domain.renewal_due:
        return replace(domain, state="active", attempts=0)
    if not (domain.is_asked_for and domain.is_confirmed):
        return domain
    return replace(
        domain,
        state="active",
        registered_at=domain.registered_at or now,
        is_confirmed=False,
        has_auth_code=False,
        attempts=0,
    )


def _served_by_others(domain: Registration, found: DomainFound) -> bool:
    if not domain.name_servers or found.name_servers is None:
        return False
    return sorted(domain.name_servers) != sorted(found.name_servers)


def _without_pending(domain: Registration) -> Registration:
    return replace(domain, pending=None, pending_request=None)


_DAY = 86_400.0
_HOUR = 3_600.0


def next_look(domain: Registration, now: datetime) -> float | None:
    """Return the seconds until the worker looks at a domain again; None: it is done with.

    `retry_seconds` is for what waits for the registrar; this for what waits for people and years.
    """
    if domain.state in ENDED:
        return None
    if domain.needs and not domain.stopped:
        return _HOUR
    if domain.state == "active" and domain.expires_at is not None and domain.expires_at > now:
        return min(_DAY, (domain.expires_at - now).total_seconds() + 60)
    return _DAY
