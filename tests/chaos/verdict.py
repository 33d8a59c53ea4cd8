"""What must be true at the end, by the clients' own list of what was acknowledged.

Stripe and the provisioning service are read over HTTP; our rows by SQL of this file.
"""

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.chaos.customers import Bought, address_of
from tests.chaos.stage import Stage
from tests.chaos.stripe_reader import StripeTruth, read_stripe
from tests.worlds.facts import GIVEN_BY

SETTLE_SECONDS = 300
"""How long the service may take to finish what is left; a sweep comes every minute."""
ENDED = {"canceled", "incomplete_expired"}

_UNFINISHED = """
SELECT 'job ' || entrypoint AS what, count(*) FROM pgqueuer
WHERE entrypoint NOT IN ('reconcile') GROUP BY entrypoint
UNION ALL
SELECT 'refetch ' || object_id, 1 FROM stripe_refetches
UNION ALL
SELECT 'event ' || id || ' ' || status, 1 FROM stripe_events WHERE status IN ('received', 'failed')
UNION ALL
SELECT 'work ' || subscription_id, 1 FROM provisioning_work WHERE version > done_version
UNION ALL
SELECT 'request without an outcome, ' || a.action || ' ' || a.details, 1
FROM billing_audit_unsettled AS u JOIN billing_audit_entries AS a ON a.id = u.entry_id
UNION ALL
SELECT 'trouble ' || trouble || ' ' || coalesce(object_id, '') || ' ' || coalesce(detail, ''), 1
FROM billing_trouble
"""

_MIRRORED_SUBSCRIPTIONS = """
SELECT s.stripe_subscription_id, s.id::text, s.stripe_status, s.status, s.cancel_at_period_end,
    s.stripe_customer_id, s.current_period_end, s.checkout_session_id,
    coalesce(array_agg(i.stripe_price_id ORDER BY i.stripe_price_id)
        FILTER (WHERE i.stripe_subscription_item_id IS NOT NULL), '{}') AS prices
FROM subscriptions AS s
LEFT JOIN subscription_items AS i ON i.subscription_id = s.id
WHERE s.stripe_subscription_id IS NOT NULL
GROUP BY s.id
"""

_MIRRORED_INVOICES = """
SELECT i.stripe_invoice_id, i.stripe_status, i.amount_due, i.amount_paid, i.amount_remaining,
    s.stripe_subscription_id
FROM invoices AS i
LEFT JOIN subscriptions AS s ON s.id = i.subscription_id
"""


@dataclass
class Verdict:
    """What is wrong, and the figures of what is right."""

    problems: list[str] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, found: Iterable[object]) -> None:
        """Note what was found of a kind, at most ten of each in words."""
        listed = list(found)
        self.figures[kind] = len(listed)
        self.problems += [f"{kind}: {one}" for one in listed[:10]]


async def judge(stage: Stage) -> Verdict:
    """Wait until the service has nothing left to do, and compare everything."""
    verdict = Verdict()
    verdict.add("unfinished", await _until_settled(stage))
    verdict.add("events lost", await _lost_events(stage))
    truth, bought = await read_stripe(stage), stage.customers.bought
    mirrored = {row[0]: dict(row) for row in await stage.fetch(_MIRRORED_SUBSCRIPTIONS)}
    verdict.add("orders lost", lost_orders(bought, truth, mirrored))
    verdict.add("charged twice", charged_twice(bought, truth, mirrored))
    verdict.add("refunds differ", differing_refunds(bought, truth, mirrored))
    verdict.add("mirror differs", differing_subscriptions(truth, mirrored))
    verdict.add("mirror differs in invoices", await _differing_invoices(stage, truth))
    accounts = await _accounts(stage)
    verdict.add("accounts twice", made_twice(stage.journal.read_text(), accounts))
    verdict.add("accounts differ", differing_accounts(truth, mirrored, accounts))
    verdict.add("promises broken", broken_promises(bought, truth, mirrored))
    verdict.add("answers nobody expects", [*stage.customers.surprises, *_crashes(stage)])
    verdict.add("reconcile finds", await _reconciled(stage))
    return verdict


def _crashes(stage: Stage) -> list[str]:
    """Return how often the service has failed without saying why: what is away is a 502 or 503."""
    count = sum(response.status == 500 for response in stage.responses.all)
    return [f"500, {count} times"] if count else []


async def _until_settled(stage: Stage) -> list[str]:
    """Wait until no webhook, job or trouble is left; return what is left in the end."""
    until = time.monotonic() + SETTLE_SECONDS
    left = ["Stripe has not been asked"]
    while left and time.monotonic() < until:
        await asyncio.sleep(1)
        pending = await stage.stripe.pending()
        left = [f"{pending} webhooks"] if pending else []
        left += [f"{row['what']} ({row['count']})" for row in await stage.fetch(_UNFINISHED)]
    return left


async def _lost_events(stage: Stage) -> set[str]:
    """Return the events that were acknowledged and are not stored."""
    stored = await stage.fetch("SELECT id FROM stripe_events")
    return stage.road.acknowledged - {row["id"] for row in stored}


def lost_orders(
    bought: list[Bought], truth: StripeTruth, mirrored: Mapping[str, Any]
) -> Iterator[str]:
    """Yield the acknowledged and paid orders that are not one subscription and its row."""
    rows = {row["checkout_session_id"]: row for row in mirrored.values()}
    for one in bought:
        row = rows.get(one.session_id)
        if one.paid and (row is None or row["id"] != one.subscription_id):
            yield f"order {one.number}: {row}"
        at_stripe = truth.subscriptions_by_address[address_of(one.number)]
        if len(at_stripe) != one.paid:
            yield f"order {one.number} has {at_stripe} at Stripe, paid: {one.paid}"


def charged_twice(
    bought: list[Bought], truth: StripeTruth, mirrored: Mapping[str, Any]
) -> Iterator[str]:
    """Yield what was billed without an order, twice for a term or a change, or paid twice."""
    changes = {one.subscription_id: one.changes for one in bought}
    for subscription, invoices in truth.invoices_by_subscription.items():
        reasons = Counter(one["billing_reason"] for one in invoices)
        made = changes.get(mirrored.get(subscription, {}).get("id", ""), 0)
        if reasons["subscription_create"] != 1 or reasons["subscription_update"] > made:
            yield f"{subscription}: {dict(reasons)}, {made} changes"
        for period, count in Counter(map(_period, invoices)).items():
            if count > 1 and period is not None:
                yield f"{subscription}: {count} invoices for the term that begins at {period}"
    for invoice, payments in truth.payments.items():
        if payments > 1:
            yield f"{invoice}: {payments} payments"


def differing_refunds(
    bought: list[Bought], truth: StripeTruth, mirrored: Mapping[str, Any]
) -> Iterator[str]:
    """Yield of whom another sum was refunded than the service has said."""
    said = {one.subscription_id: one.refunded for one in bought}
    expected = {id_: said.get(row["id"], 0) for id_, row in mirrored.items()}
    for id_ in expected.keys() | truth.refunds.keys():
        if expected.get(id_, 0) != truth.refunds[id_]:
            yield f"{id_ or 'no subscription'}: {truth.refunds[id_]}, said: {expected.get(id_, 0)}"


def _period(invoice: Mapping[str, Any]) -> int | None:
    """Return the beginning of the term for which Stripe renewed, if the invoice is for one."""
    if invoice["billing_reason"] != "subscription_cycle":
        return None
    return max(int(line["period"]["start"]) for line in invoice["lines"]["data"])


def differing_subscriptions(truth: StripeTruth, mirrored: Mapping[str, Any]) -> Iterator[str]:
    """Yield the subscriptions that are not as Stripe has them."""
    for id_ in truth.subscriptions.keys() ^ mirrored.keys():
        yield f"{id_} is {'not mirrored' if id_ in truth.subscriptions else 'not at Stripe'}"
    for id_, theirs in truth.subscriptions.items():
        ours = mirrored.get(id_)
        if ours is None:
            continue
        items = theirs["items"]["data"]
        expected = {
            "stripe_status": theirs["status"],
            "cancel_at_period_end": theirs["cancel_at_period_end"],
            "stripe_customer_id": theirs["customer"],
            "prices": sorted(item["price"]["id"] for item in items),
        }
        differing = {name: (ours[name], its) for name, its in expected.items() if ours[name] != its}
        if differing:
            yield f"{id_}: {differing}"


async def _differing_invoices(stage: Stage, truth: StripeTruth) -> list[str]:
    ours = {row[0]: tuple(row)[1:] for row in await stage.fetch(_MIRRORED_INVOICES)}
    theirs = {
        one["id"]: (
            one["status"],
            one["amount_due"],
            one["amount_paid"],
            one["amount_remaining"],
            truth.subscription_of(one),
        )
        for one in truth.invoices
    }
    return [
        f"{id_}: {ours.get(id_)}, at Stripe {theirs.get(id_)}"
        for id_ in ours.keys() | theirs.keys()
        if ours.get(id_) != theirs.get(id_)
    ]


async def _accounts(stage: Stage) -> list[dict[str, Any]]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{stage.ports.services}/all") as response,
    ):
        listed: list[dict[str, Any]] = await response.json()
        return listed


def made_twice(journal: str, accounts: list[dict[str, Any]]) -> Iterator[str]:
    """Yield what has two accounts, or was ordered again without an end in between.

    The journal has the orders that the service has carried out, one a line, in JSON.
    """
    living = Counter(
        (one["subscription"], one["type"]) for one in accounts if one["state"] != "terminated"
    )
    yield from (f"{count} of {account}" for account, count in living.items() if count > 1)
    made, ended = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    keys: set[str] = set()
    for line in journal.splitlines():
        order = json.loads(line)
        place = (order["subscription_id"], order["product_type"])
        if order["idempotency_key"] not in keys:
            made[place] += order["action"] == "create"
            ended[place] += order["action"] == "terminate"
        keys.add(order["idempotency_key"])
    for place, count in made.items():
        if count > 1 + ended[place]:
            yield f"{count} orders to make {place}, {ended[place]} to end it"


def differing_accounts(
    truth: StripeTruth, mirrored: Mapping[str, Any], accounts: list[dict[str, Any]]
) -> Iterator[str]:
    """Yield whose active accounts are not those that its items give; once ended, that is none."""
    active = defaultdict[str, set[str]](set)
    for account in accounts:
        if account["state"] == "active":
            active[account["subscription"]].add(account["type"])
    owners = {row["id"]: id_ for id_, row in mirrored.items()}
    yield from (f"accounts of {owner}, which nobody bought" for owner in active.keys() - owners)
    for owner, id_ in owners.items():
        theirs = truth.subscriptions.get(id_)
        if theirs is None:
            continue
        codes = [truth.codes.get(item["price"]["product"], "") for item in theirs["items"]["data"]]
        given = {type_ for code in codes for type_ in GIVEN_BY.get(code, ())}
        expected = set() if theirs["status"] in ENDED else given
        if active[owner] != expected:
            yield f"{id_} {theirs['status']}: active {active[owner]}, bought {expected}"


def broken_promises(
    bought: list[Bought], truth: StripeTruth, mirrored: Mapping[str, Any]
) -> Iterator[str]:
    """Yield what the service said was done, and is not so at Stripe."""
    by_row = {row["id"]: truth.subscriptions.get(id_) for id_, row in mirrored.items()}
    for one in bought:
        theirs = by_row.get(one.subscription_id)
        if theirs is None:
            continue
        codes = {truth.codes.get(item["price"]["product"]) for item in theirs["items"]["data"]}
        if problem := _contradiction(one, theirs, codes):
            yield f"{theirs['id']}, order {one.number}: {problem}"


def _contradiction(one: Bought, theirs: Mapping[str, Any], codes: set[Any]) -> str:
    ended = theirs["status"] in ENDED
    if one.ended and not ended:
        return f"was to end, is {theirs['status']}"
    if not ended and one.ends != theirs["cancel_at_period_end"]:
        return f"ends at the end of the period: {not one.ends}, agreed: {one.ends}"
    if not ended and one.plan not in codes:
        return f"has {codes}, agreed: {one.plan}"
    return ""


async def _reconciled(stage: Stage) -> list[str]:
    """Let the service compare every field of every mirrored object, and every account."""
    status, output = await stage.run_command("reconcile", "--dry-run")
    if status == 0:
        print(output.strip().splitlines()[-1])
        return []
    lines = output.splitlines()
    return [*(line for line in lines if "differ" in line or ":" in line)][-40:] or [output[-2000:]]
