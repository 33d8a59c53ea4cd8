"""An outside world for drivers: its accounts, and its misbehaviour on demand."""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from mpanel_billing.provisioning.drivers.protocol import (
    Account,
    DoesNotFit,
    Done,
    DriverCommand,
    Fits,
    Found,
    Refused,
    Result,
    Unknown,
    Unsettled,
)
from mpanel_billing.provisioning.drivers.registry import ConcurrencyLimit, Drivers, LimitedDriver
from mpanel_billing.provisioning.service_state import RESULTING, Actual, domains_in

Fault = Literal["fail_before", "fail_after", "refuse"]


_numbers = itertools.count(1)


@dataclass
class HostedAccount:
    """An account as the outside world has it."""

    reference: str
    subscription_id: UUID
    product_type: str
    actual: Actual
    resources: Mapping[str, Any]
    generation: int
    made_by: str
    terminated_at: datetime | None = None
    domains: set[str] = field(default_factory=set)
    """What was registered or transferred for it."""
    abuse: str | None = None
    """Why the service itself has suspended it."""
    files: set[str] = field(default_factory=set)
    """What its owner has put there."""

    def suspend_for(self, abuse: str) -> None:
        """Suspend the account as the staff of the service do."""
        self.abuse, self.actual = abuse, "suspended"

    def clear(self, actual: Actual) -> None:
        """End the service's own suspension."""
        self.abuse, self.actual = None, actual


@dataclass
class World:
    """The accounts; a driver that obeys its contract, apart from the injected faults.

    `faults` are used up one a call, by product type: fail before or after the work is done, or
    refuse. `gate` holds every call until it is set. By its `clock` an account is terminated.
    """

    accounts: list[HostedAccount] = field(default_factory=list)
    faults: dict[str, deque[Fault]] = field(default_factory=dict)
    calls: list[DriverCommand] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    results: dict[str, Result] = field(default_factory=dict)
    at_once: int = 0
    most_at_once: int = 0
    terminated: list[HostedAccount] = field(default_factory=list)
    name: str = "world"
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    generations: dict[tuple[UUID, str], int] = field(default_factory=dict)
    refusal: str = "HTTP 422: no"
    unfit: dict[str, str] = field(default_factory=dict)
    """What does not fit into less, by product type."""

    def __post_init__(self) -> None:
        self.gate.set()

    def drivers(self, concurrency: int = 100) -> Drivers:
        return Drivers(LimitedDriver(self, ConcurrencyLimit(concurrency)))

    def misbehave(self, product_type: str, *faults: Fault) -> None:
        self.faults.setdefault(product_type, deque()).extend(faults)

    def of(self, subscription_id: UUID) -> dict[str, Actual]:
        """Return the accounts that a subscription has, by product type."""
        own = [a for a in self.accounts if a.subscription_id == subscription_id]
        assert len({a.product_type for a in own}) == len(own), "a duplicate account"
        return {a.product_type: a.actual for a in own}

    async def create(self, command: DriverCommand) -> Result:
        return await self._receive(command)

    async def suspend(self, command: DriverCommand) -> Result:
        return await self._receive(command)

    async def resume(self, command: DriverCommand) -> Result:
        return await self._receive(command)

    async def change(self, command: DriverCommand) -> Result:
        return await self._receive(command)

    async def terminate(self, command: DriverCommand) -> Result:
        return await self._receive(command)

    async def inspect(self, account: Account) -> Found | Unknown:
        for known in self.accounts:
            if (known.subscription_id, known.product_type) == (
                account.created_for,
                account.product_type,
            ):
                return Found(
                    known.actual,
                    known.reference,
                    known.resources,
                    known.abuse,
                    known.generation,
                    tuple(known.domains),
                )
        return Found("absent")

    async def check_change(
        self, account: Account, resources: Mapping[str, Any]
    ) -> Fits | DoesNotFit | Unknown:
        reason = self.unfit.get(account.product_type)
        return Fits() if reason is None else DoesNotFit(reason)

    async def _receive(self, command: DriverCommand) -> Result:
        self.calls.append(command)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.entered.set()
        try:
            await self.gate.wait()
            return self._answer(command)
        finally:
            self.at_once -= 1

    def _answer(self, command: DriverCommand) -> Result:
        faults = self.faults.get(command.product_type)
        fault = faults.popleft() if faults else None
        if fault == "fail_before":
            return Unsettled("HTTP 503")
        if fault == "refuse":
            return Refused(self.refusal, {"status": 422, "message": self.refusal})
        result = self.carry_out(command)
        return Unsettled("timed out") if fault == "fail_after" else result

    def carry_out(self, command: DriverCommand) -> Result:
        """Do what a command says, once."""
        if command.idempotency_key in self.results:
            return self.results[command.idempotency_key]
        place = (command.subscription_id, command.product_type)
        if command.generation < self.generations.get(place, 0):
            return Refused("HTTP 409: out of date")
        self.generations[place] = command.generation
        result = self._create(command) if command.action == "create" else self._alter(command)
        self.results[command.idempotency_key] = result
        return result

    def forget(self, command: DriverCommand) -> None:
        """Lose the record of a command: when it is repeated, the account is already there."""
        self.results.pop(command.idempotency_key, None)

    def _create(self, command: DriverCommand) -> Result:
        """Make an account; a second one too, for a command with another key."""
        for known in self.accounts:
            if known.made_by == command.idempotency_key:
                return Done(known.reference, already=True)
        account = HostedAccount(
            f"{command.product_type}-{next(_numbers)}",
            command.subscription_id,
            command.product_type,
            "active",
            command.details["resources"],
            command.generation,
            command.idempotency_key,
            domains=set(domains_in(command.details)),
        )
        self.accounts.append(account)
        return Done(account.reference)

    def _without_account(self, command: DriverCommand) -> Result:
        """Answer a command for an account that is not there: done if it is to be terminated."""
        gone = {account.reference for account in self.terminated}
        if command.action == "terminate" and command.external_ref in gone:
            return Done(command.external_ref, already=True)
        return Refused("HTTP 404")

    def _alter(self, command: DriverCommand) -> Result:
        account = next((a for a in self.accounts if a.reference == command.external_ref), None)
        if account is None:
            return self._without_account(command)
        already = account.actual == RESULTING[command.action] and command.action != "change"
        account.actual, account.generation = RESULTING[command.action], command.generation
        account.resources = command.details.get("resources", account.resources)
        account.domains |= set(domains_in(command.details))
        if command.action == "terminate":
            self.accounts.remove(account)
            account.terminated_at = self.clock()
            self.terminated.append(account)
        return Done(account.reference, already=already)
