"""Another name in place of one that could not be obtained: paid for first, and had once."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from mpanel_billing.provisioning.drivers.registry import ConcurrencyLimit, LimitedRegistrar
from mpanel_billing.subscriptions.domain_renewals import renew_domains
from mpanel_billing.subscriptions.lost_domains import give_back_lost
from mpanel_billing.subscriptions.replaced_domains import tell_stripe
from tests.commands import Ended, run_command
from tests.provisioning.domain_shop import ADA
from tests.subscriptions.conftest import GOOD_CARD, NO_FUNDS_LATER, Answer, Backend
from tests.subscriptions.domain_years import FURTHER, NAME, Years
from tests.subscriptions.registry import Registry

NEW, PRICE = "analytical.com", 1299
CHOICE = {"domain": {"mode": "register", "value": NEW}, "firstYear": PRICE}


async def lose(backend: Backend, order: dict[str, Any], **changed: Any) -> Years:
    """Sell a plan with a name that another tenant gets in the meantime."""
    pool = backend.service.pool
    bought = await backend.service.buy(order | FURTHER | changed)
    await take(pool, NAME)
    columns = ", ".join(f"{column} = ${place}" for place, column in enumerate(ADA, 1))
    await pool.execute(f"UPDATE customers SET {columns}", *ADA.values())
    registry = Registry(datetime.now(UTC) + timedelta(hours=1))
    drivers = replace(
        backend.worker.provisioning.drivers,
        registrar=LimitedRegistrar(registry, ConcurrencyLimit(10)),
    )
    provisioning = replace(backend.worker.provisioning, drivers=drivers)
    worker = replace(backend.worker, provisioning=provisioning)
    await worker.catch_up()
    years = Years(backend, worker, registry, bought["subscriptionId"])
    assert (await years.domain())["state"] == "failed"
    return years


async def take(pool: asyncpg.Pool, name: str) -> None:
    await pool.execute("INSERT INTO tenants (name, domain) VALUES ('Other', $1)", name)


async def work(years: Years) -> None:
    await years.work()
    await give_back_lost(years.mirror)
    await tell_stripe(years.mirror)
    await years.worker.catch_up()


async def choose(
    years: Years, choice: Mapping[str, Any] = CHOICE, key: str | None = None, name: str = NAME
) -> Answer:
    path = f"domains/{(await years.domain(name))['id']}/replace"
    return await years.backend.post(path, choice, key)


async def state_of(years: Years, name: str) -> str:
    """Return the state of a name of the subscription: others may have ordered it, too."""
    state: str = await years.backend.service.pool.fetchval(
        "SELECT state FROM billing_domains WHERE subscription_id::text = $1 AND name = $2",
        years.subscription,
        name,
    )
    return state


async def tenant(years: Years) -> str:
    domain: str = await years.backend.service.pool.fetchval(
        "SELECT domain FROM tenants WHERE billing_subscription_id::text = $1", years.subscription
    )
    return domain


async def ordered(years: Years) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """Return what our row and Stripe say of the domains that were ordered."""
    row = await years.backend.service.row(
        "SELECT metadata, stripe_subscription_id FROM subscriptions WHERE id::text = $1",
        years.subscription,
    )
    client = years.worker.gateway.client.v1
    found = await client.subscriptions.retrieve_async(row["stripe_subscription_id"])
    names = ("domainValue", "domainMode", "domainUnicode", "furtherDomains")
    stripe = found.to_dict()["metadata"]
    return tuple(
        {name: at[name] for name in names if name in at} for at in (row["metadata"], stripe)
    )  # type: ignore[return-value]


async def test_a_name_in_place_of_a_lost_one_is_paid_for_and_then_had(
    backend: Backend, order_a: dict[str, Any]
) -> None:
    years = await lose(backend, order_a)
    before = await tenant(years)
    lost = (await backend.get(f"domains/{(await years.domain())['id']}")).body["domain"]
    assert (lost["replaceable"], lost["replacedById"]) == (True, None)
    quoted = await backend.done(
        f"domains/{lost['id']}/preview-replacement", {"domain": CHOICE["domain"]}
    )
    assert (quoted["currency"], quoted["domain"]["availability"]) == ("usd", "unknown")
    assert (quoted["domain"]["firstYear"], quoted["domain"]["renewal"]) == (PRICE, PRICE)
    wrong = await choose(years, {**CHOICE, "firstYear": PRICE - 1})
    assert (wrong.status, wrong.body["code"]) == (409, "price_changed")

    chosen = (await choose(years)).body["domain"]
    assert (chosen["state"], chosen["replacesId"]) == ("ordered", lost["id"])
    assert (chosen["latestYear"]["of"], chosen["latestYear"]["state"]) == (None, "due")
    assert (await tenant(years), years.registry.sold) == (before, {})
    await work(years)

    assert await years.charged() == [(PRICE, "paid")]
    row = await years.domain(NEW)
    assert (row["state"], row["auto_renew"], row["renewal_price"]) == ("active", True, PRICE)
    assert (await years.states(), await tenant(years)) == (["renewed"], NEW)
    assert list(years.registry.sold.values()) == [NEW]
    ours, stripe = await ordered(years)
    assert ours == stripe == {"domainValue": NEW, "domainMode": "register"}
    refund = await backend.service.row("SELECT amount, status FROM stripe_refunds")
    assert (refund["amount"], refund["status"]) == (PRICE, "succeeded"), "of the lost one"
    assert (await years.domain())["given_back_at"] is not None
    assert await backend.service.pool.fetch("SELECT * FROM billing_trouble") == []
    assert ("subscription.replace_domain", "done") in await backend.audit()
    lost = (await backend.get(f"domains/{lost['id']}")).body["domain"]
    assert (lost["replaceable"], lost["replacedById"]) == (False, chosen["id"])
    # the year that follows is a year like any other
    await years.reach(row["expires_at"] - timedelta(days=29))
    assert await years.charged() == [(PRICE, "paid"), (PRICE, "paid")]
    assert await years.states() == ["renewed", "renewed"]


async def test_a_choice_that_is_sent_twice_is_one_and_another_is_refused(
    backend: Backend, order_a: dict[str, Any]
) -> None:
    years = await lose(backend, order_a)
    other = {"domain": {"mode": "register", "value": "other.com"}}
    first, again, unnamed = [await choose(years, key=key) for key in ("one", "one", None)]
    assert first.body == again.body == unnamed.body
    refused = await choose(years, other, "one")
    assert (refused.status, refused.body["code"]) == (409, "idempotency_key_reused")
    for _ in range(2):
        refused = await choose(years, other)
        assert (refused.status, refused.body["code"]) == (409, "replaced_already")
        await work(years)
    assert (await choose(years, key="one")).body["domain"]["id"] == first.body["domain"]["id"]
    assert (await years.charged(), len(years.registry.sold)) == ([(PRICE, "paid")], 1)


async def test_of_two_choices_in_one_instant_one_is_charged(
    backend: Backend, order_a: dict[str, Any]
) -> None:
    years = await lose(backend, order_a)
    names = [f"{letter}.com" for letter in "abc"]
    answers = await asyncio.gather(
        *(choose(years, {"domain": {"mode": "register", "value": name}}) for name in names)
    )
    assert sorted(answer.status for answer in answers) == [200, 409, 409]
    await work(years)
    assert (await years.charged(), len(years.registry.sold)) == ([(PRICE, "paid")], 1)


@pytest.mark.parametrize("lost", ["/v1/invoices", "/finalize"])
async def test_a_worker_that_is_killed_while_it_charges_a_choice_charges_once(
    backend: Backend, order_a: dict[str, Any], lost: str
) -> None:
    years = await lose(backend, order_a)
    await choose(years)
    await backend.service.stripe.inject_fault(
        "reset", method="POST", path=lost, after_work=True, times=3
    )
    for hours in (0, 1, 2):
        years.registry.now += timedelta(hours=hours)
        await work(years)
    assert (await years.charged(), await tenant(years)) == ([(PRICE, "paid")], NEW)


async def test_a_crash_between_the_payment_and_the_order_loses_nothing(
    backend: Backend, order_a: dict[str, Any]
) -> None:
    years, pool = await lose(backend, order_a), backend.service.pool
    await choose(years)
    await pool.execute(
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RAISE EXCEPTION 'killed'; END$$;"
        "CREATE TRIGGER die BEFORE UPDATE ON billing_domains FOR EACH ROW"
        " WHEN (NEW.tell_stripe_at IS NOT NULL) EXECUTE FUNCTION die()"
    )
    with pytest.raises(Exception, match="killed"):
        await work(years)
    assert await years.states() == ["charged"]
    await pool.execute("DROP TRIGGER die ON billing_domains")
    await work(years)
    assert (await years.charged(), await years.states()) == ([(PRICE, "paid")], ["renewed"])
    assert await tenant(years) == NEW


async def test_a_chosen_name_that_is_taken_meanwhile_is_given_back_and_another_can_be_chosen(
    backend: Backend, order_a: dict[str, Any]
) -> None:
    years, pool = await lose(backend, order_a), backend.service.pool
    before = await tenant(years)
    await choose(years)
    await take(pool, NEW)
    await work(years)
    assert (await years.charged(), years.registry.sold) == ([(PRICE, "paid")], {})
    assert ((await years.domain(NEW))["state"], await years.states()) == ("failed", ["refused"])
    amounts = await pool.fetch("SELECT amount FROM stripe_refunds")
    assert [row["amount"] for row in amounts] == [PRICE, PRICE], "of both names"
    assert await tenant(years) == before
    troubles = await pool.fetch("SELECT trouble, detail FROM billing_trouble")
    assert [row["trouble"] for row in troubles] == ["work_failed"]
    assert NEW in troubles[0]["detail"]
    taken = await choose(years, {"domain": {"mode": "register", "value": NAME}}, name=NEW)
    assert (taken.status, taken.body["code"]) == (409, "domain_taken")
    last = await choose(years, {"domain": {"mode": "register", "value": "third.com"}}, name=NEW)
    assert last.status == 200, last.body
    await work(years)
    assert (await tenant(years), list(years.registry.sold.values())) == ("third.com", ["third.com"])
    assert await pool.fetch("SELECT * FROM billing_trouble") == []


async def test_a_choice_that_nobody_pays_for_holds_nothing_and_lapses(
    backend: Backend, order_a: dict[str, Any]
) -> None:
    years, service = await lose(backend, order_a), backend.service
    await backend.give_card(years.subscription, NO_FUNDS_LATER)
    await choose(years)
    await work(years)
    assert (await years.charged(), years.registry.sold) == ([(PRICE, "open")], {})
    stranger = {"name": "Eve", "email": "e@e.com"}
    wanted = {"domain": {"mode": "register", "value": NEW}, "customer": stranger}
    assert (await service.order(order_a | wanted))["url"], "an unpaid choice is no order"
    await years.reach(years.registry.now + timedelta(days=7, hours=1))
    assert (await years.charged(), await years.states()) == ([(PRICE, "void")], ["unpaid"])
    assert (await state_of(years, NEW)) == "released"
    await backend.give_card(years.subscription, GOOD_CARD)
    assert (await choose(years, key="again")).status == 200
    years.registry.now = datetime.now(UTC) + timedelta(hours=1)  # the service has the time of now
    await work(years)
    assert (await years.charged())[0] == (PRICE, "paid")
    assert await tenant(years) == NEW


@pytest.mark.parametrize("card", [GOOD_CARD, NO_FUNDS_LATER])
async def test_what_was_chosen_for_a_plan_that_ends_is_not_had_and_not_paid_for(
    backend: Backend, order_a: dict[str, Any], card: str
) -> None:
    years, client = await lose(backend, order_a), backend.worker.gateway.client.v1
    stripe_id, _ = await backend.stripe_ids(years.subscription)
    await backend.give_card(years.subscription, card)
    await choose(years)
    await renew_domains(years.mirror, years.rules, years.registry.now)
    await client.subscriptions.cancel_async(stripe_id)
    await work(years)
    refused = await choose(years, {"domain": {"mode": "register", "value": "late.com"}})
    assert (refused.status, refused.body["code"]) == (409, "not_replaceable")
    assert years.registry.sold == {}
    paid = [total for total, status in await years.charged() if status == "paid"]
    back = await backend.service.pool.fetch("SELECT amount FROM stripe_refunds")
    assert [row["amount"] for row in back] == [PRICE, *paid], "the lost one, and this"
    assert await state_of(years, NEW) == ("failed" if paid else "released")


async def test_a_name_that_the_term_includes_is_replaced_for_nothing(
    backend: Backend, order_a: dict[str, Any]
) -> None:
    years = await lose(backend, order_a, planId="premium", billingCycle="annually")
    quote = f"domains/{(await years.domain())['id']}/preview-replacement"
    quoted = await backend.done(quote, {"domain": CHOICE["domain"]})
    assert quoted["domain"]["firstYear"] == 0
    assert (await choose(years, {**CHOICE, "firstYear": 0})).status == 200
    await work(years)
    assert (await years.charged(), await years.states()) == ([], ["renewed"])
    assert (await tenant(years), len(years.registry.sold)) == (NEW, 1)
    assert await backend.service.pool.fetch("SELECT * FROM billing_trouble") == []


async def test_a_further_name_is_replaced_beside_the_tenants_own(
    backend: Backend, order_a: dict[str, Any]
) -> None:
    own = {"domain": {"mode": "register", "value": "kept.com"}}
    years = await lose(backend, order_a, **own, cartItems=[{"type": "domain", "domain": NAME}])
    mine = await choose(years, {"domain": {"mode": "existing", "value": NEW}})
    assert (mine.status, list(mine.body["fields"])) == (422, ["domain.mode"])
    unicode = {"domain": {"mode": "register", "value": "bücher.com"}}
    assert (await choose(years, unicode)).status == 200
    await work(years)
    assert sorted(years.registry.sold.values()) == ["kept.com", "xn--bcher-kva.com"]
    assert await tenant(years) == "kept.com"
    ours, stripe = await ordered(years)
    assert ours["furtherDomains"] == ["xn--bcher-kva.com"]
    assert stripe["furtherDomains"] == "xn--bcher-kva.com"
    assert (ours["domainValue"], stripe["domainValue"]) == ("kept.com", "kept.com")


async def test_support_gives_a_tenant_a_name_that_its_customer_has(
    backend: Backend, order_a: dict[str, Any], database_url: str
) -> None:
    years = await lose(backend, order_a)

    async def command(name: str, *more: str) -> Ended:
        words = ("domains", "replace", years.subscription, NAME, "--with", name, *more)
        return await run_command(database_url, *words)

    costs = await command(NEW)
    assert (costs.status, "--price 1299" in costs.out) == (0, True), costs
    for name in (f"www.{NAME}", "gmail.com"):
        assert (await command(name, "--mode", "existing")).status == 1, name
    done = await command("Bücher.de.", "--mode", "existing")
    assert (done.status, done.err) == (0, ""), done
    await work(years)
    assert (await years.charged(), years.registry.sold) == ([], {})
    assert await tenant(years) == "xn--bcher-kva.de"
    ours, stripe = await ordered(years)
    assert ours == {
        "domainValue": "xn--bcher-kva.de",
        "domainMode": "existing",
        "domainUnicode": "bücher.de",
    }
    assert ours == stripe
    assert await backend.service.pool.fetch("SELECT * FROM billing_trouble") == []
