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
    Done,
    Found,
    Order,
    Refused,
    Result,
    Unknown,
    Unsettled,
)
from mpanel_billing.provisioning.drivers.registry import Drivers, Lane, Throttle
from mpanel_billing.provisioning.service_state import RESULTING, Actual

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


@dataclass
class World:
    """The accounts; a driver that obeys its contract, apart from the faults put upon it.

    `faults` are used up one a call, by product type: fail before or after the work is done, or
    refuse. `gate` holds every call until it is set. By its `clock` an account is terminated.
    """

    accounts: list[HostedAccount] = field(default_factory=list)
    faults: dict[str, deque[Fault]] = field(default_factory=dict)
    calls: list[Order] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    answers: dict[str, Result] = field(default_factory=dict)
    at_once: int = 0
    most_at_once: int = 0
    terminated: list[HostedAccount] = field(default_factory=list)
    name: str = "world"
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    generations: dict[tuple[UUID, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.gate.set()

    def drivers(self, concurrency: int = 100) -> Drivers:
        return Drivers(Lane(self, Throttle(concurrency)))

    def misbehave(self, product_type: str, *faults: Fault) -> None:
        self.faults.setdefault(product_type, deque()).extend(faults)

    def of(self, subscription_id: UUID) -> dict[str, Actual]:
        """Return the accounts that a subscription has, by product type."""
        own = [a for a in self.accounts if a.subscription_id == subscription_id]
        assert len({a.product_type for a in own}) == len(own), "a duplicate account"
        return {a.product_type: a.actual for a in own}

    async def create(self, order: Order) -> Result:
        return await self._take(order)

    async def suspend(self, order: Order) -> Result:
        return await self._take(order)

    async def resume(self, order: Order) -> Result:
        return await self._take(order)

    async def change(self, order: Order) -> Result:
        return await self._take(order)

    async def terminate(self, order: Order) -> Result:
        return await self._take(order)

    async def inspect(self, account: Account) -> Found | Unknown:
        for known in self.accounts:
            if (known.subscription_id, known.product_type) == (
                account.subscription_id,
                account.product_type,
            ):
                return Found(known.actual, known.reference, known.resources)
        return Found("absent")

    async def _take(self, order: Order) -> Result:
        self.calls.append(order)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.entered.set()
        try:
            await self.gate.wait()
            return self._answer(order)
        finally:
            self.at_once -= 1

    def _answer(self, order: Order) -> Result:
        faults = self.faults.get(order.product_type)
        fault = faults.popleft() if faults else None
        if fault == "fail_before":
            return Unsettled("HTTP 503")
        if fault == "refuse":
            return Refused("HTTP 422: no")
        result = self.carry_out(order)
        return Unsettled("timed out") if fault == "fail_after" else result

    def carry_out(self, order: Order) -> Result:
        """Do what an order says, once."""
        if order.idempotency_key in self.answers:
            return self.answers[order.idempotency_key]
        place = (order.subscription_id, order.product_type)
        if order.generation < self.generations.get(place, 0):
            return Refused("HTTP 409: out of date")
        self.generations[place] = order.generation
        result = self._create(order) if order.action == "create" else self._alter(order)
        self.answers[order.idempotency_key] = result
        return result

    def forget(self, order: Order) -> None:
        """Lose the record of an order: to its repetition, what it made is there already."""
        self.answers.pop(order.idempotency_key, None)

    def _create(self, order: Order) -> Result:
        """Make an account; a second one too, for whoever orders it under another key."""
        for known in self.accounts:
            if known.made_by == order.idempotency_key:
                return Done(known.reference, already=True)
        account = HostedAccount(
            f"{order.product_type}-{next(_numbers)}",
            order.subscription_id,
            order.product_type,
            "active",
            order.details["resources"],
            order.generation,
            order.idempotency_key,
        )
        self.accounts.append(account)
        return Done(account.reference)

    def _alter(self, order: Order) -> Result:
        account = next((a for a in self.accounts if a.reference == order.external_ref), None)
        if account is None:
            return Refused("HTTP 404")
        already = account.actual == RESULTING[order.action] and order.action != "change"
        account.actual, account.generation = RESULTING[order.action], order.generation
        account.resources = order.details.get("resources", account.resources)
        if order.action == "terminate":
            self.accounts.remove(account)
            account.terminated_at = self.clock()
            self.terminated.append(account)
        return Done(account.reference, already=already)
