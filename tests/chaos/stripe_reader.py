"""Everything as Stripe has it, read through its API."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import aiohttp

from tests.chaos.stage import Stage

Object = Mapping[str, Any]
_HEADERS = {"Authorization": "Bearer sk_test_of_the_tests"}


@dataclass(frozen=True)
class StripeTruth:
    """The objects at Stripe; `codes` are those of the catalogue, by product.

    `payments` are their numbers by invoice, `refunds` their amounts by subscription (minor units).
    """

    subscriptions: Mapping[str, Object]
    invoices: list[Object]
    customers: Mapping[str, Object]
    codes: Mapping[str, str]
    payments: Counter[str]
    refunds: Counter[str]

    @cached_property
    def subscriptions_by_address(self) -> Mapping[str, list[str]]:
        """The subscriptions of each e-mail address."""
        found = defaultdict[str, list[str]](list)
        for id_, subscription in self.subscriptions.items():
            found[self.customers[subscription["customer"]]["email"]].append(id_)
        return found

    @cached_property
    def invoices_by_subscription(self) -> Mapping[str, list[Object]]:
        """The invoices of each subscription."""
        found = defaultdict[str, list[Object]](list)
        for invoice in self.invoices:
            if subscription := self.subscription_of(invoice):
                found[subscription].append(invoice)
        return found

    @staticmethod
    def subscription_of(invoice: Object) -> str | None:
        """Return the subscription that an invoice belongs to."""
        details = (invoice["parent"] or {}).get("subscription_details") or {}
        return details.get("subscription")


async def read_stripe(stage: Stage) -> StripeTruth:
    """Read all that is compared."""
    url = f"http://127.0.0.1:{stage.ports.stripe}/v1"
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(headers=_HEADERS, timeout=timeout) as session:
        subscriptions = await _all(session, f"{url}/subscriptions", status="all")
        products = await _all(session, f"{url}/products")
        payments = await _all(session, f"{url}/invoice_payments", status="paid")
        customers = await _all(session, f"{url}/customers")
        invoices = await _all(session, f"{url}/invoices")
        refunds = await _all(session, f"{url}/refunds")
        return StripeTruth(
            {one["id"]: one for one in subscriptions},
            invoices,
            {one["id"]: one for one in customers},
            {one["id"]: one["metadata"]["code"] for one in products if one["metadata"]},
            Counter(one["invoice"] for one in payments),
            _refunded(refunds, payments, invoices),
        )


def _refunded(
    refunds: list[Object], payments: list[Object], invoices: list[Object]
) -> Counter[str]:
    """Return what was refunded of each subscription."""
    paid = {one["payment"].get("payment_intent"): one["invoice"] for one in payments}
    owners = {one["id"]: StripeTruth.subscription_of(one) for one in invoices}
    found = Counter[str]()
    for refund in refunds:
        if refund["status"] not in {"failed", "canceled"}:
            found[owners.get(paid.get(refund["payment_intent"])) or ""] += refund["amount"]
    return found


async def _all(session: aiohttp.ClientSession, url: str, **params: str) -> list[Object]:
    found: list[Object] = []
    page = {"limit": "100", **params}
    while True:
        async with session.get(url, params=page) as response:
            answer = await response.json()
            assert response.status == 200, answer
        found += answer["data"]
        if not answer["has_more"]:
            return found
        page["starting_after"] = answer["data"][-1]["id"]
