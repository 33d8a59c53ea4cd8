"""Bring a domain to what was paid for: register, transfer or renew it once, whatever crashes.

Each run inspects the name first, so nothing is repeated whose outcome is unknown, and what others
have changed at the registrar is seen.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.domains.auth_codes import AuthCodes
from mpanel_billing.jobs.backoff import LONGEST_SECONDS, retry_seconds
from mpanel_billing.provisioning.drivers.protocol import Unknown
from mpanel_billing.provisioning.drivers.registrar import (
    Availability,
    DomainAction,
    DomainCommand,
    DomainDone,
    DomainFound,
    DomainRefused,
    DomainResult,
    DomainUnsettled,
    RegisteredName,
    Registrar,
)
from mpanel_billing.provisioning.drivers.registry import Drivers
from mpanel_billing.provisioning.lease import Clock, LeaseLostError, database_clock
from mpanel_billing.provisioning.registrar import repository
from mpanel_billing.provisioning.registrar.registrant import Registrant
from mpanel_billing.provisioning.registrar.registration import (
    AUTH_CODE,
    ENDED,
    Asking,
    Registration,
    asking_of,
    believed_to_be,
    done_to_be,
    found_to_be,
    next_action,
    next_look,
    refused_to_be,
)
from mpanel_billing.provisioning.registrar.repository import Held
from mpanel_billing.telemetry.counters import count_driver_call

logger = logging.getLogger(__name__)

_MOST_COMMANDS = 4
"""The most that a domain can need in a run; another one follows."""


@dataclass(frozen=True, slots=True)
class Registering:
    """What a run needs: the database, the drivers, and the keys of auth codes."""

    pool: Pool
    drivers: Drivers
    auth_codes: AuthCodes
    clock: Clock = database_clock


async def see_to_domain(registering: Registering, id_: UUID) -> None:
    """Bring a domain as far as possible now; safe to repeat and to run anywhere.

    One run at a time works on it. Raises LeaseLostError if another has taken over.
    """
    limited = registering.drivers.registrar
    if limited is None:
        await _see_to(registering, None, id_)
        return
    async with limited.limit.slot():
        await _see_to(registering, limited.registrar, id_)


async def _see_to(registering: Registering, registrar: Registrar | None, id_: UUID) -> None:
    async with acquired(registering.pool) as conn:
        held = await repository.take_domain(conn, id_, uuid4(), registering.clock())
    if held is None:
        return
    seconds: float | None = retry_seconds(held.domain.attempts + 1)
    try:
        if registrar is None or registrar.name != held.domain.driver:
            seconds = await _without_driver(registering, held)
        else:
            seconds = await _Run(registering, registrar, held).bring_on()
    finally:
        async with acquired(registering.pool) as conn:
            await repository.finish_domain(conn, held, seconds, registering.clock())


async def _without_driver(registering: Registering, held: Held) -> float:
    error = f"its driver, {held.domain.driver}, is not configured (PROVISIONING_SERVICES)"
    async with acquired(registering.pool) as conn:
        tried = replace(held.domain, attempts=held.domain.attempts + 1, last_error=error)
        await repository.store_domain(conn, held, tried)
    return LONGEST_SECONDS


@dataclass(slots=True)
class _Run:
    """A run on one domain; `held` is the domain as it was last stored."""

    registering: Registering
    registrar: Registrar
    held: Held

    @property
    def domain(self) -> Registration:
        return self.held.domain

    async def bring_on(self) -> float | None:
        """Inspect and send commands until there is nothing to send; return when to look again."""
        sent: set[DomainAction] = set()
        for _ in range(_MOST_COMMANDS):
            found = await self._inspect()
            if isinstance(found, Unknown):
                return await self._wait(f"it cannot be inspected: {found.reason}")
            asking = await self._asking()
            if isinstance(asking, Unknown):
                return await self._wait(f"it cannot be checked: {asking.reason}")
            action = next_action(self.domain, found, asking)
            if action is None or action in sent:
                break
            sent.add(action)
            result = await self._send(action, asking)
            if isinstance(result, DomainUnsettled):
                return await self._wait(result.error, result.retry_after)
            if self.domain.stopped or self.domain.needs or self.domain.state in ENDED:
                break
        if self.domain.is_confirmed or self.domain.renewal_due:
            return await self._wait(self.domain.last_error)
        return next_look(self.domain, self.held.now)

    async def _wait(self, error: str | None, retry_after: float | None = None) -> float:
        """Count a try that has not got on, and return the seconds until the next."""
        attempts = self.domain.attempts + 1
        await self._store(replace(self.domain, attempts=attempts, last_error=error))
        return retry_seconds(attempts, retry_after)

    async def _inspect(self) -> DomainFound | Unknown | None:
        """Have the registrar say how the name is, and store it; None if it can never say."""
        domain = self.domain
        name = RegisteredName(domain.id, domain.name, domain.external_ref)
        found = await self.registrar.inspect(name)
        if not isinstance(found, Unknown):
            await self._store(found_to_be(domain, found, self.held.now), is_inspected=True)
            return found
        if not found.permanently:
            return found
        await self._store(believed_to_be(domain, self.held.now))
        return None

    async def _asking(self) -> Asking | Unknown | None:
        """Return how the domain can be asked for; None: it cannot, or need not be."""
        if not self.domain.is_asked_for or self.domain.is_confirmed or self.domain.stopped:
            return None
        asking = asking_of(self.domain)
        if asking is None:
            free = await self.registrar.check(self.domain.name)
            if isinstance(free, Unknown) and not free.permanently:
                return free
            is_taken = isinstance(free, Availability) and not free.available
            asking = "transferring" if is_taken else "registering"
        missing = await self._missing(asking)
        if missing != self.domain.needs:
            await self._store(replace(self.domain, needs=missing))
        return None if missing else asking

    async def _missing(self, asking: Asking) -> tuple[str, ...]:
        """Return what the registrar needs to be told, and nobody has told."""
        code = (AUTH_CODE,) if asking == "transferring" and self._auth_code() is None else ()
        return (*code, *(await self._registrant()).missing)

    async def _registrant(self) -> Registrant:
        async with acquired(self.registering.pool) as conn:
            return await repository.get_registrant(conn, self.domain.id)

    def _auth_code(self) -> str | None:
        if self.held.auth_code is None or not self.domain.has_auth_code:
            return None
        return self.registering.auth_codes.decrypt(self.held.auth_code)

    async def _send(self, action: DomainAction, asking: Asking | None) -> DomainResult:
        """Send a command, and store what has come of it."""
        command = await self._begin(action, asking)
        started = time.monotonic()
        result = await _method(self.registrar, action)(command)
        seconds = time.monotonic() - started
        count_driver_call(self.domain.driver, action, repository.outcome_of(result), seconds)
        _log(command, result, self.domain.driver)
        async with acquired(self.registering.pool) as conn:
            await repository.log_call(conn, self.domain, command, result, round(seconds * 1000))
        if isinstance(result, DomainRefused):
            await self._store_refusal(action, result)
        elif isinstance(result, DomainDone):
            done = done_to_be(self.domain, action, result.external_ref, result.expires_at)
            await self._store(done)
        return result

    async def _begin(self, action: DomainAction, asking: Asking | None) -> DomainCommand:
        """Store the command before the registrar is called, and return it.

        A pending one is repeated under its number. Raises LeaseLostError if something has changed.
        """
        domain = self.domain
        if domain.pending != action:
            domain = replace(
                domain,
                state=asking or domain.state,
                pending=action,
                pending_request=await self._details(action),
                generation=domain.generation + 1,
                name_servers=domain.name_servers or self.registrar.name_servers,
            )
        async with acquired(self.registering.pool) as conn:
            clock = self.registering.clock
            if not await repository.begin_command(conn, self.held, domain, clock()):
                raise LeaseLostError
        self.held = replace(self.held, domain=domain)
        secret = {"authCode": self._auth_code()} if action == "transfer" else {}
        return DomainCommand(
            action=action,
            idempotency_key=f"{domain.id}:domain:{action}:{domain.generation}",
            domain_id=domain.id,
            domain=domain.name,
            generation=domain.generation,
            external_ref=domain.external_ref,
            details={**(domain.pending_request or {}), **secret},
        )

    async def _details(self, action: DomainAction) -> Mapping[str, Any]:
        domain = self.domain
        servers = list(domain.name_servers or self.registrar.name_servers)
        match action:
            case "register" | "transfer":
                registrant = (await self._registrant()).details
                own = {"registrant": registrant, "nameservers": servers, "autoRenew": False}
                return {**own, "years": 1} if action == "register" else own
            case "renew":
                expires_at = domain.expires_at and domain.expires_at.isoformat()
                return {"years": domain.years_due, "expiresAt": expires_at}
            case "set_nameservers":
                return {"nameservers": servers}
            case "set_auto_renew":
                return {"autoRenew": False}
            case _:
                return {}

    async def _store_refusal(self, action: DomainAction, refused: DomainRefused) -> None:
        """Store a refusal, unless the registrar has the name: then it was ordered before.

        What is refused of a domain that is registered is asked for again another day.
        """
        if action in {"set_nameservers", "set_auto_renew"}:
            settled = replace(self.domain, pending=None, pending_request=None)
            await self._store(replace(settled, last_error=f"{action}: {refused.error}"))
            return
        if refused.why == "domain_unavailable":
            found = await self._inspect()
            if not isinstance(found, DomainFound) or found.status != "absent":
                return
        await self._store(refused_to_be(self.domain, refused))

    async def _store(self, domain: Registration, *, is_inspected: bool = False) -> None:
        """Store what is known now; raises LeaseLostError if another run has taken over."""
        async with acquired(self.registering.pool) as conn:
            at = self.held.now if is_inspected else None
            stored = await repository.store_domain(conn, self.held, domain, inspected_at=at)
        if stored is None:
            raise LeaseLostError
        self.held = replace(self.held, domain=replace(stored, version=self.held.domain.version))


def _method(
    registrar: Registrar, action: DomainAction
) -> Callable[[DomainCommand], Awaitable[DomainResult]]:
    methods: dict[DomainAction, Callable[[DomainCommand], Awaitable[DomainResult]]] = {
        "register": registrar.register,
        "transfer": registrar.transfer,
        "renew": registrar.renew,
        "set_nameservers": registrar.set_nameservers,
        "set_auto_renew": registrar.set_auto_renew,
        "release": registrar.release,
    }
    return methods[action]


def _log(command: DomainCommand, result: DomainResult, driver: str) -> None:
    is_done = isinstance(result, DomainDone)
    logger.log(
        logging.INFO if is_done else logging.WARNING,
        "%s domain: %s",
        command.action,
        "taken" if isinstance(result, DomainDone) else result.error,
        extra={
            "domain": command.domain,
            "domainId": str(command.domain_id),
            "driver": driver,
            "generation": command.generation,
        },
    )
