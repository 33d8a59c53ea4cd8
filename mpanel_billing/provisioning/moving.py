"""Carry on the moves of a subscription's accounts, as far as possible now.

A move makes a second account at the new server, waits until somebody says that the data is there
(the new server itself, or an operator), lets the new server have the account in one statement, and
only then terminates the one at the old server. A run can be killed between any two steps: each
command is stored before it is sent, under its own number, and is repeated unchanged.
docs/decisions/0054-servers-and-moves.md has what was weighed.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.provisioning.dispatch import call_driver, log_command
from mpanel_billing.provisioning.drivers.protocol import (
    Account,
    Done,
    DriverCommand,
    Found,
    Refused,
    Result,
    Unsettled,
)
from mpanel_billing.provisioning.drivers.registry import Drivers, LimitedDriver
from mpanel_billing.provisioning.lease import Lease, LeaseLostError
from mpanel_billing.provisioning.placement import note_answer
from mpanel_billing.provisioning.repository import moves as repository
from mpanel_billing.provisioning.repository.accounts import outcome_of
from mpanel_billing.provisioning.repository.moves import Move
from mpanel_billing.provisioning.service_state import Action, Service, domains_in
from mpanel_billing.provisioning.services import describe_account
from mpanel_billing.provisioning.work import Work
from mpanel_billing.telemetry.counters import count_driver_call
from mpanel_billing.telemetry.quoting import quote

Step = Literal["create", "switch", "terminate", "call_off", "end"]

_BY_THE_SERVER = "the new server"
"""Who says that the data was moved, if the service does it itself."""

_MOST_STEPS = 6
"""The most that a move can take in a run: create, switch, terminate, and their ends."""


async def carry_moves(
    pool: Pool, drivers: Drivers, lease: Lease, work: Work, services: Mapping[str, Service]
) -> tuple[Mapping[str, Service], tuple[str, ...]]:
    """Carry on each move; return the services as they are then, and what has to be tried again."""
    if not drivers.pools or not services:
        return services, ()
    async with acquired(pool) as conn:
        listed = await repository.list_open(conn, lease)
    after, errors = dict(services), []
    for move in listed:
        carrier = _Carrier(pool, drivers, lease, work)
        ended, after[move.product_type] = await carrier.carry(move, after[move.product_type])
        if ended.last_error is not None and not ended.stopped:
            errors.append(f"{move.product_type}, moving to {move.to_server}: {ended.last_error}")
    return after, tuple(errors)


def next_step(move: Move, service: Service) -> Step | None:
    """Return what is next for a move; None: it waits, for an operator or for another command."""
    if move.stopped or move.state in {"done", "cancelled"}:
        return None
    if move.state == "terminating":
        return "end" if move.abandoned else "terminate"
    if move.state == "cancelling":
        return _next_of_cancelled(move)
    if move.cancelled or not _is_to_stay(move, service):
        return "call_off"
    return _next_of_begun(move, service)


def _next_of_begun(move: Move, service: Service) -> Step | None:
    if move.state == "creating":
        return "create"
    return "switch" if move.confirmed and _can_be_switched(service) else None


def _next_of_cancelled(move: Move) -> Step:
    """Return how the account at the new server goes: one that may be there is made first."""
    if move.external_ref is not None:
        return "terminate"
    return "end" if move.request is None else "create"


def _is_to_stay(move: Move, service: Service) -> bool:
    """Whether the account is still there, and not about to go."""
    is_there = service.actual in {"active", "suspended"} and service.server == move.from_server
    return is_there and service.desired != "terminated"


def _can_be_switched(service: Service) -> bool:
    """Whether nothing about the old account would be forgotten.

    Its service has not suspended it, and no domain may just have been ordered. Any other command of
    unknown outcome is superseded, and the account is terminated under a higher number.
    """
    return service.suspended_by_service is None and not domains_in(service.pending_request or {})


@dataclass(frozen=True, slots=True)
class _Order:
    """A command that a move sends to a server."""

    action: Action
    server: str
    details: Mapping[str, Any]
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class _Carrier:
    """Takes the steps of one move, each stored under the lease."""

    pool: Pool
    drivers: Drivers
    lease: Lease
    work: Work

    async def carry(self, move: Move, service: Service) -> tuple[Move, Service]:
        """Take steps until the move waits, fails or is over."""
        for _ in range(_MOST_STEPS):
            step = next_step(move, service)
            if step is None:
                break
            move, service = await self._take(step, move, service)
            if move.last_error is not None:
                break
        return move, service

    async def _take(self, step: Step, move: Move, service: Service) -> tuple[Move, Service]:
        match step:
            case "create":
                return await self._create(move, service), service
            case "switch":
                return await self._switch(move, service)
            case "terminate":
                return await self._terminate(move, service), service
            case "call_off":
                return await self._store(replace(move, state="cancelling")), service
            case "end":
                return await self._store(_ended(move)), service

    async def _create(self, move: Move, service: Service) -> Move:
        """Make the account at the new server; one that may be there is made with the same words."""
        details = move.request or describe_account(
            self.work,
            service,
            {
                "server": move.from_server,
                "externalRef": service.external_ref,
                "domains": list(service.ordered_domains),
            },
        )
        result = await self._send(move, service, _Order("create", move.to_server, details))
        if not isinstance(result, Done):
            return await self._fail(move, service, result, move.to_server)
        limited = self._driver(move, move.to_server)
        if limited and await self._is_of_another(move, limited, result.external_ref):
            refused = Refused("The server returned an account of another subscription.")
            return await self._store(_failed(replace(move, request=None), refused))
        by = _BY_THE_SERVER if result.data_moved else None
        return await self._store(_made(move, result.external_ref), by)

    async def _is_of_another(self, move: Move, limited: LimitedDriver, reference: str) -> bool:
        async with acquired(self.pool) as conn:
            return await repository.is_of_another(conn, move, limited.driver.name, reference)

    async def _switch(self, move: Move, service: Service) -> tuple[Move, Service]:
        """Let the new server have the account: from here on it gets the commands."""
        limited = self._driver(move, move.to_server)
        if limited is None:
            return await self._store(_failed(move, _unknown_server(move.to_server))), service
        async with acquired(self.pool) as conn:
            switched = await repository.switch_account(conn, self.lease, move, limited.driver.name)
        if switched is not None:
            return switched
        return await self._store(move), service

    async def _terminate(self, move: Move, service: Service) -> Move:
        """Terminate the account that is left over: at the old server, or of a move called off."""
        is_old = move.state == "terminating"
        server = move.from_server if is_old else move.to_server
        reference = move.former_ref if is_old else move.external_ref
        order = _Order("terminate", server, {}, reference)
        result = await self._send(move, service, order)
        if not isinstance(result, Done):
            return await self._fail(move, service, result, server)
        return await self._store(_ended(move))

    async def _send(self, move: Move, service: Service, order: _Order) -> Result:
        """Send a command to a server: stored before, logged afterwards."""
        server, action = order.server, order.action
        repeats = move.request is not None
        generation = move.generation if repeats else max(move.generation, service.generation) + 1
        command = self._command(move, service, order, generation)
        limited = self._driver(move, server)
        if limited is None:
            return Unsettled(_unknown_server(server).error)
        async with acquired(self.pool) as conn:
            if not await repository.begin_command(
                conn, self.lease, move, generation, order.details
            ):
                raise LeaseLostError
        started = time.monotonic()
        result = await call_driver(limited, command, server)
        seconds = time.monotonic() - started
        driver, duration_ms = limited.driver.name, round(seconds * 1000)
        count_driver_call(driver, action, outcome_of(result), seconds)
        log_command(driver, server, command, result, duration_ms)
        await note_answer(self.pool, move.product_type, server, result)
        async with acquired(self.pool) as conn:
            await repository.log_call(
                conn,
                self.lease,
                command,
                result,
                driver=driver,
                server=server,
                duration_ms=duration_ms,
            )
        return result

    def _command(
        self, move: Move, service: Service, order: _Order, generation: int
    ) -> DriverCommand:
        account_id = service.account_id or self.lease.subscription_id
        return DriverCommand(
            order.action,
            f"{account_id}:{move.product_type}:{order.action}:{generation}",
            account_id,
            move.product_type,
            generation,
            order.reference,
            order.details,
        )

    async def _fail(
        self, before: Move, service: Service, result: Unsettled | Refused, server: str
    ) -> Move:
        """Store why a command has failed.

        A refusal says nothing of the same command before: the server is asked for the account.
        """
        move = await self._read(before)
        if isinstance(result, Unsettled):
            return await self._store(replace(move, last_error=quote(result.error)))
        found = await self._inspect(move, service, server)
        if found is None:
            return await self._store(_failed(move, result))
        settled = replace(move, request=None)
        if found.actual in {"absent", "terminated"}:
            return await self._store(_without_account(settled, result))
        if before.request is not None and move.external_ref is None:
            return await self._store(_made(settled, found.external_ref))
        return await self._store(_failed(settled, result))

    async def _read(self, move: Move) -> Move:
        async with acquired(self.pool) as conn:
            listed = await repository.list_open(conn, self.lease)
        return next((each for each in listed if each.id == move.id), move)

    async def _inspect(self, move: Move, service: Service, server: str) -> Found | None:
        limited = self._driver(move, server)
        if limited is None:
            return None
        account = Account(self.lease.subscription_id, move.product_type, None, service.account_id)
        async with limited.limit.slot():
            found = await limited.driver.inspect(account)
        return found if isinstance(found, Found) else None

    def _driver(self, move: Move, server: str) -> LimitedDriver | None:
        known = self.drivers.pools.get(move.product_type, {}).get(server)
        return known.limited if known else None

    async def _store(self, move: Move, confirmed_by: str | None = None) -> Move:
        async with acquired(self.pool) as conn:
            stored = await repository.store_step(conn, self.lease, move, confirmed_by)
        if stored is None:
            raise LeaseLostError
        return stored


def _made(move: Move, reference: str | None) -> Move:
    """Return the move once the account is at the new server."""
    state = "copying" if move.state == "creating" else move.state
    return replace(move, state=state, external_ref=reference, request=None, last_error=None)


def _without_account(move: Move, refused: Refused) -> Move:
    """Return the move once it is certain that the server has no account."""
    match move.state:
        case "terminating":
            return _ended(move)
        case "cancelling":
            return replace(move, external_ref=None, last_error=None)
        case _:
            return _failed(move, refused)


def _ended(move: Move) -> Move:
    state: repository.MoveState = "done" if move.state == "terminating" else "cancelled"
    return replace(move, state=state, request=None, stopped=False, last_error=None)


def _failed(move: Move, refused: Refused) -> Move:
    return replace(move, stopped=True, last_error=quote(refused.error))


def _unknown_server(server: str) -> Refused:
    return Refused(f"The server {server} is not in PROVISIONING_SERVICES.")
