"""Time passes at Stripe: terms are renewed, cards fail, and are replaced before the last retry."""

import asyncio
import random
from dataclasses import dataclass, field

import aiohttp

from tests.chaos.stage import Stage

DAY = 86_400
MOST_DAYS = 4
FAILING, GOOD = "4000000000000341", "4242424242424242"
BACKLOG = 300
"""Time stands still while Stripe has so many webhooks to send."""
FAILURES = 3
"""How many cards fail at once."""

_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)


@dataclass
class TimeAtStripe:
    """Moves Stripe's clock; `failing` are customers whose cards fail."""

    stage: Stage
    chance: random.Random
    target: int = 0
    days: int = 0
    stopping: bool = False
    failing: list[str] = field(default_factory=list)

    async def pass_until_stopped(self) -> None:
        """Let days pass whenever the webhooks of the last ones are delivered."""
        step = 0
        while not self.stopping:
            await asyncio.sleep(0.5)
            if await self._is_caught_up():
                step += 1
                await self._change_cards(step)
                await self.pass_days(self.chance.randint(1, MOST_DAYS))

    async def finish(self) -> None:
        """Let all cards work, and pass the days in which Stripe tries again."""
        while self.failing:
            await self._give_card(self.failing.pop(), GOOD)
        for _ in range(8):
            await self.pass_days(2)

    async def pass_days(self, days: int) -> None:
        """Move the clock, once: a repeated request says the same time."""
        self.target = max(self.target, await self._now()) + days * DAY
        self.days += days
        while True:
            try:
                await self.stage.stripe.advance_time(self.target)
            except _ERRORS:
                await asyncio.sleep(0.5)
                if await self._now() >= self.target:
                    return
            else:
                return

    async def _now(self) -> int:
        while True:
            try:
                return await self.stage.stripe.now()
            except _ERRORS:
                await asyncio.sleep(0.5)

    async def _is_caught_up(self) -> bool:
        try:
            return await self.stage.stripe.pending() < BACKLOG
        except _ERRORS:
            return False

    async def _change_cards(self, step: int) -> None:
        """Every second time, give those of last time good cards, and others bad ones."""
        if step % 2:
            return
        while self.failing:
            await self._give_card(self.failing.pop(), GOOD)
        paid = [one for one in self.stage.customers.bought if one.paid and not one.ended]
        for one in self.chance.sample(paid, min(FAILURES, len(paid))):
            customer = await self._customer_of(one.session_id)
            if customer:
                self.failing.append(customer)
                await self._give_card(customer, FAILING)

    async def _customer_of(self, session_id: str) -> str | None:
        path = f"checkout/sessions/{session_id}"
        customer: str | None = (await self.stage.customers.stripe_object(path))["customer"]
        return customer

    async def _give_card(self, customer: str, card: str) -> None:
        while True:
            try:
                await self.stage.stripe.replace_card(customer, card)
            except _ERRORS:
                await asyncio.sleep(0.5)
            else:
                return
