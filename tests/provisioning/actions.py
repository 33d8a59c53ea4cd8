"""What Stripe and operators can do to a subscription, applied to the service and to the model."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from mpanel_billing.provisioning import operations
from tests.provisioning.harness import PRICE, Harness

Move: TypeAlias = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, repr=False)
class Actions:
    """Applies each action to the model and to the service."""

    harness: Harness

    async def sell(
        self, id_: str, plan: str, status: str = "incomplete", *, vouched: bool = False
    ) -> None:
        """Sell a plan for the customer's own domain."""
        self.harness.bought[id_] = self.harness.sold(plan)
        await self._deliver_status(id_, status)
        await self.harness.register(id_, vouched=vouched)

    def moves_of_money(self, id_: str) -> list[Move]:
        """List what can happen to the subscription as it is, at Stripe."""
        bought = self.harness.bought[id_]
        if not bought.settled:
            return [self.pay_first]
        moves: list[Move] = [] if bought.pause else [self.pause_or_resume_collection]
        if bought.debts:
            moves += [self.recover, self.recover, self.fall_past_due, self.turn_unpaid]
            moves += [self.write_off, self.pay_the_next_only]
        elif bought.status == "paused":
            moves += [self.come_back]
        else:
            moves += [self.fall_past_due, self.fall_past_due, self.pause]
        return moves

    async def pay_first(self, id_: str) -> None:
        bought = self.harness.bought[id_]
        is_trial = bought.status == "trialing"
        total = 0 if is_trial else 799
        paid = await self.harness.deliver_invoice(id_, self._invoice_time(), "paid", total=total)
        bought.settled = True
        bought.receipts |= {} if is_trial else {paid: PRICE}
        await self._deliver_status(id_, "trialing" if bought.status == "trialing" else "active")

    async def fall_past_due(self, id_: str) -> None:
        since = self._invoice_time()
        self.harness.bought[id_].debts.append(since)
        await self.harness.deliver_invoice(id_, since, "open")
        await self._deliver_status(id_, "past_due")

    async def recover(self, id_: str) -> None:
        """Pay all debts."""
        bought = self.harness.bought[id_]
        for since in bought.debts:
            bought.receipts[await self.harness.deliver_invoice(id_, since, "paid")] = PRICE
        bought.debts.clear()
        bought.written_off.clear()
        await self._deliver_status(id_, "active")

    async def write_off(self, id_: str) -> None:
        """Mark the oldest debt uncollectible: that does not pay it."""
        bought = self.harness.bought[id_]
        oldest = min(bought.debts)
        await self.harness.deliver_invoice(id_, oldest, "uncollectible")
        if bought.last_paid is None or bought.last_paid < oldest:
            bought.written_off.add(oldest)
            return
        bought.debts.remove(oldest)  # a later one has been paid: it is forgiven
        await self._deliver_status(id_, bought.status if bought.debts else "active")

    async def pay_the_next_only(self, id_: str) -> None:
        """Pay a later invoice: what was written off before is forgiven, what is open is not."""
        bought = self.harness.bought[id_]
        bought.last_paid = self._invoice_time()
        paid = await self.harness.deliver_invoice(id_, bought.last_paid, "paid")
        bought.receipts[paid] = PRICE
        bought.debts[:] = [since for since in bought.debts if since not in bought.written_off]
        bought.written_off.clear()
        await self._deliver_status(id_, bought.status if bought.debts else "active")

    async def turn_unpaid(self, id_: str) -> None:
        await self._deliver_status(id_, "unpaid")

    async def pause(self, id_: str) -> None:
        await self._deliver_status(id_, "paused")

    async def come_back(self, id_: str) -> None:
        await self._deliver_status(id_, "active")

    async def pause_or_resume_collection(self, id_: str) -> None:
        bought = self.harness.bought[id_]
        bought.collection_paused = not bought.collection_paused
        await self.harness.deliver_subscription(id_)

    async def change(self, id_: str, plan: str, addons: Counter[str]) -> None:
        self.harness.bought[id_].change(plan, addons, self.harness.clock())
        await self.harness.deliver_subscription(id_)

    async def negotiate(self, id_: str) -> None:
        """Give it prices of its own for the same products, or the listed ones again."""
        bought = self.harness.bought[id_]
        bought.negotiated = not bought.negotiated
        await self.harness.deliver_subscription(id_)

    async def add_or_remove_unknown_item(self, id_: str) -> None:
        bought = self.harness.bought[id_]
        bought.has_unknown_item = not bought.has_unknown_item
        bought.had_unknown_item_throughout &= bought.has_unknown_item
        await self.harness.deliver_subscription(id_)

    async def cancel(self, id_: str, *, at_period_end: bool) -> None:
        """Cancel at the period's end, which changes nothing yet, or now."""
        bought = self.harness.bought[id_]
        if not at_period_end:
            bought.status = "canceled"
            bought.ended_at = self._invoice_time()
            bought.payable = list(bought.debts)
        await self.harness.deliver_subscription(id_, cancel_at_period_end=at_period_end)

    async def hold_or_lift(self, id_: str) -> None:
        bought, pool = self.harness.bought[id_], self.harness.pool
        subscription = await self.harness.id_of(id_)
        if bought.held:
            await operations.lift(pool, subscription, operator="grace")
        else:
            await operations.suspend(pool, subscription, reason="abuse", operator="grace")
        bought.held = not bought.held
        bought.held_throughout &= bought.held

    def _invoice_time(self) -> datetime:
        """Return now, in another second than any before: each term has its own invoice."""
        return datetime.fromtimestamp(self.harness.stripe.next_second(), UTC)

    async def _deliver_status(self, id_: str, status: str) -> None:
        self.harness.bought[id_].status = status
        await self.harness.deliver_subscription(id_)
