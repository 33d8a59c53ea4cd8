"""`mpanel-billing keys` and `audit`, and what is on record of the other commands."""

import json
import re
import socket
from datetime import timedelta

import aiohttp
import asyncpg
import pytest

from mpanel_billing.access.key import make_key
from mpanel_billing.database.pool import Pool
from stripe_sandbox import Sandbox
from tests import stripe_objects as made
from tests.access.conftest import ADMIN_KEY, bearer
from tests.commands import run_command
from tests.inbox import Inbox
from tests.processes import running_api

PUBLIC = "https://panel.example.com"
KEY = re.compile(r"mpb_[0-9A-Za-z]{10}_[0-9A-Za-z]{49}\n")


NEWER = "SELECT action, outcome, actor FROM billing_audit_log ORDER BY id OFFSET $1"


async def test_keys_are_made_listed_and_revoked(database_url: str) -> None:
    words = ("keys", "create", "--name", "panel", "--scope", "billing", "--scope", "admin:read")
    created = await run_command(database_url, *words, "--expires-in", "30")
    assert created.status == 0
    assert KEY.fullmatch(created.out)
    id_ = created.out[:14]
    assert created.err.startswith(f"{id_} (panel) has admin:read, billing, and expires ")

    taken = await run_command(database_url, *words)
    assert (taken.status, taken.out) == (1, "")
    assert taken.err.startswith("mpanel-billing: A key named panel exists already")

    listed = await run_command(database_url, "keys", "list")
    assert re.search(rf"^{id_}  panel  valid  admin:read,billing  ", listed.out, re.MULTILINE)
    revoked = await run_command(database_url, "keys", "revoke", "panel")
    assert revoked.out.startswith(f"revoked {id_}")
    (row,) = json.loads((await run_command(database_url, "keys", "list", "--json")).out)
    assert (row["id"], row["state"], row["last_used_at"]) == (id_, "revoked", None)
    again = await run_command(database_url, "keys", "revoke", id_)
    assert (again.status, again.err) == (
        1,
        f"mpanel-billing: Key {id_} (panel) is already revoked.\n",
    )
    # the name is free again
    assert (await run_command(database_url, *words)).status == 0

    told = await run_command(database_url, "audit", "list", "--target", id_)
    lines = [line.split("  ") for line in told.out.splitlines()]
    assert [line[2] for line in lines] == ["key.revoke", "key.create"]
    assert all(re.fullmatch(rf"cli:\S+@{socket.gethostname()}", line[1]) for line in lines)


async def test_a_key_is_rolled_under_its_name(database_url: str, pool: Pool) -> None:
    create = ("keys", "create", "--name", "panel", "--scope", "billing:read", "--no-expiry")
    first = (await run_command(database_url, *create)).out
    rolled = await run_command(database_url, "keys", "roll", "panel", "--overlap-hours", "2")
    assert rolled.status == 0, rolled.err
    assert KEY.fullmatch(rolled.out)
    old, new = first[:14], rolled.out[:14]
    assert f"{new} is panel now; {old} works until " in rolled.err
    rows = {row["id"]: row for row in await pool.fetch("SELECT * FROM billing_api_keys")}
    assert rows[old]["expires_at"] - rows[new]["created_at"] == timedelta(hours=2)
    assert rows[new]["expires_at"] is None
    again = await run_command(database_url, "keys", "roll", old)
    assert (again.status, f"{new} is in use" in again.err) == (1, True)
    # the name means the new one
    revoked = await run_command(database_url, "keys", "revoke", "panel")
    assert revoked.out.startswith(f"revoked {new}")
    listed = (await run_command(database_url, "keys", "list")).out
    assert re.search(rf"^{old}  panel  valid, replaced  ", listed, re.MULTILINE)
    over = await run_command(database_url, "keys", "roll", new)
    assert (over.status, "is revoked" in over.err) == (1, True)


async def test_a_key_expires_after_a_year_unless_it_is_made_without_an_expiry(
    database_url: str, pool: Pool
) -> None:
    for name, *words in (("usual",), ("for-ever", "--no-expiry")):
        create = ("keys", "create", "--name", name, "--scope", "billing:read", *words)
        assert (await run_command(database_url, *create)).status == 0
    days = """SELECT extract(day FROM expires_at - created_at)::int
              FROM billing_api_keys WHERE name = $1"""
    assert await pool.fetchval(days, "usual") == 365
    assert await pool.fetchval(days, "for-ever") is None


async def test_limits_of_a_key_are_shown_and_are_in_the_audit_log(
    database_url: str, pool: Pool
) -> None:
    create = ("keys", "create", "--name", "desk", "--scope", "billing:refund")
    limits = ("--network", "10.1.0.0/16", "--network", "2001:db8::7", "--calls-per-minute", "30")
    made = await run_command(database_url, *create, *limits, "--refunds-per-day", "5000")
    assert made.status == 0, made.err
    listed = (await run_command(database_url, "keys", "list")).out
    assert "from 10.1.0.0/16, from 2001:db8::7/128, 30 calls/min, refunds 5000/day" in listed
    details = await pool.fetchval("SELECT details FROM billing_audit_log")
    assert details["networks"] == ["10.1.0.0/16", "2001:db8::7/128"]
    assert (details["callsPerMinute"], details["refundsPerDay"]) == (30, 5000)
    wrong = await run_command(database_url, *create, "--network", "10.1.2.3/16")
    assert (wrong.status, "has host bits set" in wrong.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("create", "--name", "x", "--scope", "root"),
            "Unknown scope 'root'; the scopes are: admin,",
        ),
        (
            ("create", "--name", "mpb_x", "--scope", "admin"),
            "'mpb_x' is not a valid name",
        ),
        (("revoke", "nobody"), "Key nobody not found."),
    ],
    ids=["scope", "name", "unknown"],
)
async def test_what_cannot_be_done_is_one_line_and_exit_code_1(
    database_url: str, words: tuple[str, ...], said: str
) -> None:
    ended = await run_command(database_url, "keys", *words)
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith(f"mpanel-billing: {said}")
    assert ended.err.count("\n") == 1


async def test_every_command_that_changes_something_leaves_exactly_one_entry(
    database_url: str, inbox: Inbox, sandbox: Sandbox
) -> None:
    await inbox.deliver("customer.subscription.created", made.subscription(), id_="evt_1")
    await inbox.deliver("invoice.paid", made.invoice())
    await inbox.pool.execute(
        """UPDATE stripe_events SET status = 'failed', last_error = 'fault', applied_at = NULL
           WHERE id = 'evt_1'"""
    )
    for words, action in [
        ("catalog apply", "catalogue.apply"),
        ("catalog push", "catalogue.push"),
        ("events replay evt_1", "event.replay"),
        ("events replay-failed", "events.replay_failed"),
        ("events replay-ignored --type unicorn.created", "events.replay_ignored"),
        ("provision suspend sub_1 --reason abuse", "subscription.suspend"),
        ("provision lift sub_1", "subscription.lift"),
        ("provision retry sub_1", "subscription.retry"),
        ("provision retry --all", "provisioning.retry_all"),
        ("prune", "retention.prune"),
        (f"stripe endpoint ensure --url {PUBLIC}/api/webhooks/stripe", "stripe.endpoint_ensure"),
        ("reconcile --since 1", "reconcile.start"),
    ]:
        seen = await inbox.pool.fetchval("SELECT count(*) FROM billing_audit_log")
        ended = await run_command(database_url, *words.split(), stripe_url=sandbox.url)
        assert ended.status == 0, ended
        entry = await inbox.row(NEWER, seen)
        assert (entry["action"], entry["outcome"]) == (action, "done")
        assert entry["actor"].startswith("cli:")
    shown = await run_command(database_url, "timeline", "sub_1")
    done = re.findall(r"  operator  (\S+) by cli:\S+: done$", shown.out, re.MULTILINE)
    assert done == ["event.replay", "subscription.retry"]
    assert (await run_command(database_url, "audit", "list", "--actor", "nobody")).out == (
        "no changes\n"
    )


async def test_no_key_is_in_any_log_line_or_row(database_url: str, unused_tcp_port: int) -> None:
    """A real process at its most talkative, with keys that are right, wrong and worn out."""
    words = ("keys", "create", "--name", "panel", "--scope", "admin")
    right = (await run_command(database_url, *words)).out.strip()
    given = [right, right[:-1], make_key().text, ADMIN_KEY, "x" * 30]
    environment = {"ADMIN_API_KEYS": ADMIN_KEY, "LOG_LEVEL": "debug"}
    async with running_api(database_url, unused_tcp_port, **environment) as api:
        statuses = []
        async with aiohttp.ClientSession(f"http://127.0.0.1:{unused_tcp_port}") as client:
            for key in given:
                async with client.get("/api/admin/events", headers=bearer(key)) as answer:
                    statuses.append(answer.status)
        assert statuses == [200, 401, 401, 200, 401]
        await run_command(database_url, "keys", "revoke", "panel")
        conn = await asyncpg.connect(database_url)
        rows = await conn.fetch(
            """SELECT a::text FROM billing_audit_log AS a
               UNION SELECT k::text FROM billing_api_keys AS k"""
        )
        await conn.close()
        assert await api.stop() == 0
        told = "".join(api.lines) + "".join(row[0] for row in rows)
    assert "/api/admin/events" in told
    assert right[:14] in told
    for key in given:
        assert key not in told
        assert key[15:40] not in told
