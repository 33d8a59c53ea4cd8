"""Taxes of subscriptions that there are: nobody pays more before they were told."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from mpanel_billing.access.audit import Actor
from mpanel_billing.doctor.taxes import check_taxes
from mpanel_billing.errors import NotFoundError, StripeError
from mpanel_billing.messages import receivers
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning.operations import list_timeline
from mpanel_billing.stripe_gateway.taxing import preview_next
from mpanel_billing.subscriptions import taxing
from mpanel_billing.subscriptions.repository.tax_notices import Chosen
from mpanel_billing.subscriptions.tax_notices import tax_those_told
from mpanel_billing.subscriptions.taxing import Enabling, Outcome, enable_taxes, withdraw_notices
from tests.commands import Ended, run_command
from tests.postgres import Stocked
from tests.service import ORDER
from tests.subscriptions.conftest import Backend
from tests.taxed import FRANCE, GERMANY, PLAIN, TEXAS

OPERATOR = Actor("cli:grace@panel")
ALL = Chosen(livemode=False)
IS_OVER = (
    "UPDATE billing_tax_notices SET told_at = now() - interval '15 days',"
    " not_before = now() - interval '61 minutes', next_attempt_at = now()"
)
COLLECTED = "SELECT count(*) FROM billing_changes WHERE kind = 'enable_tax' AND state = 'done'"


@pytest.fixture
def shop(taxed_shop: Stocked, backend: Backend) -> Backend:
    """It has sold without taxes, and is to collect them."""
    return backend


async def buy(
    shop: Backend, place: Mapping[str, str], currency: str = "usd", plan: str = "starter"
) -> tuple[str, str]:
    """Sell a plan to somebody new; return our id of it and Stripe's."""
    customer = ORDER["customer"] | {"email": f"{plan}.{currency}.{len(place)}@example.com", **place}
    order = PLAIN | {"planId": plan, "currency": currency, "customer": customer}
    shop.service.cookies.clear()
    ordered = await shop.service.buy(order)
    await shop.worker.catch_up()
    id_ = str(ordered["subscriptionId"])
    return id_, (await shop.stripe_ids(id_))[0]


async def told(shop: Backend, *types: str) -> None:
    await receivers.add(
        shop.service.pool,
        OPERATOR,
        name="panel",
        url="http://127.0.0.1:9/",
        types=types or ("tax.*",),
        livemode=False,
    )


async def enable(
    shop: Backend, notice: int | None = None, by: Actor | None = OPERATOR, chosen: Chosen = ALL
) -> dict[str, Outcome]:
    """Run the command; return what came of each subscription."""
    shown: list[Outcome] = []
    mirror = Mirror(shop.service.pool, shop.worker.gateway, livemode=False)
    await enable_taxes(mirror, Enabling(chosen, by, notice), shown.append)
    return {one.stripe_subscription_id: one for one in shown}


async def is_taxed(shop: Backend, stripe_id: str) -> bool:
    held = await shop.worker.gateway.client.v1.subscriptions.retrieve_async(stripe_id)
    return bool(held.automatic_tax.enabled)


async def command(shop: Backend, *words: str, tax: str = "automatic") -> Ended:
    settings = shop.service.settings
    return await run_command(
        settings.database_url.get_secret_value(),
        "tax",
        *words,
        stripe_url=str(settings.stripe_api_base),
        TAX=tax,
    )


async def test_who_pays_as_much_is_taxed_at_once_and_others_are_told_before(
    shop: Backend,
) -> None:
    pool = shop.service.pool
    german_id, german = await buy(shop, GERMANY, "eur")
    texan_id, texan = await buy(shop, TEXAS)
    found = await enable(shop, 14, by=None)
    assert {id_: one.done for id_, one in found.items()} == {german: "enabled", texan: "told"}
    assert await pool.fetchval("SELECT count(*) FROM billing_tax_notices") == 0
    assert not await is_taxed(shop, german)
    assert (await enable(shop))[texan].why == "it would cost more, and its customer was not told"
    assert await is_taxed(shop, german)

    await told(shop)
    done = (await enable(shop, 14))[texan]
    assert done.effect is not None
    before, after = done.effect.before, done.effect.after
    assert (before.total, after.total, after.tax) == (1000, 1083, 83)
    message = await shop.service.row("SELECT type, subscription_id, data FROM billing_messages")
    assert (message["type"], str(message["subscription_id"])) == ("tax.starting", texan_id)
    assert message["data"]["tax"] | {"notBefore": ""} == {
        "currency": "usd", "totalBefore": 1000, "total": 1083, "tax": 83, "notBefore": "",
    }  # fmt: skip
    again = (await enable(shop, 14))[texan]
    assert again.why == "told, and the notice is not over"
    assert await pool.fetchval("SELECT count(*) FROM billing_messages") == 1
    assert not await is_taxed(shop, texan)
    (entry,) = [one for one in await list_timeline(pool, UUID(texan_id)) if one.kind == "tax"]
    assert "$10.83" in (entry.detail or "")

    await pool.execute(IS_OVER)
    settings = shop.service.settings.model_copy(update={"tax": "automatic"})
    findings = await check_taxes(pool, shop.worker.gateway, settings)
    assert "the notice of 1 subscriptions is over" in findings[1].detail
    assert (await enable(shop))[texan].done == "enabled"
    assert len(await check_taxes(pool, shop.worker.gateway, settings)) == 1
    left = {one.why for one in (await enable(shop)).values()}
    assert (left, await pool.fetchval(COLLECTED)) == ({"taxed already"}, 2)
    await shop.service.stripe.advance_time(await shop.service.stripe.now() + 32 * 86_400)
    await shop.worker.catch_up()
    for id_, total, tax in ((german_id, 1000, 160), (texan_id, 1083, 83)):
        renewal = (await shop.invoices(id_))[0]
        assert (renewal["total"], renewal["totalTax"]) == (total, tax)
        assert renewal["amountPaid"] == total


def mirror_of(shop: Backend) -> Mirror:
    return Mirror(shop.worker.provisioning.pool, shop.worker.gateway, livemode=False)


async def test_a_worker_taxes_whose_notice_is_over_as_was_ordered(shop: Backend) -> None:
    pool, mirror = shop.service.pool, mirror_of(shop)
    id_, stripe_id = await buy(shop, TEXAS)
    await told(shop)
    await enable(shop, 14)
    assert await tax_those_told(mirror) == 0
    assert not await is_taxed(shop, stripe_id)
    await pool.execute(IS_OVER)
    assert [await tax_those_told(mirror) for _ in range(2)] == [1, 0]
    assert await is_taxed(shop, stripe_id)
    record = "SELECT actor, outcome FROM billing_audit_log WHERE action = 'subscription.enable_tax'"
    assert [tuple(row) for row in await pool.fetch(record)] == [("cli:grace@panel", "done")]
    await shop.service.stripe.advance_time(await shop.service.stripe.now() + 32 * 86_400)
    await shop.worker.catch_up()
    renewal = (await shop.invoices(id_))[0]
    assert (renewal["amountPaid"], renewal["totalTax"]) == (1083, 83)
    news = await pool.fetch("SELECT type FROM billing_messages WHERE type LIKE 'tax.%'")
    assert [row["type"] for row in news] == ["tax.starting"]


async def test_a_worker_looks_again_at_what_cannot_be_taxed_until_it_has_ended(
    shop: Backend,
) -> None:
    pool, mirror = shop.service.pool, mirror_of(shop)
    id_, stripe_id = await buy(shop, TEXAS)
    await told(shop)
    await enable(shop, 14)
    await shop.done(f"subscriptions/{id_}/cancel")
    await pool.execute(IS_OVER)
    assert [await tax_those_told(mirror) for _ in range(2)] == [0, 0]
    left = "SELECT left_because, next_attempt_at - now() FROM billing_tax_notices"
    why, until = await shop.service.row(left)
    assert why == "set to end"
    assert timedelta(minutes=59) < until <= timedelta(hours=1)
    settings = shop.service.settings.model_copy(update={"tax": "automatic"})
    findings = await check_taxes(pool, shop.worker.gateway, settings)
    assert "the notice of 1 subscriptions is over" in findings[1].detail
    await shop.done(f"subscriptions/{id_}/resume")
    await pool.execute(IS_OVER)
    assert await tax_those_told(mirror) == 1
    assert await is_taxed(shop, stripe_id)
    other_id, _ = await buy(shop, TEXAS, plan="business")
    await enable(shop, 14)
    await shop.done(f"subscriptions/{other_id}/cancel", {"atPeriodEnd": False})
    await shop.worker.catch_up()
    await pool.execute(IS_OVER)
    assert await tax_those_told(mirror) == 0
    ended = "SELECT left_because, next_attempt_at = 'infinity' FROM billing_tax_notices"
    assert tuple(await shop.service.row(f"{ended} WHERE enabled_at IS NULL")) == (
        "it has ended",
        True,
    )


async def test_what_is_taken_back_while_a_worker_asks_stripe_is_not_taxed(
    shop: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, stripe_id = await buy(shop, TEXAS)
    await told(shop)
    await enable(shop, 14)
    await shop.service.pool.execute(IS_OVER)
    operators = Mirror(shop.service.pool, shop.worker.gateway, livemode=False)

    async def taken_back_then(*asked: Any, taxed: bool) -> object:
        found = await preview_next(*asked, taxed=taxed)
        if taxed:
            assert await withdraw_notices(operators, ALL, OPERATOR) == 1
        return found

    monkeypatch.setattr(taxing, "preview_next", taken_back_then)
    assert await tax_those_told(mirror_of(shop)) == 0
    assert not await is_taxed(shop, stripe_id)


@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "status", "status": 500}])
async def test_a_worker_goes_on_where_one_was_cut_off(shop: Backend, fault: dict[str, Any]) -> None:
    """Stripe taxes it, and the worker has not heard of it."""
    pool, mirror = shop.service.pool, mirror_of(shop)
    _, stripe_id = await buy(shop, TEXAS)
    await told(shop)
    await enable(shop, 14)
    await pool.execute(IS_OVER)
    where = {"method": "POST", "path": f"/v1/subscriptions/{stripe_id}", "after_work": True}
    await shop.service.stripe.inject_fault(**where, **fault, times=3)
    assert await tax_those_told(mirror) == 0
    assert await is_taxed(shop, stripe_id)
    await shop.worker.catch_up()
    await pool.execute(IS_OVER)
    assert [await tax_those_told(mirror) for _ in range(2)] == [1, 0]
    assert await pool.fetchval("SELECT enabled_at IS NOT NULL FROM billing_tax_notices")
    assert await pool.fetchval(COLLECTED) == 1


async def test_who_cannot_be_taxed_is_listed_and_left_alone(shop: Backend) -> None:
    v1 = shop.worker.gateway.client.v1
    _, nowhere = await buy(shop, {})
    ending_id, ending = await buy(shop, FRANCE, "eur")
    await shop.done(f"subscriptions/{ending_id}/cancel")
    planned_id, planned = await buy(shop, FRANCE, "eur", "business")
    less = {"planId": "small", "billingCycle": "monthly", "when": "period_end"}
    await shop.done(f"subscriptions/{planned_id}/change-plan", less)
    _, by_hand = await buy(shop, GERMANY, "eur", "business")
    rate = await v1.tax_rates.create_async(
        {"display_name": "VAT", "percentage": 19, "inclusive": True}
    )
    await v1.subscriptions.update_async(by_hand, {"default_tax_rates": [rate.id]})
    _, silent = await buy(shop, GERMANY)
    item = (await v1.subscriptions.retrieve_async(silent)).to_dict()["items"]["data"][0]
    own: Any = {
        "currency": "usd",
        "product": item["price"]["product"],
        "recurring": {"interval": "month"},
        "unit_amount": 500,
    }
    price = await v1.prices.create_async(own)
    await v1.subscriptions.update_async(
        silent, {"items": [{"id": item["id"], "price": price.id}], "proration_behavior": "none"}
    )
    await shop.worker.catch_up()
    found = await enable(shop, 14)
    assert {id_: one.why for id_, one in found.items()} == {
        nowhere: "without an address that says where it is taxed",
        ending: "set to end",
        planned: "with a change planned",
        by_hand: "with tax rates that were set by hand",
        silent: "at a price of which nobody has said whether it contains the taxes",
    }
    assert await shop.service.pool.fetchval(COLLECTED) == 0
    await shop.done(f"subscriptions/{planned_id}/undo-change")
    assert (await enable(shop))[planned].done == "enabled"


async def test_who_pays_no_tax_needs_no_notice_and_who_has_a_free_term_does(shop: Backend) -> None:
    """A free invoice says nothing of those to come."""
    v1 = shop.worker.gateway.client.v1
    nobody_taxes = {"country": "US", "state": "CA", "postcode": "94016"}
    _, untaxed = await buy(shop, nobody_taxes)
    _, free = await buy(shop, TEXAS)
    coupon = await v1.coupons.create_async({"percent_off": 100, "duration": "once"})
    await v1.subscriptions.update_async(free, {"discounts": [{"coupon": coupon.id}]})
    await shop.worker.catch_up()
    found = await enable(shop, by=None)
    assert found[untaxed].done == "enabled"
    effect = found[free].effect
    assert effect is not None
    assert (effect.before.total, effect.after.total, effect.adds) == (0, 0, True)
    assert found[free].done == "left"


async def test_a_product_or_one_subscription_and_no_others(shop: Backend) -> None:
    first_id, first = await buy(shop, GERMANY, "eur")
    _, second = await buy(shop, FRANCE, "eur", "business")
    assert set(await enable(shop, chosen=Chosen(livemode=False, product="business"))) == {second}
    one = Chosen(livemode=False, subscription_id=UUID(first_id))
    assert set(await enable(shop, chosen=one)) == {first}
    assert set(await enable(shop, chosen=Chosen(livemode=True))) == set()
    with pytest.raises(NotFoundError, match="no product 'none'"):
        await enable(shop, chosen=Chosen(livemode=False, product="none"))


async def test_a_notice_is_taken_back_until_it_is_over(shop: Backend) -> None:
    pool = shop.service.pool
    _, stripe_id = await buy(shop, TEXAS)
    await told(shop)
    mirror = Mirror(shop.service.pool, shop.worker.gateway, livemode=False)
    await enable(shop, 14)
    assert await withdraw_notices(mirror, ALL, OPERATOR) == 1
    assert (await enable(shop))[
        stripe_id
    ].why == "it would cost more, and its customer was not told"
    assert (await enable(shop, 0))[stripe_id].done == "enabled"
    assert await withdraw_notices(mirror, ALL, OPERATOR) == 0
    types = await pool.fetch("SELECT type FROM billing_messages")
    assert [row["type"] for row in types] == ["tax.starting"] * 2


async def answered(shop: Backend) -> None:
    """Run the command until Stripe has answered the request of the run that was killed."""
    async with asyncio.timeout(30):
        while True:
            with suppress(StripeError):
                await enable(shop)
                return
            await shop.worker.catch_up()


@pytest.mark.parametrize("fault", ["reset", "status", "killed"])
async def test_what_stripe_did_and_nobody_heard_of_is_not_done_twice(
    shop: Backend, fault: str
) -> None:
    """And its webhooks come twice, and in the wrong order."""
    pool, stripe = shop.service.pool, shop.service.stripe
    await told(shop, "*")
    _, stripe_id = await buy(shop, TEXAS)
    await enable(shop, 14)
    await pool.execute(IS_OVER)
    await stripe.set_delivery(reorder=True, duplicate=True, delay=0.02, seed=1)
    where = {"method": "POST", "path": f"/v1/subscriptions/{stripe_id}", "after_work": True}
    if fault == "killed":
        await stripe.inject_fault("hang", **where, seconds=1)
        run = asyncio.create_task(enable(shop))
        async with asyncio.timeout(30):
            while not await is_taxed(shop, stripe_id):
                await shop.worker.catch_up()
        run.cancel()
        await asyncio.wait([run])
        assert (await enable(shop))[stripe_id].why.startswith("Another change is in progress")  # type: ignore[union-attr]
        await pool.execute("UPDATE billing_changes SET leased_until = now() - interval '1 second'")
        await answered(shop)
    else:
        details = {"status": 500} if fault == "status" else {}
        await stripe.inject_fault(fault, **where, **details, times=3)
        with pytest.raises(StripeError):
            await enable(shop)
    await shop.worker.catch_up()
    again = (await enable(shop))[stripe_id]
    assert again.why == "taxed already"
    assert await pool.fetchval(COLLECTED) == 1
    assert await pool.fetchval("SELECT enabled_at IS NOT NULL FROM billing_tax_notices")
    assert (await enable(shop))[stripe_id] == again
    outcomes = await pool.fetch(
        "SELECT DISTINCT outcome FROM billing_audit_log WHERE action = 'subscription.enable_tax'"
    )
    assert "done" in {row["outcome"] for row in outcomes} or fault == "status"
    news = await pool.fetch(
        "SELECT type FROM billing_messages WHERE type ~ '^(tax|subscription.ch)'"
    )
    assert [row["type"] for row in news] == ["tax.starting"]


async def test_the_command_says_what_each_will_pay_and_refuses_in_words(shop: Backend) -> None:
    await buy(shop, GERMANY, "eur")
    await buy(shop, TEXAS)
    seen = await command(shop, "enable", "--all", "--dry-run", "--notice", "30")
    lines = seen.out.splitlines()
    assert seen.status == 0, seen.err
    assert (
        sum("would be taxed" in line and "€10.00, including €1.60 tax" in line for line in lines)
        == 1
    )
    assert "  their next invoices: $10.00 -> $10.83, including $0.83 tax" in lines
    assert {"would be taxed: 1", "would be told: 1", "nothing was changed"} <= set(lines)
    refused = {
        ("--all",): "pass one of the two",
        ("--all", "--yes", "--dry-run"): "pass one of the two",
        ("--dry-run",): "pass one of the three",
        ("--all", "--product", "starter", "--dry-run"): "pass one of the three",
        ("--all", "--yes", "--notice", "30"): "No receiver gets tax.starting",
        ("--product", "none", "--dry-run"): "There is no product 'none'",
        ("--subscription", "sub_none", "--dry-run"): "Subscription sub_none not found",
    }
    for words, sentence in refused.items():
        ended = await command(shop, "enable", *words)
        assert ended.status != 0
        assert sentence in ended.err, words
    ended = await command(shop, "enable", "--all", "--dry-run", tax="off")
    assert "TAX is off" in ended.err
    done = await command(shop, "enable", "--all", "--yes", "--notice", "30", "--untold")
    assert {"taxed: 1", "told: 1"} <= set(done.out.splitlines()), done.err
    back = await command(shop, "withdraw", "--all")
    assert back.out == "taken back of 1 subscriptions; tell their customers\n"
