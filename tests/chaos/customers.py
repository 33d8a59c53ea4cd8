"""Customers who order, pay, change their plan, cancel and come back, each until it has worked."""

import asyncio
import itertools
import random
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

import aiohttp

from stripe_sandbox.client import SandboxClient
from tests.faults.response_log import NO_RESPONSE, OK, Kind, ResponseLog
from tests.service import CREATE_SESSION

KEY = "key-of-mpanel-in-the-chaos"
PLANS = ("starter", "premium")
ADDON = "addon-backups-daily"
REFUND = 100
"""How much is refunded at once, in minor units."""
PAUSE_SECONDS = 0.2
PATIENCE = aiohttp.ClientTimeout(total=15)
_NAMESPACE = UUID("1b671a64-40d5-491e-99b0-da01ff1f3341")
_REPEAT = {NO_RESPONSE, 429, 500, 502, 503, 504}
_WAIT = {"change_in_progress", "payment_processing", "idempotency_key_in_use"}
"""Codes of a 409 after which the same request is sent again."""


@dataclass
class Bought:
    """An order that was acknowledged, and what was agreed about it since.

    `changes` counts the changes of the plan that were acknowledged as made, `refunded` is what was
    acknowledged as refunded, in minor units.
    """

    number: int
    session_id: str
    subscription_id: str
    plan: str
    paid: bool = False
    ends: bool = False
    ended: bool = False
    changes: int = 0
    refunded: int = 0
    steps: int = 0
    busy: bool = False


@dataclass
class Customers:
    """What they have done, and how the service answered. Its failures are in `surprises`."""

    url: str
    stripe_url: str
    stripe: SandboxClient
    chance: random.Random
    responses: ResponseLog
    session: aiohttp.ClientSession
    bought: list[Bought] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)
    stopping: bool = False
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    async def buy_until_stopped(self, most: int) -> None:
        """Buy one after the other, as long as there are fewer than so many."""
        while not self.stopping:
            if len(self.bought) < most:
                await self._buy(next(self._numbers))
            await asyncio.sleep(PAUSE_SECONDS)

    async def change_until_stopped(self) -> None:
        """Change one thing after the other."""
        while not self.stopping:
            idle = [one for one in self.bought if one.paid and not one.busy and not one.ended]
            if idle:
                chosen = self.chance.choice(idle)
                chosen.busy = True
                await self._change(chosen)
                chosen.busy = False
            await asyncio.sleep(PAUSE_SECONDS)

    async def _buy(self, number: int) -> None:
        plan = self.chance.choice(PLANS)
        order = {
            "planId": plan,
            "billingCycle": "monthly",
            "trialActive": False,
            "addonIds": [ADDON] if self.chance.random() < 0.5 else [],
            "customer": {"name": "Ada Lovelace", "email": address_of(number)},
            "domain": {"mode": "existing", "value": f"shop-{number}.example.com"},
        }
        status, body = await self._insist(
            "order", CREATE_SESSION, order, {"Idempotency-Key": f"order-{number}"}
        )
        if status != OK:
            self._wonder(f"order {number}", status, body)
            return
        made = Bought(number, body["sessionId"], body["subscriptionId"], plan)
        self.bought.append(made)
        made.paid = await self._pay(body["url"], body["sessionId"])
        if made.paid:
            await self._follow(made)

    async def _pay(self, url: str, session_id: str) -> bool:
        """Pay; False if the page has expired because Stripe's clock was advanced."""
        while True:
            try:
                paid = await self.stripe.pay(url)
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            if paid.status in {303, 302}:
                return True
            # the answer to an earlier try may have been lost
            return await self.session_status(session_id) == "complete"

    async def session_status(self, session_id: str) -> str:
        """Return Stripe's status of a Checkout session."""
        return str((await self.stripe_object(f"checkout/sessions/{session_id}"))["status"])

    async def stripe_object(self, path: str) -> Any:
        """Read from Stripe, trying again while it is away."""
        headers = {"Authorization": "Bearer sk_test_of_the_tests"}
        while True:
            try:
                async with self.session.get(
                    f"{self.stripe_url}/v1/{path}", headers=headers
                ) as response:
                    if response.status == OK:
                        return await response.json()
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(PAUSE_SECONDS)

    async def _follow(self, made: Bought) -> None:
        """Look at the success page until the tenant is ready, for a while."""
        until = time.monotonic() + 20
        while time.monotonic() < until and not self.stopping:
            status, body = await self._request(
                "page", "GET", f"/api/checkout/session/{made.session_id}?wait=5"
            )
            if status == OK and body["status"] == "active":
                return
            await asyncio.sleep(PAUSE_SECONDS)

    async def _change(self, one: Bought) -> None:
        one.steps += 1
        what = self.chance.choices(
            ["plan", "refund", "cancel", "resume", "end"],
            weights=[6, 2, 2, 2, 1 if one.number % 4 == 0 else 0],
        )[0]
        match what:
            case "plan":
                await self._change_plan(one)
            case "refund":
                await self._refund(one)
            case "cancel":
                if await self._done(one, "cancel", {"atPeriodEnd": True}):
                    one.ends = True
            case "end":
                if await self._done(one, "cancel", {"atPeriodEnd": False}):
                    one.ended = True
            case "resume" if one.ends:
                if await self._done(one, "resume", {}):
                    one.ends = False

    async def _change_plan(self, one: Bought) -> None:
        other = PLANS[1 - PLANS.index(one.plan)]
        body = {"planId": other, "billingCycle": "monthly", "payFirst": True}
        if await self._done(one, "change-plan", body):
            one.plan = other
            one.changes += 1

    async def _refund(self, one: Bought) -> None:
        """Refund a little of the newest invoice that was paid."""
        path = f"/api/billing/invoices?subscriptionId={one.subscription_id}"
        headers = {"Authorization": f"Bearer {KEY}"}
        status, body = await self._request("page", "GET", path, headers=headers)
        paid = (
            [each for each in body["invoices"] if each["amountPaid"] > REFUND]
            if status == OK
            else []
        )
        if paid:
            refund = f"/api/billing/invoices/{paid[0]['id']}/refund"
            if await self._is_done(one, refund, {"amount": REFUND}):
                one.refunded += REFUND

    async def _done(self, one: Bought, what: str, body: dict[str, Any]) -> bool:
        """Ask for a change of the subscription; whether the service says that it is made."""
        return await self._is_done(
            one, f"/api/billing/subscriptions/{one.subscription_id}/{what}", body
        )

    async def _is_done(self, one: Bought, path: str, body: dict[str, Any]) -> bool:
        """Ask until the answer is definite; whether it is that it is done."""
        key = uuid5(_NAMESPACE, f"{one.number} {one.steps}").hex
        headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": key}
        status, answer = await self._insist("page", path, body, headers)
        if status == OK:
            return True
        if answer.get("code") == "subscription_ended":
            one.ended = True
        elif answer.get("code") not in _EXPECTED:
            self._wonder(path, status, answer)
        return False

    async def _insist(
        self, kind: Kind, path: str, body: Any, headers: dict[str, str]
    ) -> tuple[int, Any]:
        """Send a request until the answer is definite."""
        while True:
            status, answer = await self._request(kind, "POST", path, json=body, headers=headers)
            again = status in _REPEAT or (answer or {}).get("code") in _WAIT
            if not again:
                return status, answer
            await asyncio.sleep(PAUSE_SECONDS)

    async def _request(self, kind: Kind, method: str, path: str, **more: Any) -> tuple[int, Any]:
        started = time.monotonic()
        try:
            async with self.session.request(
                method, self.url + path, timeout=PATIENCE, **more
            ) as response:
                status, body = response.status, await response.json()
        except (aiohttp.ClientError, TimeoutError, OSError):
            status, body = NO_RESPONSE, None
        self.responses.record(kind, status, started)
        return status, body

    def _wonder(self, what: str, status: int, body: Any) -> None:
        self.surprises.append(f"{what}: {status} {body}")


_EXPECTED = {
    "not_paid",
    "not_cancelled",
    "unpaid_invoice",
    "card_declined",
    "no_plan_to_change",
    "preview_outdated",
    "already_refunded",
    "nothing_to_refund",
    "refund_too_large",
}
"""Refusals that follow from what else happens: time passes, and cards fail."""


def address_of(number: int) -> str:
    """Return the e-mail address of a buyer, who orders once."""
    return f"ada{number}@example.com"
