"""What a world is like, read over HTTP from Stripe and from the hosting service."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from mpanel_billing.catalogue.file import read_catalogue_file
from mpanel_billing.provisioning.drivers.signed_client import SIGNATURE_HEADER, sign
from mpanel_billing.resources import DEFAULT_CATALOGUE
from tests.provisioning.reference_server import SECRET, TOKEN
from tests.worlds.town import Commands, Town

Object = Mapping[str, Any]

_FILE = read_catalogue_file(DEFAULT_CATALOGUE)
GIVEN_BY = {p.code: tuple(p.product_types) for p in (*_FILE.plans, *_FILE.addons)}
"""The product types that each product of the catalogue gives, by its code."""
PLANS = frozenset(plan.code for plan in _FILE.plans)


@dataclass(frozen=True)
class Subscription:
    """A subscription as Stripe has it, its invoices, and its accounts by product type."""

    stripe: Object
    invoices: Sequence[Object]
    events: Sequence[Object]
    accounts: Mapping[str, Object]
    refused: frozenset[str]

    @property
    def id(self) -> str:
        return str(self.stripe["id"])

    @property
    def status(self) -> str:
        return str(self.stripe["status"])

    @property
    def items(self) -> list[Object]:
        listed: list[Object] = self.stripe["items"]["data"]
        return listed

    @property
    def paused_behavior(self) -> str | None:
        return (self.stripe["pause_collection"] or {}).get("behavior")

    @property
    def terms(self) -> list[Object]:
        """The invoices for its terms, the newest first: those that nobody made by hand."""
        return [invoice for invoice in self.invoices if invoice["billing_reason"] != "manual"]

    def latest_event_at(self) -> int:
        return max((int(event["created"]) for event in self.events), default=0)


@dataclass(frozen=True)
class Facts:
    """A world at a moment; `products` are Stripe's products of the catalogue, with their codes.

    `refunded` is what was refunded or credited of each invoice, in minor units, `lost` what banks
    have taken of it for good. `disputes` are each with the invoice that was paid.
    """

    now: int
    subscriptions: list[Subscription]
    products: Mapping[str, str]
    refunded: Mapping[str, int]
    disputes: list[tuple[Object, Object]]
    commands: Commands

    @property
    def lost(self) -> Mapping[str, int]:
        amounts: dict[str, int] = {}
        for dispute, invoice in self.disputes:
            if dispute["status"] == "lost":
                amounts[invoice["id"]] = amounts.get(invoice["id"], 0) + dispute["amount"]
        return amounts

    def code_of(self, item: Object) -> str | None:
        """Return the code of the catalogue product that an item belongs to."""
        return self.products.get(item["price"]["product"])

    def is_held_for_pause(self, subscription: Subscription) -> bool:
        """Whether what was paid before a pause to a date is over, and no later term is charged."""
        charged = [
            invoice["created"]
            for invoice in subscription.terms
            if invoice["billing_reason"] == "subscription_cycle"
            and invoice["status"] in {"open", "paid"}
        ]
        term = min(item["current_period_start"] for item in subscription.items)
        return any(
            term >= since and not any(moment >= since for moment in charged)
            for since in self.commands.held_from.get(subscription.id, ())
        )


async def read_facts(town: Town) -> Facts:
    """Ask Stripe and the hosting service how everything is."""
    invoices = await town.get_from_stripe("invoices")
    events = await town.get_from_stripe("events")
    refused = {(UUID(owner), type_) for owner, type_ in await _ask_hosting(town, "refusals") or []}
    subscriptions = []
    for stripe in reversed(await town.get_from_stripe("subscriptions", status="all")):
        owner = town.ids.get(stripe["id"])
        named = [one for one in invoices if subscription_of(one) == stripe["id"]]
        subscriptions.append(
            Subscription(
                stripe,
                named,
                [one for one in events if _concerns(one["data"]["object"], stripe["id"])],
                await _accounts(town, owner),
                frozenset(type_ for id_, type_ in refused if id_ == owner),
            )
        )
    products = await town.get_from_stripe("products")
    return Facts(
        await town.stripe.now(),
        subscriptions,
        {one["id"]: one["metadata"]["code"] for one in products if "code" in one["metadata"]},
        await _refunded(town),
        await _disputes(town, invoices),
        town.commands,
    )


def subscription_of(invoice: Object) -> str | None:
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    return details.get("subscription")


def _concerns(stripe: Object, subscription: str) -> bool:
    if stripe["object"] == "invoice":
        return subscription_of(stripe) == subscription
    return bool(stripe.get("id") == subscription)


async def _refunded(town: Town) -> Mapping[str, int]:
    payments = await town.get_from_stripe("invoice_payments")
    invoices = {one["payment"].get("payment_intent"): one["invoice"] for one in payments}
    refunded: dict[str, int] = {}
    for refund in await town.get_from_stripe("refunds"):
        invoice = invoices.get(refund["payment_intent"])
        if invoice is not None and refund["status"] not in {"failed", "canceled"}:
            refunded[invoice] = refunded.get(invoice, 0) + refund["amount"]
    for note in await town.get_from_stripe("credit_notes"):
        refunds = sum(one["amount_refunded"] for one in note["refunds"])
        left = note["post_payment_amount"] - refunds
        refunded[note["invoice"]] = refunded.get(note["invoice"], 0) + left
    return refunded


async def _disputes(town: Town, invoices: Sequence[Object]) -> list[tuple[Object, Object]]:
    payments = await town.get_from_stripe("invoice_payments")
    by_id = {one["id"]: one for one in invoices}
    paid = {one["payment"].get("payment_intent"): by_id[one["invoice"]] for one in payments}
    listed = await town.get_from_stripe("disputes")
    return [(one, paid[one["payment_intent"]]) for one in listed]


async def _accounts(town: Town, owner: UUID | None) -> Mapping[str, Object]:
    types = sorted({type_ for given in GIVEN_BY.values() for type_ in given})
    answers = {type_: await _ask_hosting(town, f"accounts/{type_}/{owner}") for type_ in types}
    return {type_: answer for type_, answer in answers.items() if answer is not None}


async def _ask_hosting(town: Town, path: str) -> Any:
    url = f"{town.hosting.url}/{path}"
    signed = url.removeprefix(town.hosting.url.removesuffix("/v1"))
    headers = {
        "Authorization": f"Bearer {TOKEN}",
        SIGNATURE_HEADER: sign(SECRET, int(time.time()), "GET", signed, b""),
    }
    async with town.session.get(url, headers=headers) as response:
        if response.status == 404:
            return None
        assert response.status == 200
        return await response.json()
