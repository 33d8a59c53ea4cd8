"""Send one command to a driver, so that it takes effect once even after a crash (rule 7)."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.encryption import Vault
from mpanel_billing.jobs.backoff import retry_seconds
from mpanel_billing.provisioning.access_data import keep_access_data
from mpanel_billing.provisioning.drivers.protocol import (
    Account,
    DoesNotFit,
    Done,
    Driver,
    DriverCommand,
    Found,
    Refused,
    Result,
    Unsettled,
)
from mpanel_billing.provisioning.drivers.registry import Drivers, LimitedDriver
from mpanel_billing.provisioning.lease import Lease, LeaseLostError
from mpanel_billing.provisioning.placement import note_answer, place_account
from mpanel_billing.provisioning.product_resources import is_less
from mpanel_billing.provisioning.repository import accounts
from mpanel_billing.provisioning.service_state import Action, Service, supersede_pending
from mpanel_billing.telemetry.counters import count_driver_call

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Sends commands to drivers under a lease, and stores their results."""

    pool: Pool
    drivers: Drivers
    lease: Lease
    vault: Vault = field(default_factory=lambda: Vault(()))

    async def dispatch(
        self, service: Service, action: Action, details: Mapping[str, Any]
    ) -> Service:
        """Have the service's driver carry out the action; return the service as it is then.

        First the command is stored, so that a crash leaves it pending; then the driver is
        called, with no connection held; then the result and the new state are stored in one
        statement. Raises LeaseLostError once another run has taken over.

        Before a resume the service is asked whether it has suspended the account itself: then it
        is not ours to resume. Before a change to less it is asked whether what is used fits: if
        not, the account keeps what it has, as after a refusal. A refusal tells nothing of an
        earlier command of unknown outcome: the service is asked for the account, and the outcome
        stays unknown if it cannot say. Before a create the account gets a server, if its product
        type has several.
        """
        if action == "resume" and (barred := await self._find_barred(service)) is not None:
            return barred
        if action == "create" and service.pending != "create":
            service, is_placed = await place_account(self.pool, self.drivers, self.lease, service)
            if not is_placed:
                return service
        base, command = next_command(self.lease, service, action, details)
        async with acquired(self.pool) as conn:
            if not await accounts.begin_command(conn, self.lease, base, command):
                raise LeaseLostError
        result, duration_ms = await self._carry_out(base, command)
        await note_answer(self.pool, service.product_type, service.server, result)
        await keep_access_data(self.pool, self.vault, self.lease, command, result)
        try:
            stored = await self._store(
                base, command, result, duration_ms, was_unknown=service.pending is not None
            )
            return await self._settle_refusal(stored, result)
        except asyncpg.UniqueViolationError:
            # the account belongs to another subscription: neither touch nor adopt it
            refused = Refused(
                "The driver returned an account that belongs to another subscription."
            )
            return await self._store(base, command, refused, duration_ms)

    async def _carry_out(self, service: Service, command: DriverCommand) -> tuple[Result, int]:
        """Call the driver, unless the account would not fit; return the result and its duration.

        The duration is in milliseconds.
        """
        driver = self.drivers.find(service.product_type, service.driver, service.server)
        started = time.monotonic()
        result = await self._find_unfit(service, command, driver) or await call_driver(
            driver, command, service.server
        )
        seconds = time.monotonic() - started
        duration_ms = round(seconds * 1000)
        count_driver_call(service.driver, command.action, accounts.outcome_of(result), seconds)
        log_command(service.driver, service.server, command, result, duration_ms)
        return result, duration_ms

    async def _find_unfit(
        self, service: Service, command: DriverCommand, driver: LimitedDriver | None
    ) -> Refused | None:
        """Return a refusal if the account uses more than it is to have; None if not, or unknown."""
        resources = command.details.get("resources", {})
        if command.action != "change" or driver is None:
            return None
        if not is_less(service.resources, resources):
            return None
        async with driver.limit.slot():
            found = await driver.driver.check_change(self._account(service), resources)
        if not isinstance(found, DoesNotFit):
            return None
        return Refused(found.reason, {"code": "does_not_fit"})

    async def _find_barred(self, service: Service) -> Service | None:
        """Return the service if it has suspended the account itself; None if not, or unknown."""
        found = await self._inspect(service)
        if found is None or found.suspended_by_service is None:
            return None
        return await self._store_finding(service, found)

    async def _settle_refusal(self, service: Service, result: Result) -> Service:
        """Ask for the account after a refusal if it is uncertain what was carried out before.

        That is so after a command of unknown outcome; and after a restored backup, if the service
        has seen a higher number than is on record here.
        """
        if not isinstance(result, Refused):
            return service
        is_out_of_date = (result.response or {}).get("code") == "out_of_date"
        if service.pending is None and not is_out_of_date:
            return service
        found = await self._inspect(service)
        if found is None:
            return service
        if service.pending is None and (found.generation or 0) <= service.generation:
            return service
        return await self._store_finding(service, found)

    async def _inspect(self, service: Service) -> Found | None:
        """Return the account as the service reports it; None if it cannot say."""
        driver = self.drivers.find(service.product_type, service.driver, service.server)
        if driver is None:
            return None
        async with driver.limit.slot():
            found = await driver.driver.inspect(self._account(service))
        return found if isinstance(found, Found) else None

    def _account(self, service: Service) -> Account:
        return Account(
            self.lease.subscription_id,
            service.product_type,
            service.external_ref,
            service.account_id,
        )

    async def _store_finding(self, service: Service, found: Found) -> Service:
        async with acquired(self.pool) as conn:
            stored = await accounts.store_finding(conn, self.lease, service, found)
        if stored is None:
            raise LeaseLostError
        return stored

    async def _store(
        self,
        base: Service,
        command: DriverCommand,
        result: Result,
        duration_ms: int,
        *,
        was_unknown: bool = False,
    ) -> Service:
        """Store the result and the new state; without the lease, only the log gets it."""
        async with acquired(self.pool) as conn:
            stored = await accounts.store_result(
                conn,
                self.lease,
                base,
                command,
                result,
                duration_ms=duration_ms,
                was_unknown=was_unknown,
                retry_seconds=_delay(base, result),
            )
        if stored is None:
            raise LeaseLostError
        return stored


def next_command(
    lease: Lease, service: Service, action: Action, details: Mapping[str, Any]
) -> tuple[Service, DriverCommand]:
    """Return the command, and the service as the command assumes it to be.

    A command of unknown outcome is repeated unchanged, under its own number. Any other gets the
    next number, and assumes that a pending one which it supersedes has succeeded.
    """
    repeats = action == service.pending and (
        action in {"create", "terminate"} or details == service.pending_request
    )
    base = service if action == service.pending else supersede_pending(service)
    generation = service.generation if repeats else service.generation + 1
    account_id = service.account_id or lease.subscription_id
    key = f"{account_id}:{service.product_type}:{action}:{generation}"
    return base, DriverCommand(
        action=action,
        idempotency_key=key,
        subscription_id=account_id,
        product_type=service.product_type,
        generation=generation,
        external_ref=None if action == "create" else service.external_ref,
        details=(service.pending_request or {}) if repeats else details,
    )


async def call_driver(
    limited: LimitedDriver | None, command: DriverCommand, server: str | None
) -> Result:
    """Have the driver carry out a command, under its limit; without one it is refused."""
    if limited is None:
        if server is not None:
            return Refused(f"The server {server} of this account is not in PROVISIONING_SERVICES.")
        return Refused("The driver of this account is no longer configured.")
    async with limited.limit.slot():
        return await _method(limited.driver, command.action)(command)


def _method(driver: Driver, action: Action) -> Callable[[DriverCommand], Awaitable[Result]]:
    methods: dict[Action, Callable[[DriverCommand], Awaitable[Result]]] = {
        "create": driver.create,
        "suspend": driver.suspend,
        "resume": driver.resume,
        "change": driver.change,
        "terminate": driver.terminate,
    }
    return methods[action]


def _delay(base: Service, result: Result) -> float | None:
    """Return the seconds until the command is repeated; None if it is not."""
    if not isinstance(result, Unsettled):
        return None
    return retry_seconds(base.attempts + 1, result.retry_after)


def log_command(
    driver: str, server: str | None, command: DriverCommand, result: Result, duration_ms: int
) -> None:
    """Log what came of a command."""
    failed = not isinstance(result, Done)
    logger.log(
        logging.WARNING if failed else logging.INFO,
        "%s %s: %s",
        command.action,
        command.product_type,
        result.error if isinstance(result, Unsettled | Refused) else "done",
        extra={
            "subscriptionId": str(command.subscription_id),
            "productType": command.product_type,
            "action": command.action,
            "driver": driver,
            **({"server": server} if server else {}),
            "generation": command.generation,
            "durationMs": duration_ms,
        },
    )
