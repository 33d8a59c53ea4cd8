"""A test account to ask, real or the sandbox; what is made in it has a prefix and is removed."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import stripe

DAY = 86_400
PREFIX = "contract-test"
MONTH = {"interval": "month"}
PATIENCE = 120
"""Seconds that a test clock of Stripe's may take to advance."""


class LiveKeyError(Exception):
    """The key is not one of a test account."""


def check_key(key: str) -> str:
    """Return the key; raises LiveKeyError unless it is of test mode."""
    if not key.startswith(("sk_test_", "rk_test_")):
        raise LiveKeyError(
            "STRIPE_CONTRACT_KEY must be a key of test mode: sk_test_... or rk_test_"
        )
    return key


@dataclass
class Account:
    """The account, with what has been made in it and is to be removed."""

    api: stripe.StripeClient
    prices: dict[str, str] = field(default_factory=dict)
    clocks: list[str] = field(default_factory=list)
    coupons: list[str] = field(default_factory=list)
    product: str = ""

    @property
    def v1(self) -> Any:
        return self.api.v1

    async def stock(self) -> None:
        """Make a product with the prices that questions need."""
        product = await self.v1.products.create_async({"name": f"{PREFIX} product"})
        self.product = product.id
        for name, amount, currency, recurring in (
            ("monthly", 1000, "usd", MONTH),
            ("bigger", 3000, "usd", MONTH),
            ("yearly", 9000, "usd", {"interval": "year"}),
            ("tiny", 10, "usd", MONTH),
            ("euro", 1000, "eur", MONTH),
            ("once", 700, "usd", None),
        ):
            price = {"product": self.product, "unit_amount": amount, "currency": currency}
            given = price | ({"recurring": recurring} if recurring else {})
            self.prices[name] = (await self.v1.prices.create_async(given)).id

    async def clear(self) -> None:
        """Remove what was made: a clock takes its customers along; prices can only be archived."""
        for clock in self.clocks:
            await self.v1.test_helpers.test_clocks.delete_async(clock)
        for coupon in self.coupons:
            await self.v1.coupons.delete_async(coupon)
        for price in self.prices.values():
            await self.v1.prices.update_async(price, {"active": False})
        await self.v1.products.update_async(self.product, {"active": False})

    async def coupon(self, **params: Any) -> str:
        made = await self.v1.coupons.create_async({"name": PREFIX, **params})
        self.coupons.append(made.id)
        return str(made.id)

    async def person(self, card: str | None = "pm_card_visa") -> "Person":
        """Return a new customer on a test clock that begins now."""
        now = int(time.time())
        clock = await self.v1.test_helpers.test_clocks.create_async(
            {"frozen_time": now, "name": PREFIX}
        )
        self.clocks.append(clock.id)
        params: dict[str, Any] = {"email": f"{PREFIX}@example.com", "test_clock": clock.id}
        if card:
            settings = {"default_payment_method": card}
            params |= {"payment_method": card, "invoice_settings": settings}
        customer = await self.v1.customers.create_async(params)
        return Person(self, customer.id, clock.id, now)


@dataclass
class Person:
    """A customer of the account, and their clock."""

    account: Account
    id: str
    clock: str
    now: int

    async def subscribe(self, price: str = "monthly", **params: Any) -> Any:
        items = [{"price": self.account.prices[price]}]
        given = {"customer": self.id, "items": items, **params}
        return await self.account.v1.subscriptions.create_async(given)

    async def step(self, days: float) -> None:
        """Advance the clock, and wait until it is there."""
        clocks = self.account.v1.test_helpers.test_clocks
        self.now += int(days * DAY)
        clock = await clocks.advance_async(self.clock, {"frozen_time": self.now})
        async with asyncio.timeout(PATIENCE):
            while clock.status != "ready":
                await asyncio.sleep(1)
                clock = await clocks.retrieve_async(self.clock)

    async def use(self, card: str) -> str:
        """Make a new card the default."""
        v1 = self.account.v1
        method = await v1.payment_methods.attach_async(card, {"customer": self.id})
        settings = {"default_payment_method": method.id}
        await v1.customers.update_async(self.id, {"invoice_settings": settings})
        return str(method.id)

    async def events(self, kind: str) -> list[Any]:
        """Return the events of a type about this customer, newest first; one is waited for."""
        for _ in range(5):
            page = await self.account.v1.events.list_async({"type": kind, "limit": 50})
            found = [one for one in page.data if self.id in str(one.data.object)]
            if found:
                return found
            await asyncio.sleep(0.2)
        return []
