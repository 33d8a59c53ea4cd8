"""Coupon verbs that are killed between Stripe and commit, and whose webhooks come badly.

Whatever happens, the rows, what mPanel is told and what is charged are those of a calm day.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from mpanel_billing.access.audit import Actor
from mpanel_billing.messages import receivers
from mpanel_billing.worker.sweep import sweep
from tests.commands import run_command
from tests.forked import start_forked
from tests.ports import unused_port
from tests.processes import running_api, service_environment
from tests.subscriptions.conftest import BEARER, KEY, Backend
from tests.subscriptions.test_coupons import HALF, check, held, renew, sell

APPLY = ("apply-coupon", {"couponCode": "half"}, "key-of-apply")
REMOVE = ("remove-coupon", {"coupon": "HALF"}, "key-of-remove")
Verb = tuple[str, dict[str, str], str]
Kill = Callable[[Backend, str, Verb], Awaitable[None]]


def words(id_: str, verb: Verb) -> tuple[str, ...]:
    """Return the command that does the same."""
    name, body, key = verb
    return ("coupons", name.removesuffix("-coupon"), id_, *body.values(), "--key", key)


def urls(backend: Backend) -> tuple[str, str]:
    settings = backend.service.settings
    return settings.database_url.get_secret_value(), str(settings.stripe_api_base)


async def has_happened(backend: Backend, id_: str, verb: Verb) -> None:
    """Wait until Stripe has done it, whatever anybody has heard of it."""
    stripe_id, _ = await backend.stripe_ids(id_)
    subscriptions = backend.worker.gateway.client.v1.subscriptions
    async with asyncio.timeout(30):
        while bool((await subscriptions.retrieve_async(stripe_id)).discounts) != (verb is APPLY):
            pass


async def kill_the_server(backend: Backend, id_: str, verb: Verb) -> None:
    """Kill the web process that is asked for it while it waits for Stripe's answer."""
    name, body, key = verb
    (url, stripe_url), port = urls(backend), unused_port()
    async with running_api(url, port, stripe_url=stripe_url, BILLING_API_KEYS=KEY) as api:
        path = f"http://127.0.0.1:{port}/api/billing/subscriptions/{id_}/{name}"
        headers = BEARER | {"Idempotency-Key": key}
        async with aiohttp.ClientSession() as client:
            asked = asyncio.create_task(client.post(path, json=body, headers=headers))
            await has_happened(backend, id_, verb)
            await api.kill()
            with pytest.raises(aiohttp.ClientError):
                await asked


async def kill_the_command(backend: Backend, id_: str, verb: Verb) -> None:
    """Kill the command of an operator while it waits for Stripe's answer."""
    command = await start_forked(words(id_, verb), service_environment(*urls(backend)))
    await has_happened(backend, id_, verb)
    command.kill()
    assert await command.wait() != 0


async def ask_until_answered(backend: Backend, id_: str, verb: Verb) -> None:
    """Send the request again, with its key, until it is done; Stripe may hold that for a while."""
    name, body, key = verb
    async with asyncio.timeout(60):
        while True:
            answer = await backend.post(f"subscriptions/{id_}/{name}", body, key)
            if answer.status == 200:
                return
            assert (answer.status, answer.body["code"]) == (503, "stripe_unavailable")


async def command_until_answered(backend: Backend, id_: str, verb: Verb) -> None:
    url, stripe_url = urls(backend)
    async with asyncio.timeout(60):
        while (await run_command(url, *words(id_, verb), stripe_url=stripe_url)).status:
            pass


async def cut_short(backend: Backend, id_: str, verb: Verb, kill: Kill) -> None:
    """Have Stripe do it and its answer wait, and kill who waits."""
    pool = backend.service.pool
    stripe_id, _ = await backend.stripe_ids(id_)
    await backend.service.stripe.inject_fault(
        "hang", method="POST", path=f"/v1/subscriptions/{stripe_id}", after_work=True, seconds=3
    )
    await kill(backend, id_, verb)
    states = "SELECT state FROM billing_changes WHERE request_key = $1"
    assert await pool.fetchval(states, verb[2]) == "asking"
    early = await backend.post(f"subscriptions/{id_}/{verb[0]}", verb[1], verb[2])
    assert (early.status, early.body["code"]) == (409, "change_in_progress")
    await pool.execute(
        "UPDATE billing_changes SET leased_until = now() - interval '1 second'"
        " WHERE state = 'asking'"
    )


@pytest.fixture
async def told(backend: Backend) -> None:
    """MPanel has a receiver of everything."""
    await receivers.add(
        backend.service.pool,
        Actor("cli:grace@panel"),
        name="panel",
        url="http://127.0.0.1:9/",
        types=("*",),
        livemode=False,
    )


@pytest.mark.parametrize("how", ["in order", "badly", "server killed", "command killed"])
async def test_rows_news_and_charges_are_those_of_a_calm_day(
    backend: Backend, told: None, bought: str, how: str
) -> None:
    await sell(backend, HALF, max_per_customer=1)
    if how == "badly":
        await backend.service.stripe.set_delivery(reorder=True, duplicate=True, delay=0.02, seed=1)
    kills = {"server killed": kill_the_server, "command killed": kill_the_command}
    again = command_until_answered if how == "command killed" else ask_until_answered
    preview = (await check(backend, bought, "HALF"))["preview"]
    for verb, left, costs in (
        (APPLY, ["HALF"], preview["nextTotalThen"]),
        (REMOVE, [], preview["nextTotal"]),
    ):
        if kill := kills.get(how):
            await cut_short(backend, bought, verb, kill)
        for _ in range(2):
            await again(backend, bought, verb)
            assert await held(backend, bought) == left
        assert await renew(backend, bought) == costs
    assert await left_behind(backend, bought) == CALM


CALM = {
    "changes": [("apply_coupon", "done"), ("remove_coupon", "done")],
    "redemptions": [("HALF", "change")],
    "audit": {"subscription.apply_coupon": {"done"}, "subscription.remove_coupon": {"done"}},
    "trouble": [],
    "news": {
        "invoice.created": 2,
        "invoice.paid": 2,
        "invoice.upcoming": 2,
        "subscription.renewed": 2,
    },
}


async def left_behind(backend: Backend, id_: str) -> dict[str, Any]:
    """Return what is on record of a subscription, in the words of CALM."""
    pool = backend.service.pool
    await pool.execute("UPDATE billing_audit_unsettled SET since = since - interval '5 minutes'")
    await pool.execute("UPDATE billing_changes SET updated_at = updated_at - interval '5 minutes'")
    await sweep(pool)
    changes = await pool.fetch("SELECT kind, state FROM billing_changes ORDER BY created_at")
    redeemed = await pool.fetch("SELECT coupon_code, way FROM billing_redemptions")
    audited = await pool.fetch(
        "SELECT action, outcome FROM billing_audit_log WHERE action LIKE '%_coupon'"
    )
    news = await pool.fetch(
        "SELECT type FROM billing_messages WHERE subscription_id::text = $1", id_
    )
    return {
        "changes": [tuple(row) for row in changes],
        "redemptions": [tuple(row) for row in redeemed],
        "audit": {
            action: {row["outcome"] for row in audited if row["action"] == action}
            for action in sorted({row["action"] for row in audited})
        },
        "trouble": await pool.fetch("SELECT trouble FROM billing_trouble"),
        "news": Counter(row["type"] for row in news),
    }
