"""What holds in every world, whatever happened: told from Stripe, the service and the commands.

Our rows are what Stripe has, and add up to its sums; nobody is charged a price without notice;
what is not paid for is not served.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from mpanel_billing.reconciliation.drift import Drift
from tests.worlds.checker import unpaid_terms
from tests.worlds.facts import Facts, Object, Subscription
from tests.worlds.town import GRACE, Town

Totals: TypeAlias = Mapping[tuple[str, str], int]
"""By Stripe customer and kind, in minor units; without zeros."""

HOUR = 3600
TAKEN = frozenset({"needs_response", "under_review", "lost"})
"""The statuses of a dispute in which the bank has the money."""

_OURS = """
SELECT i.stripe_customer_id, kind.name, sum(kind.amount)::bigint AS amount
FROM invoices AS i
CROSS JOIN LATERAL (VALUES
    ('paid', i.amount_paid), ('given back', i.amount_refunded + i.amount_credited),
    ('disputed', i.amount_disputed)
) AS kind (name, amount)
GROUP BY 1, 2
UNION ALL
SELECT stripe_customer_id, 'balance', balance FROM stripe_customer_balances
"""


async def broken_promises(town: Town, facts: Facts) -> list[str]:
    """Return what does not hold."""
    found = await town.find_drift()
    broken = [drift.describe() for drift in found if _is_of_others(facts, drift)]
    broken += await _wrong_sums(town, facts)
    broken += _prices_without_notice(facts)
    if facts.commands.worker_stopped_at is None:
        broken += _served_for_nothing(facts)
    return broken


# The mirror.


def _is_apart(facts: Facts, subscription: Subscription) -> bool:
    """Whether mPanel has deleted its rows, for a time or for ever."""
    return subscription.id in facts.commands.deleted | facts.commands.restored


def _is_of_others(facts: Facts, drift: Drift) -> bool:
    """Whether drift is of an object at Stripe whose rows mPanel has let alone."""
    if not any(_is_apart(facts, one) for one in facts.subscriptions):
        return drift.object_type != "account"
    return drift.object_id in {
        id_
        for one in facts.subscriptions
        if not _is_apart(facts, one)
        for id_ in (one.id, one.stripe["customer"], *(each["id"] for each in one.invoices))
    }


async def _wrong_sums(town: Town, facts: Facts) -> Iterator[str]:
    """Compare the sums of each customer whose rows mPanel has not deleted."""
    apart = {one.stripe["customer"] for one in facts.subscriptions if _is_apart(facts, one)}
    known = {one.stripe["customer"] for one in facts.subscriptions} - apart
    stripes, ours = _of(known, await _at_stripe(town, facts)), _of(known, await _in_rows(town))
    return (
        f"{key}: ours {ours.get(key, 0)}, Stripe's {stripes.get(key, 0)}"
        for key in sorted(stripes.keys() | ours.keys())
        if ours.get(key) != stripes.get(key)
    )


async def _at_stripe(town: Town, facts: Facts) -> Totals:
    totals: Counter[tuple[str, str]] = Counter()
    customers: dict[str, str] = {}
    for invoice in await town.get_from_stripe("invoices"):
        customers[invoice["id"]] = invoice["customer"]
        totals[invoice["customer"], "paid"] += invoice["amount_paid"]
    for invoice_id, amount in facts.refunded.items():
        totals[customers[invoice_id], "given back"] += amount
    for dispute, paid in facts.disputes:
        if dispute["status"] in TAKEN:
            totals[paid["customer"], "disputed"] += dispute["amount"]
    for customer in await town.get_from_stripe("customers"):
        totals[customer["id"], "balance"] += customer["balance"]
    return totals


async def _in_rows(town: Town) -> Totals:
    rows = await town.pool.fetch(_OURS)
    return {(row["stripe_customer_id"], row["name"]): row["amount"] for row in rows}


def _of(customers: set[str], totals: Totals) -> Totals:
    return {key: amount for key, amount in totals.items() if amount and key[0] in customers}


# Prices.


def _prices_without_notice(facts: Facts) -> Iterator[str]:
    """Find what was charged at a price that its customer neither chose nor was told of in time."""
    coming = {notice.price for notice in facts.commands.notices}
    for subscription in facts.subscriptions:
        for invoice in subscription.terms:
            for price in _prices_of(invoice) & coming:
                if not _is_agreed(facts, subscription, price, invoice["created"]):
                    yield f"{invoice['id']} charges {price} of {subscription.id} without notice"


def _prices_of(invoice: Object) -> set[str]:
    """Return the prices that an invoice charges; a credit for one is no charge."""
    return {
        line["pricing"]["price_details"]["price"]
        for line in invoice["lines"]["data"]
        if line["pricing"] and line["pricing"].get("price_details") and line["amount"] > 0
    }


def _is_agreed(facts: Facts, subscription: Subscription, price: str, at: int) -> bool:
    commands = facts.commands
    return (subscription.id, price) in commands.chosen or any(
        (one.subscription, one.price) == (subscription.id, price) and one.not_before <= at
        for one in commands.notices
    )


# Services.


def _served_for_nothing(facts: Facts) -> Iterator[str]:
    """Find who is served although nothing is paid for it, and whoever gives it away has not."""
    for subscription in facts.subscriptions:
        active = {t for t, one in subscription.accounts.items() if one["state"] == "active"}
        if not active or subscription.refused or _is_apart(facts, subscription):
            continue
        if why := _why_not_served(facts, subscription):
            yield f"{subscription.id} has {sorted(active)} although {why}"


def _why_not_served(facts: Facts, subscription: Subscription) -> str | None:
    if subscription.id in facts.commands.held:
        return "an operator holds it"
    if _is_paused_by_request(subscription):
        return "Stripe has paused it"
    if facts.is_held_for_pause(subscription):
        return "its term is not charged, for a pause"
    debts = [one["status_transitions"]["finalized_at"] for one in unpaid_terms(subscription)]
    days = 30 * 86_400 if subscription.id in facts.commands.lenient else GRACE.total_seconds()
    in_debt = subscription.status in {"past_due", "unpaid"}
    if in_debt and debts and min(debts) + days + HOUR < facts.now:
        return "it owes more than its days of grace"
    return None


def _is_paused_by_request(subscription: Subscription) -> bool:
    paused = (subscription.stripe.get("status_details") or {}).get("paused") or {}
    reason = (paused.get("subscription") or {}).get("type")
    return subscription.status == "paused" and reason != "first_payment_failure"
