"""What can happen after the end: late payments, and customers who come back."""

from collections.abc import Awaitable, Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias
from uuid import UUID, uuid4

from mpanel_billing.database.pool import transaction
from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.provisioning import operations
from mpanel_billing.provisioning.late_payments import keep_payments
from mpanel_billing.subscriptions import repository
from tests.provisioning.actions import Actions
from tests.provisioning.harness import PRICE, Harness, customer_of

Move: TypeAlias = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, repr=False)
class AfterEnd:
    """Applies each action to the model and to the service."""

    actions: Actions

    @property
    def harness(self) -> Harness:
        return self.actions.harness

    def moves(self, id_: str) -> list[Move]:
        """List what can happen to an ended subscription, and to its customer."""
        bought, line = self.harness.bought[id_], self.harness.line(id_)
        latest = self.harness.bought[line[-1]]
        moves: list[Move] = []
        if self._payable(id_):
            moves += [self.pay_late, self.pay_late]
        if bought.paid_late:
            moves += [self.refund_part, self.refund, self.keep]
        if latest.ended_at is not None:
            moves += [self.come_back, self.come_back, self.come_back_unvouched]
        if bought.ended_at is not None:
            moves += [self.revive]
        if latest.ended_at is None and id_ != line[-1]:
            moves += [self.adopt, self.adopt]
        return moves

    # Late payments.

    def _payable(self, id_: str) -> list[datetime]:
        """Return the invoices that are still open at Stripe."""
        objects = self.harness.stripe.objects
        return [
            since
            for since in self.harness.bought[id_].payable
            if objects[f"in_{int(since.timestamp())}_{id_}"]["status"] in {"open", "uncollectible"}
        ]

    async def pay_late(self, id_: str) -> None:
        bought, since = self.harness.bought[id_], self._payable(id_)[0]
        paid_at = self.harness.stripe.next_second()
        invoice = await self.harness.deliver_invoice(id_, since, "paid", paid_at=paid_at)
        bought.payable.remove(since)
        bought.paid_late[invoice] = bought.receipts[invoice] = PRICE
        await self.harness.deliver_payment(invoice)

    async def refund_part(self, id_: str) -> None:
        """Give back a third of the first of them: it keeps the accounts still."""
        bought = self.harness.bought[id_]
        invoice = next(iter(bought.paid_late))
        part = bought.paid_late[invoice] // 3
        bought.give_back(invoice, part)
        await self.harness.deliver_refund(invoice, part)

    async def refund(self, id_: str) -> None:
        bought = self.harness.bought[id_]
        for invoice, amount in [*bought.paid_late.items()]:
            await self.harness.deliver_refund(invoice, amount)
            bought.give_back(invoice, amount)

    async def keep(self, id_: str) -> None:
        """Let an operator say that the money is kept by agreement."""
        subscription = await self.harness.id_of(id_)
        await keep_payments(self.harness.pool, subscription, reason="a credit", operator="grace")
        bought = self.harness.bought[id_]
        bought.paid_late.clear()
        bought.paid_late_throughout = False

    # Customers who come back.

    async def come_back(self, id_: str) -> None:
        """Order again for the same domain, vouched for by mPanel."""
        latest = self.harness.line(id_)[-1]
        await self._order_again(latest, vouched=True)

    async def come_back_unvouched(self, id_: str) -> None:
        await self._order_again(self.harness.line(id_)[-1], vouched=False)

    async def _order_again(self, latest: str, *, vouched: bool) -> None:
        new, plan = self._next_id(latest), self.harness.bought[latest].plan
        await self.actions.sell(new, plan, vouched=vouched)
        if vouched:
            self.harness.bought[new].returned_at = self.harness.clock()
        await self.actions.pay_first(new)

    async def revive(self, id_: str) -> None:
        """Let an operator bill the customer again, if that is possible."""
        subscription, successor = await self.harness.id_of(id_), uuid4()
        if not await self._plan_revival(subscription, successor):
            return
        ended, new = self.harness.bought[id_], self._next_id(id_)
        self.harness.server.owners[successor] = customer_of(id_)
        self.harness.bought[new] = replace(
            self.harness.sold(ended.plan),
            addons=deepcopy(ended.addons),
            status="active",
            negotiated=ended.negotiated,
            returned_from=id_,
            returned_at=self.harness.clock(),
            revives=successor,
            makes_up_for=set(ended.paid_late),
        )
        await self.harness.deliver_subscription(new)

    async def _plan_revival(self, subscription: UUID, successor: UUID) -> bool:
        async with transaction(self.harness.pool) as conn:
            await repository.changes.lock_subject(conn, subscription)
            revival = await repository.subscriptions.get_revival(conn, subscription, successor)
            if revival["taken_over_by"] or revival["is_held"] or not revival["has_accounts"]:
                return False
            return await repository.subscriptions.plan_revival(conn, subscription, successor)

    async def adopt(self, id_: str) -> None:
        """Let an operator join the customer's living subscription with this ended one's tenant."""
        latest = self.harness.line(id_)[-1]
        tenant = await self.harness.pool.fetchval(
            "SELECT t.id FROM tenants AS t JOIN subscriptions AS s"
            " ON s.id = t.billing_subscription_id WHERE s.stripe_subscription_id = $1",
            id_,
        )
        if tenant is None:
            return
        try:
            await operations.adopt(self.harness.pool, await self.harness.id_of(latest), tenant)
        except (ConflictError, NotFoundError):
            return
        self.harness.bought[latest].returned_from = id_
        self.harness.bought[latest].returned_at = self.harness.clock()

    def _next_id(self, id_: str) -> str:
        line = self.harness.line(id_)
        return f"{line[0]}_{len(line) + 1}"
