"""Operators see who is told what, change it, and send messages again, by command."""

import json

from mpanel_billing.database.pool import Pool
from tests.commands import Ended, run_command
from tests.messages.conftest import Life, Panel, send_due


async def done(life: Life, *words: str) -> str:
    settings = life.service.settings
    url, stripe_url = settings.database_url.get_secret_value(), str(settings.stripe_api_base)
    ended: Ended = await run_command(url, *words, stripe_url=stripe_url)
    assert ended.status == 0, ended.err
    return ended.out


async def test_receivers_and_their_messages_are_seen_to_by_command(
    life: Life, panel: Panel
) -> None:
    assert "no receivers" in await done(life, "receivers", "list")
    secret = await done(life, "receivers", "add", "panel", panel.url, "--type", "invoice.*")
    panel.secrets.append(secret.strip())
    await done(life, "receivers", "disable", "panel")
    await life.buy()
    await send_due(life.sender)
    assert panel.got == []
    [shown] = json.loads(await done(life, "receivers", "list", "--json"))
    assert (shown["name"], shown["waiting"]) == ("panel", 2)
    assert secret.strip() not in json.dumps(shown)

    former = panel.secrets.pop()
    panel.secrets.append((await done(life, "receivers", "roll-secret", "panel")).strip())
    assert panel.secrets != [former]
    await done(life, "receivers", "enable", "panel")
    await send_due(life.sender)
    assert sorted(panel.types) == ["invoice.created", "invoice.paid"]
    assert "enabled" in await done(life, "receivers", "list")
    await send_again(life, panel)
    await done(life, "receivers", "change", "panel", "--type", "tenant.*")
    assert "tenant.*" in await done(life, "receivers", "list")
    await done(life, "receivers", "remove", "panel")
    assert "no deliveries" in await done(life, "deliveries", "list")


async def send_again(life: Life, panel: Panel) -> None:
    """Look for a message by its subscription, and send it again by its id, and by its time."""
    subscription = await life.pool.fetchval("SELECT stripe_subscription_id FROM subscriptions")
    of = ("--subscription", subscription, "--state", "delivered")
    listed = json.loads(await done(life, "deliveries", "list", *of, "--json"))
    assert {row["type"] for row in listed} == {"invoice.created", "invoice.paid"}
    chosen = listed[0]
    shown = await done(life, "deliveries", "show", chosen["id"])
    assert chosen["object_id"] in shown
    assert "delivered" in shown
    assert (await done(life, "deliveries", "resend", chosen["id"])).startswith("1 ")
    assert (await done(life, "deliveries", "resend", "--since", "2020-01-01")).startswith("2 ")
    panel.got.clear()
    await send_due(life.sender)
    assert len(panel.got) == 2


async def test_a_repair_is_told_if_it_is_asked_to(life: Life, panel: Panel) -> None:
    await life.buy()
    await panel.add(life.pool)
    for words, told in (((), 0), (("--announce",), 1)):
        invoice = await lose_an_event(life.pool)
        await done(life, "reconcile", "--object", invoice, *words)
        count = "SELECT count(*) FROM billing_messages WHERE type = 'invoice.paid'"
        assert await life.pool.fetchval(count) == told


async def lose_an_event(pool: Pool) -> str:
    """Leave the invoice as it was before it was paid; return its id."""
    await pool.execute("UPDATE invoices SET stripe_status = 'open', stripe_as_of = now()")
    await pool.execute("DELETE FROM billing_messages")
    return str(await pool.fetchval("SELECT stripe_invoice_id FROM invoices"))
