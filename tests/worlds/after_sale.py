"""What can happen after a sale: other prices, pauses, planned changes, credit notes.

As in `happenings`, a number chooses, and what does not apply does nothing.
"""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import stripe

from mpanel_billing.catalogue.push import push_catalogue
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from mpanel_billing.subscriptions.price_announcements import (
    PriceMigration,
    announce_migration,
    withdraw_migration,
)
from tests.worlds.happenings import GOOD, Happening, create_customer, find_living, note_sale
from tests.worlds.town import BY, KEY, Notice, Town, prices_by_key

MIGRATED = "starter_monthly_usd"
NOTICES = (0, 2, 14, 40)
"""Days."""
REFUSED = frozenset({402, 404, 409, 422})
"""What a caller may be told; anything else is a fault of the service."""

_TOLD = """
    SELECT subscription_id, data -> 'price' AS price FROM billing_messages
    WHERE type = 'price.changing' AND position > $1
"""
_PRICES = "SELECT stripe_price_id FROM prices WHERE lookup_key = $1 ORDER BY unit_amount"


async def _ask(town: Town, number: int, verb: str, **body: object) -> str | None:
    """Let mPanel's customer do something; return the subscription if it was done."""
    held = await find_living(town, number)
    if held is None or held.id not in town.ids or held.id in town.commands.deleted:
        return None
    url = f"/api/billing/subscriptions/{town.ids[held.id]}/{verb}"
    headers = {"Authorization": f"Bearer {KEY}"}
    async with town.client.post(url, json=body, headers=headers) as response:
        answer = await response.json()
        assert response.status == 200 or response.status in REFUSED, (verb, answer)
    return held.id if answer.get("changed") else None


# Other prices for those who have one.


async def sell_classic(town: Town, _: int) -> None:
    """Sell the plan whose price is migrated, in Stripe's classic billing mode."""
    price = prices_by_key(await town.get_from_stripe("prices", active="true"))[MIGRATED]
    made = await town.api.subscriptions.create_async(
        {
            "customer": await create_customer(town, GOOD),
            "items": [{"price": price}],
            "billing_mode": {"type": "classic"},
        }
    )
    await note_sale(town, made.id)


async def raise_price(town: Town, _: int) -> None:
    """Sell the plan for more from now on; who has it keeps the price."""
    before = await town.pool.fetchrow(
        "UPDATE prices SET active = FALSE WHERE active AND lookup_key = $1 RETURNING *", MIGRATED
    )
    assert before is not None
    await town.pool.execute(
        "INSERT INTO prices (product_id, billing_cycle, currency, unit_amount, lookup_key)"
        " VALUES ($1, $2, $3, $4, $5)",
        *(before[name] for name in ("product_id", "billing_cycle", "currency")),
        before["unit_amount"] + 100,
        MIGRATED,
    )
    await push_catalogue(town.pool, StripeCatalogue(town.gateway.client), livemode=False)


async def _migration(town: Town, number: int) -> PriceMigration | None:
    """Choose a price that is no longer sold, which is to become the one that is."""
    prices = [row["stripe_price_id"] for row in await town.pool.fetch(_PRICES, MIGRATED)]
    if len(prices) < 2:
        return None
    starts_at = datetime.fromtimestamp(await town.stripe.now(), UTC)
    starts_at += timedelta(days=20 if number % 5 == 4 else 0)
    old = prices[number % (len(prices) - 1)]
    return PriceMigration("starter", old, prices[-1], starts_at, NOTICES[number % len(NOTICES)])


async def migrate_prices(town: Town, number: int) -> None:
    """Tell those who have an old price of the new one."""
    wanted = await _migration(town, number)
    if wanted is None:
        await raise_price(town, number)
        wanted = await _migration(town, number)
    assert wanted is not None
    since = await town.pool.fetchval("SELECT coalesce(max(position), 0) FROM billing_messages")
    now = await town.stripe.now()
    done = await announce_migration(town.pool, wanted, BY)
    told = await town.pool.fetch(_TOLD, since)
    assert len(told) == done.subscriptions
    owners = {id_: name for name, id_ in town.ids.items()}
    bound = max(int(wanted.starts_at.timestamp()), now + wanted.notice_days * 86_400)
    for row in told:
        assert datetime.fromisoformat(row["price"]["effectiveAt"]).timestamp() >= bound - 1
        owner = owners[row["subscription_id"]]
        town.commands.notices.append(Notice(owner, wanted.new, bound))


async def withdraw_prices(town: Town, number: int) -> None:
    """Call a migration off, for those to whom it has not come yet."""
    wanted = await _migration(town, number)
    if wanted is None:
        return
    _, under_way = await withdraw_migration(town.pool, wanted, BY)
    if under_way == 0:
        kept = await _who_has(town, wanted.new)
        town.commands.notices[:] = [
            one
            for one in town.commands.notices
            if one.price != wanted.new or one.subscription in kept
        ]


async def _who_has(town: Town, price: str) -> set[str]:
    """Return whose subscription has a price at Stripe, or a schedule which may have it."""
    listed = await town.get_from_stripe("subscriptions", status="all")
    return {
        one["id"]
        for one in listed
        if one["schedule"] or any(item["price"]["id"] == price for item in one["items"]["data"])
    }


# Pauses.


async def pause(town: Town, number: int) -> None:
    """Pause as a customer does: until it is resumed, else to a date after the end of the term."""
    held = await find_living(town, number)
    if held is None:
        return
    end = max(item.current_period_end for item in held["items"].data)
    until = datetime.fromtimestamp(end + (5, 20, 40, 70)[number % 4] * 86_400, UTC)
    if await _ask(town, number, "pause") is None:
        paused = await _ask(town, number, "pause", until=until.isoformat())
        if paused is not None:
            town.commands.held_from.setdefault(paused, []).append(end)


async def resume(town: Town, number: int) -> None:
    """Resume a pause, or what is set to end; while the paid term runs nothing was held."""
    if resumed := await _ask(town, number, "resume"):
        now = await town.stripe.now()
        begun = [since for since in town.commands.held_from.get(resumed, []) if since <= now]
        town.commands.held_from[resumed] = begun


# Changes as customers make them.


async def change_plan(town: Town, number: int) -> None:
    """Change to another plan: more at once, less at the end of the term."""
    plan = ("premium", "starter", "business")[number % 3]
    changed = await _ask(
        town, number, "change-plan", planId=plan, billingCycle="monthly", payFirst=number % 2 == 0
    )
    if changed is not None:
        await _note_change(town, changed)


async def undo_change(town: Town, number: int) -> None:
    await _ask(town, number, "undo-change")


async def _note_change(town: Town, subscription: str) -> None:
    """Note what the customer has agreed to, and which schedule is ours."""
    prices = prices_by_key(await town.get_from_stripe("prices", active="true"))
    town.commands.chosen.add((subscription, prices[MIGRATED]))
    held = await town.api.subscriptions.retrieve_async(subscription)
    if held.schedule:
        town.commands.schedules.add(str(held.schedule))


# Money back.


async def credit(town: Town, number: int) -> None:
    """Credit a part or all of the newest paid invoice: in the Dashboard, to one of three places."""
    if (held := await find_living(town, number)) is None:
        return
    found = await town.get_from_stripe("invoices", subscription=held.id, status="paid")
    paid = [invoice for invoice in found if invoice["amount_paid"]]
    if paid:
        amount = paid[0]["amount_paid"] // (1 + number % 3)
        to = ("credit_amount", "refund_amount", "out_of_band_amount")[number % 3]
        note: Any = {"invoice": paid[0]["id"], "amount": amount, to: amount}
        with suppress(stripe.InvalidRequestError):
            await town.api.credit_notes.create_async(note)


AFTER_SALE: tuple[Happening, ...] = (
    *(sell_classic, raise_price, migrate_prices, migrate_prices, withdraw_prices),
    *(pause, pause, pause, resume, resume, change_plan, change_plan, undo_change, credit, credit),
)
