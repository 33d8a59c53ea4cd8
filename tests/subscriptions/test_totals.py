"""What our rows add up to for a customer is what Stripe has, after any history of money."""

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from itertools import product
from typing import Any

import pytest
import stripe as sdk

from tests.subscriptions.conftest import Backend

CURRENCIES = ("usd", "eur", "jpy")
STEPS = 24

Totals = Mapping[tuple[str, str, str], int]
"""By Stripe customer, currency and kind, in minor units; without zeros."""

OURS = """
SELECT stripe_customer_id, lower(currency) AS currency, kind.name,
    sum(kind.amount)::bigint AS amount
FROM invoices AS i
CROSS JOIN LATERAL (VALUES
    ('paid', i.amount_paid), ('refunded', i.amount_refunded), ('credited', i.amount_credited),
    ('disputed', i.amount_disputed)
) AS kind (name, amount)
WHERE i.stripe_customer_id = ANY($1)
GROUP BY 1, 2, 3
UNION ALL
SELECT stripe_customer_id, currency, 'balance', balance
FROM stripe_customer_balances
WHERE stripe_customer_id = ANY($1)
"""


class Bank:
    """Customers of several currencies, and what may happen to their money."""

    def __init__(self, backend: Backend, seed: int) -> None:
        self.stripe = backend.service.stripe
        self.api = backend.worker.gateway.client.v1
        self.pool = backend.service.pool
        self.chance = random.Random(seed)
        self.customers: list[tuple[str, str]] = []
        self.invoices: list[Any] = []
        self.disputes: list[str] = []

    async def open_accounts(self) -> None:
        for currency in CURRENCIES:
            made = await self.api.customers.create_async(
                {
                    "payment_method": "pm_card_visa",
                    "invoice_settings": {"default_payment_method": "pm_card_visa"},
                }
            )
            self.customers.append((made.id, currency))

    async def bill(self, account: tuple[str, str] | None = None) -> None:
        customer, currency = account or self.chance.choice(self.customers)
        amount = self.chance.randint(5000, 9000)
        await self.api.invoice_items.create_async(
            {"customer": customer, "amount": amount, "currency": currency}
        )
        invoice = await self.api.invoices.create_async(
            {
                "customer": customer,
                "currency": currency,
                "pending_invoice_items_behavior": "include",
            }
        )
        await self.api.invoices.pay_async(invoice.id)
        self.invoices.append(invoice.id)

    async def charges_of(self, customer: str) -> list[str]:
        """The charges of a customer that went through, the latest first."""
        charges = await self.api.charges.list_async({"customer": customer, "limit": 100})
        return [charge.id for charge in charges.data if charge.paid]

    async def any_charge(self) -> str:
        customer, _ = self.chance.choice(self.customers)
        return self.chance.choice([*await self.charges_of(customer), "ch_none"])

    async def refund(self) -> None:
        amount = self.chance.randint(1, 900)
        params: Any = {"charge": await self.any_charge(), "amount": amount}
        made = await self.api.refunds.create_async(params)
        if self.chance.random() < 0.3:
            await self.stripe.fail_refund(made.id)

    async def credit(self) -> None:
        amount = self.chance.randint(1, 900)
        to = self.chance.choice(["credit_amount", "refund_amount", "out_of_band_amount"])
        params: Any = {"invoice": self.chance.choice(self.invoices), "amount": amount, to: amount}
        await self.api.credit_notes.create_async(params)

    async def dispute(self) -> None:
        charge = await self.any_charge()
        status = self.chance.choice(["needs_response", "needs_response", "warning_needs_response"])
        known = await self.api.disputes.list_async({"charge": charge})
        if charge != "ch_none" and not known.data:
            self.disputes.append(await self.stripe.dispute(charge, status=status))

    async def decide(self) -> None:
        if self.disputes:
            outcome = self.chance.choice(["won", "lost"])
            await self.stripe.decide_dispute(self.disputes.pop(), outcome)

    async def happen(self) -> None:
        """Let something happen, if Stripe allows it."""
        steps: list[Callable[[], Awaitable[None]]] = [
            *(self.bill, self.bill, self.bill, self.refund, self.refund),
            *(self.credit, self.credit, self.credit, self.dispute, self.dispute, self.decide),
        ]
        step = self.chance.choice(steps) if self.invoices else self.bill
        with suppress(sdk.InvalidRequestError):
            await step()

    async def end(self) -> None:
        """Leave every customer with a balance, a credit, a refund and a dispute."""
        for account in self.customers:
            await self.bill(account)
            charge, *_ = await self.charges_of(account[0])
            await self.api.refunds.create_async({"charge": charge, "amount": 10})
            await self.stripe.dispute(charge)
            await self.bill(account)
            for to in ("credit_amount", "out_of_band_amount"):
                params: Any = {"invoice": self.invoices[-1], "amount": 20, to: 20}
                await self.api.credit_notes.create_async(params)

    async def at_stripe(self) -> Totals:
        """Add up Stripe's own charges, refunds, credit notes, disputes and balances."""
        totals: Counter[tuple[str, str, str]] = Counter()
        owners = {}
        for charge in (await self.api.charges.list_async({"limit": 100})).data:
            owner = (str(charge.customer), charge.currency)
            owners[charge.id] = owner
            totals[(*owner, "paid")] += charge.amount_captured
            totals[(*owner, "refunded")] += charge.amount_refunded
        for note in (await self.api.credit_notes.list_async({"limit": 100})).data:
            refunds = sum(one.amount_refunded for one in note.refunds)
            owner = (str(note.customer), note.currency)
            totals[(*owner, "credited")] += note.post_payment_amount - refunds
        for dispute in (await self.api.disputes.list_async({"limit": 100})).data:
            if dispute.status in {"needs_response", "under_review", "lost"}:
                totals[(*owners[str(dispute.charge)], "disputed")] += dispute.amount
        for id_, currency in self.customers:
            customer = await self.api.customers.retrieve_async(id_)
            totals[(id_, currency, "balance")] += customer.balance or 0
        return _of({id_ for id_, _ in self.customers}, totals)

    async def in_our_rows(self) -> Totals:
        ids = [id_ for id_, _ in self.customers]
        totals: Counter[tuple[str, str, str]] = Counter()
        for row in await self.pool.fetch(OURS, ids):
            totals[(row["stripe_customer_id"], row["currency"], row["name"])] += row["amount"]
        return _of(set(ids), totals)


def _of(ids: set[str], totals: Totals) -> Totals:
    return {key: amount for key, amount in totals.items() if amount and key[0] in ids}


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_totals_of_every_customer_are_those_of_stripe(
    backend: Backend, seed: int
) -> None:
    bank = Bank(backend, seed)
    await bank.open_accounts()
    await bank.stripe.set_delivery(reorder=True, duplicate=True, seed=seed)
    for _ in range(STEPS):
        await bank.happen()
    await bank.end()
    await bank.stripe.set_delivery()
    await backend.worker.catch_up()
    expected = await bank.at_stripe()
    assert await bank.in_our_rows() == expected
    kinds = {"paid", "refunded", "credited", "disputed", "balance"}
    assert {(currency, kind) for _, currency, kind in expected} == {*product(CURRENCIES, kinds)}
