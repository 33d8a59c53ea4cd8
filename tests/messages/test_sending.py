"""Messages arrive: signed, in order, at least once, and a failing receiver harms no other."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from mpanel_billing.background import background
from mpanel_billing.database.pool import Pool
from mpanel_billing.errors import ConflictError, InvalidRequestError, NotFoundError
from mpanel_billing.messages import receivers
from mpanel_billing.messages.attempts import RETRIES, delay_after
from mpanel_billing.messages.repository import Selection
from mpanel_billing.messages.sending import Sender
from mpanel_billing.messages.signing import make_secret, sign
from tests.inbox import Inbox
from tests.messages.conftest import OPERATOR, Panel, is_verified, running_panel, send_due

DELIVERY = "SELECT * FROM billing_deliveries"
CLAIMED = (
    "UPDATE billing_deliveries SET attempts = 1, next_attempt_at = now() + interval '60 seconds'"
)
LATER = "UPDATE billing_deliveries SET next_attempt_at = now() WHERE state = 'waiting'"


@pytest.fixture
async def subscription_id(pool: Pool, inbox: Inbox) -> Any:
    """A subscription that is about to be served, and suspended, ..."""
    id_ = await inbox.order()
    await pool.execute("UPDATE subscriptions SET status = 'pending'")
    return id_


async def troubles(pool: Pool) -> list[str]:
    """The kinds that are about messages."""
    rows = await pool.fetch(
        "SELECT trouble FROM billing_trouble"
        " WHERE trouble IN ('receiver_disabled', 'not_delivered') ORDER BY trouble"
    )
    return [row["trouble"] for row in rows]


async def become(pool: Pool, *statuses: str) -> None:
    for status in statuses:
        await pool.execute("UPDATE subscriptions SET status = $1", status)


async def test_a_message_says_what_a_mail_needs(
    pool: Pool, panel: Panel, sender: Sender, subscription_id: Any
) -> None:
    await panel.add(pool)
    await become(pool, "active")
    await send_due(sender)
    [message] = panel.got
    assert message["type"] == "subscription.activated"
    assert (message["version"], message["livemode"], message["sequence"]) == (1, False, 1)
    assert datetime.fromisoformat(message["timestamp"]).tzinfo
    sold = message["data"]["subscription"]
    assert (sold["id"], sold["status"], sold["amount"]) == (str(subscription_id), "active", 799)
    assert message["data"]["customer"]["email"] == "ada@example.com"
    assert message["data"]["links"] == {
        "subscription": f"https://panel.test/subscriptions/{subscription_id}"
    }
    row = await pool.fetchrow(DELIVERY)
    assert row is not None
    assert (row["state"], row["attempts"], row["last_status"]) == ("delivered", 1, 204)


@pytest.mark.usefixtures("subscription_id")
async def test_messages_of_a_subscription_are_numbered_and_come_in_order(
    pool: Pool, panel: Panel, sender: Sender
) -> None:
    await panel.add(pool)
    await become(pool, "active", "suspended", "active")
    await send_due(sender)
    await become(pool, "suspended")
    await send_due(sender)
    assert [message["sequence"] for message in panel.got] == [1, 2, 3, 4]
    assert panel.types[-2:] == ["subscription.resumed", "subscription.suspended"]


@pytest.mark.usefixtures("subscription_id")
async def test_a_message_that_fails_is_sent_again_and_holds_up_nothing(
    pool: Pool, panel: Panel, sender: Sender
) -> None:
    await panel.add(pool)
    panel.answers.append(web.Response(status=500, text="out of order"))
    await become(pool, "active", "suspended")
    await send_due(sender)
    assert panel.types == ["subscription.activated", "subscription.suspended"]
    waiting = await pool.fetchrow(f"{DELIVERY} WHERE state = 'waiting'")
    assert waiting is not None
    assert (waiting["last_status"], waiting["last_error"]) == (500, "HTTP 500: out of order")
    await pool.execute(LATER)
    await send_due(sender)
    assert panel.types[-1] == "subscription.activated"
    assert panel.ids[0] == panel.ids[-1]
    assert not await pool.fetch(f"{DELIVERY} WHERE state <> 'delivered'")


@pytest.mark.parametrize("status", [301, 302, 400, 404, 503])
@pytest.mark.usefixtures("subscription_id")
async def test_anything_but_2xx_is_a_failure(
    pool: Pool, panel: Panel, sender: Sender, status: int
) -> None:
    await panel.add(pool)
    panel.answers.append(web.Response(status=status, headers={"Location": panel.url}))
    await become(pool, "active")
    await send_due(sender)
    assert len(panel.got) == 1
    assert await pool.fetchval("SELECT last_status FROM billing_deliveries") == status


@pytest.mark.usefixtures("subscription_id")
async def test_a_receiver_that_is_not_there_fails(pool: Pool, panel: Panel, sender: Sender) -> None:
    await panel.add(pool)
    await pool.execute("UPDATE billing_receivers SET url = 'http://127.0.0.1:1/'")
    await become(pool, "active")
    await send_due(sender)
    row = await pool.fetchrow(DELIVERY)
    assert row is not None
    assert (row["state"], row["last_status"]) == ("waiting", None)
    assert "Cannot connect" in row["last_error"]


@pytest.mark.usefixtures("subscription_id")
async def test_a_receiver_can_ask_for_more_time(pool: Pool, panel: Panel, sender: Sender) -> None:
    await panel.add(pool)
    panel.answers.append(web.Response(status=429, headers={"Retry-After": "3600"}))
    await become(pool, "active")
    await send_due(sender)
    seconds = await pool.fetchval(
        "SELECT extract(epoch FROM next_attempt_at - now()) FROM billing_deliveries"
    )
    assert 3500 < seconds <= 3600


@pytest.mark.usefixtures("subscription_id")
async def test_a_receiver_that_fails_for_three_days_is_disabled_and_nothing_is_lost(
    pool: Pool, panel: Panel, sender: Sender
) -> None:
    await panel.add(pool)
    panel.answers.extend(web.Response(status=500) for _ in range(len(RETRIES) + 1))
    await become(pool, "active")
    for _ in RETRIES:
        await send_due(sender)
        await pool.execute(LATER)
    await pool.execute("UPDATE billing_receivers SET failing_since = now() - interval '73 hours'")
    await send_due(sender)
    assert await pool.fetchval("SELECT state FROM billing_deliveries") == "given_up"
    assert await troubles(pool) == ["not_delivered", "receiver_disabled"]
    [receiver] = await receivers.list_all(pool)
    assert receiver["disabled_reason"].endswith("HTTP 500")
    await become(pool, "suspended")
    await send_due(sender)
    assert len(panel.got) == len(RETRIES) + 1
    await receivers.enable(pool, OPERATOR, "panel")
    await send_due(sender)
    assert panel.types[-1] == "subscription.suspended"
    assert await receivers.resend(pool, OPERATOR, Selection(only_given_up=True)) == 1
    await send_due(sender)
    assert panel.types[-1] == "subscription.activated"
    assert await troubles(pool) == []


@pytest.mark.usefixtures("subscription_id")
async def test_what_was_given_up_can_be_dismissed(pool: Pool, panel: Panel, sender: Sender) -> None:
    await panel.add(pool)
    panel.answers.append(web.Response(status=400))
    await become(pool, "active")
    await sender.address()
    await pool.execute("UPDATE billing_deliveries SET attempts = $1", len(RETRIES))
    await send_due(sender)
    assert await troubles(pool) == ["not_delivered"]
    id_ = await pool.fetchval("SELECT id FROM billing_messages")
    assert await receivers.dismiss(pool, OPERATOR, id_, None) == 1
    assert await troubles(pool) == []
    with pytest.raises(NotFoundError, match="was not given up"):
        await receivers.dismiss(pool, OPERATOR, id_, None)


@pytest.mark.usefixtures("subscription_id")
async def test_a_receiver_that_an_operator_disabled_is_no_trouble(
    pool: Pool, panel: Panel, sender: Sender
) -> None:
    await panel.add(pool)
    panel.answers.append(web.Response(status=500))
    await become(pool, "active")
    await send_due(sender)
    await receivers.disable(pool, OPERATOR, "panel")
    assert await troubles(pool) == []


@pytest.mark.usefixtures("subscription_id")
async def test_a_receiver_that_is_gone_is_disabled_at_once(
    pool: Pool, panel: Panel, sender: Sender
) -> None:
    await panel.add(pool)
    panel.answers.append(web.Response(status=410))
    await become(pool, "active")
    await send_due(sender)
    [receiver] = await receivers.list_all(pool)
    assert "HTTP 410" in receiver["disabled_reason"]


@pytest.mark.usefixtures("subscription_id")
async def test_a_slow_receiver_does_not_hold_up_another(
    pool: Pool, panel: Panel, sender: Sender
) -> None:
    released, arrived, woken = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await released.wait()
        return web.Response(status=204)

    async def arrive(_: web.Request) -> web.Response:
        arrived.set()
        return web.Response(status=204)

    panel.answers.append(hang)
    async with running_panel() as other, background(sender.run(woken)):
        other.answers.append(arrive)
        await panel.add(pool)
        await other.add(pool, name="other")
        await become(pool, "active")
        woken.set()
        async with asyncio.timeout(20):
            await arrived.wait()
        released.set()


@pytest.mark.usefixtures("subscription_id")
async def test_what_a_dead_process_had_claimed_is_sent_by_another(
    pool: Pool, panel: Panel, sender: Sender
) -> None:
    await panel.add(pool)
    await become(pool, "active")
    [receiver_id] = await sender.address()
    await pool.execute(CLAIMED)
    assert await sender.send_due(receiver_id) == 0
    await pool.execute(LATER)
    assert await sender.send_due(receiver_id) == 1
    assert panel.types == ["subscription.activated"]


@pytest.mark.usefixtures("subscription_id")
async def test_two_processes_number_each_message_once(
    pool: Pool, panel: Panel, sender: Sender
) -> None:
    await panel.add(pool)
    await become(pool, *["active", "suspended"] * 20)
    await asyncio.gather(*(sender.address() for _ in range(4)))
    await sender.address()
    rows = await pool.fetch("SELECT sequence FROM billing_messages ORDER BY position")
    assert [row["sequence"] for row in rows] == list(range(1, 41))


@pytest.mark.usefixtures("subscription_id")
async def test_a_receiver_gets_the_types_that_it_asks_for(
    pool: Pool, panel: Panel, sender: Sender
) -> None:
    await panel.add(pool, "subscription.suspended", "invoice.*")
    await become(pool, "active", "suspended")
    await send_due(sender)
    assert panel.types == ["subscription.suspended"]
    assert await receivers.resend(pool, OPERATOR, Selection(receiver="panel")) == 1
    await receivers.change(pool, OPERATOR, "panel", url=None, types=["*"])
    assert await receivers.resend(pool, OPERATOR, Selection(receiver="panel")) == 2


@pytest.mark.usefixtures("subscription_id")
async def test_messages_of_a_time_are_sent_again(pool: Pool, panel: Panel, sender: Sender) -> None:
    await panel.add(pool)
    await become(pool, "active")
    await send_due(sender)
    now = datetime.now(UTC)
    before = Selection(since=now - timedelta(days=2), until=now - timedelta(days=1))
    assert await receivers.resend(pool, OPERATOR, before) == 0
    assert await receivers.resend(pool, OPERATOR, Selection(since=now - timedelta(days=1))) == 1
    await send_due(sender)
    assert len(panel.ids) == 2
    assert len(set(panel.ids)) == 1


@pytest.mark.usefixtures("subscription_id")
async def test_both_secrets_are_valid_while_one_is_rolled(
    pool: Pool, panel: Panel, sender: Sender
) -> None:
    former = await panel.add(pool)
    new = await receivers.roll_secret(pool, OPERATOR, "panel")
    panel.secrets = [former, new]
    await become(pool, "active")
    await send_due(sender)
    assert panel.types == ["subscription.activated"]
    await receivers.roll_secret(pool, OPERATOR, "panel", hours=0)
    assert await pool.fetchval("SELECT former_secret FROM billing_receivers") is None


def test_a_signature_is_of_id_time_and_body() -> None:
    secret, at = make_secret(), datetime.now(UTC)
    headers = dict(sign("msg_1", at, '{"a":1}', [secret]))
    assert is_verified(secret, '{"a":1}', headers)
    assert not is_verified(secret, '{"a":2}', headers)
    assert not is_verified(secret, '{"a":1}', headers | {"webhook-id": "msg_2"})
    assert not is_verified(make_secret(), '{"a":1}', headers)
    old = dict(sign("msg_1", at - timedelta(hours=1), '{"a":1}', [secret]))
    assert not is_verified(secret, '{"a":1}', old)


@given(st.integers(1, 20), st.none() | st.floats(0, 1e300))
def test_ten_attempts_take_three_days(attempts: int, asked: float | None) -> None:
    delay = delay_after(attempts, asked)
    assert (delay is None) == (attempts > len(RETRIES))
    assert delay is None or RETRIES[attempts - 1] <= delay <= timedelta(days=1)
    assert timedelta(days=3) <= sum(RETRIES, timedelta()) <= timedelta(days=3, hours=6)


@pytest.mark.parametrize(
    ("name", "url", "types", "said"),
    [
        ("my panel", "https://panel.test/", [], "not a valid name"),
        ("panel", "panel.test", [], "is not an address"),
        ("panel", "ftp://panel.test/", [], "is not an address"),
        ("panel", "https://ada:pw@panel.test/", [], "is not an address"),
        ("panel", "http://panel.test/", [], "not encrypted"),
        ("panel", "https://panel.test/", ["invoice.lost"], "not a type of message"),
    ],
)
async def test_a_wrong_receiver_is_refused(
    pool: Pool, name: str, url: str, types: list[str], said: str
) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        await receivers.add(pool, OPERATOR, name=name, url=url, types=types, livemode=False)


async def test_receivers_are_changed_by_name(pool: Pool, panel: Panel) -> None:
    await panel.add(pool)
    with pytest.raises(ConflictError, match="already"):
        await panel.add(pool)
    for change in (receivers.disable, receivers.enable):
        await change(pool, OPERATOR, "panel")
        with pytest.raises(ConflictError, match="already"):
            await change(pool, OPERATOR, "panel")
        with pytest.raises(NotFoundError, match="no receiver other"):
            await change(pool, OPERATOR, "other")
    await receivers.remove(pool, OPERATOR, "panel")
    with pytest.raises(NotFoundError):
        await receivers.remove(pool, OPERATOR, "panel")
    actions = await pool.fetch("SELECT action FROM billing_audit_entries ORDER BY id")
    assert [row["action"] for row in actions] == [
        "receiver.add", "receiver.disable", "receiver.enable", "receiver.remove"
    ]  # fmt: skip
