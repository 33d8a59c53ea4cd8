"""A usage limit suspends what has reached it, for no longer than it is reached."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from mpanel_billing.catalogue.file import parse_catalogue
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.resources import DEFAULT_CATALOGUE
from mpanel_billing.worker.sweep import sweep
from tests.commands import run_command
from tests.usage.conftest import METERED, Reporter, record

TROUBLE = "SELECT trouble FROM billing_trouble"


async def work(reporter: Reporter) -> None:
    """Do all that is due."""
    await reporter.backend.worker.catch_up()
    await sweep(reporter.service.pool)
    await reporter.backend.worker.catch_up()


async def access(reporter: Reporter, id_: str) -> tuple[str, str | None]:
    """Return what its services are now, and why, as mPanel is told."""
    tenant = (await reporter.backend.subscription(id_))["tenant"]["id"]
    answer = await reporter.backend.get(f"tenants/{tenant}/entitlements")
    shown: dict[str, Any] = answer.body["entitlement"]
    (service,) = shown["services"]
    assert service["actual"] == service["state"]
    return service["state"], shown["reason"]


async def limit_of(reporter: Reporter, id_: str) -> dict[str, Any]:
    answer = await reporter.backend.get(f"subscriptions/{id_}/usage")
    (limit,) = [used["limit"] for used in answer.body["usage"] if used["limit"]]
    assert isinstance(limit, dict)
    return limit


async def change_limit(reporter: Reporter, written: str) -> None:
    text = METERED.replace('usage.limit = 5000\nusage.at_limit = "suspend"', written)
    await apply_catalogue(
        reporter.service.pool, parse_catalogue(DEFAULT_CATALOGUE.read_text() + text)
    )
    await work(reporter)


async def test_a_limit_suspends_until_the_next_term(reporter: Reporter, metered: str) -> None:
    await reporter.statuses(record("a", metered, 4999))
    await work(reporter)
    assert await access(reporter, metered) == ("active", None)
    one = record("b", metered, 1)
    await reporter.statuses(one)
    await work(reporter)
    assert await access(reporter, metered) == ("suspended", "used_up")
    subscription = await reporter.backend.subscription(metered)
    tenant = subscription["tenant"]["id"]
    shown = (await reporter.backend.get(f"tenants/{tenant}/entitlements")).body["entitlement"]
    assert shown["until"] == subscription["currentPeriodEnd"]
    assert await limit_of(reporter, metered) == {
        "quantity": 5000,
        "action": "suspend",
        "isReached": True,
        "suspends": True,
        "liftedAt": None,
    }
    pool = reporter.service.pool
    await pool.execute("UPDATE provisioning_work SET updated_at = now() - interval '16 minutes'")
    assert await pool.fetch(TROUBLE) == []
    version = "SELECT version FROM provisioning_work"
    before = await pool.fetchval(version)
    assert await reporter.statuses(one, record("c", metered, 7)) == ["duplicate", "stored"]
    assert await pool.fetchval(version) == before, "it is decided already"
    await reporter.statuses(record("d", metered, -8))
    await work(reporter)
    assert await access(reporter, metered) == ("active", None)
    await reporter.statuses(record("e", metered, 1))
    await work(reporter)
    assert await access(reporter, metered) == ("suspended", "used_up")

    end = datetime.fromisoformat(subscription["currentPeriodEnd"])
    await reporter.service.stripe.advance_time(int(end.timestamp()) + 7200)
    await work(reporter)
    assert await access(reporter, metered) == ("active", None)
    await reporter.statuses(record("f", metered, 9000))
    await work(reporter)
    assert await access(reporter, metered) == ("active", None), "it is of the term before"


async def test_it_goes_on_with_another_limit_or_an_operators_word(
    reporter: Reporter, metered: str
) -> None:
    await work(reporter)
    await reporter.statuses(record("a", metered, 6000))
    await work(reporter)
    assert await access(reporter, metered) == ("suspended", "used_up")
    await change_limit(reporter, 'usage.limit = 6001\nusage.at_limit = "suspend"')
    assert await access(reporter, metered) == ("active", None)
    await change_limit(reporter, 'usage.limit = 6000\nusage.at_limit = "suspend"')
    assert await access(reporter, metered) == ("suspended", "used_up")
    await change_limit(reporter, "usage.limit = 6000")
    assert await access(reporter, metered) == ("active", None)
    assert (await limit_of(reporter, metered))["action"] == "tell"
    await change_limit(reporter, 'usage.limit = 6000\nusage.at_limit = "suspend"')
    url = reporter.service.settings.database_url.get_secret_value()
    shown = await run_command(url, "usage", "show", metered)
    assert "  limit 6,000 reached, suspended" in shown.out
    lift = ("usage", "lift", metered, "--reason", "an upgrade follows")
    for _ in range(2):
        lifted = await run_command(url, *lift)
        assert lifted.out == "lifted until the next term: traffic_gb\n", lifted.err
    await reporter.statuses(record("b", metered, 5000))
    await work(reporter)
    assert await access(reporter, metered) == ("active", None)
    limit = await limit_of(reporter, metered)
    assert (limit["isReached"], limit["suspends"]) == (True, False)
    assert limit["liftedAt"] is not None
    timeline = await run_command(url, "timeline", metered)
    assert timeline.out.count("usage.lift by") == 1


async def test_it_is_lifted_over_http_once_by_who_may(reporter: Reporter, metered: str) -> None:
    backend, path = reporter.backend, f"subscriptions/{metered}/lift-usage-limit"
    agreed = {"reason": "an upgrade follows", "customerId": await backend.customer_of(metered)}
    await work(reporter)
    await reporter.statuses(record("a", metered, 4999))
    early = await backend.post(path, agreed)
    assert (early.status, early.body["code"]) == (409, "no_limit_reached")
    await reporter.statuses(record("b", metered, 1))
    await work(reporter)
    assert await access(reporter, metered) == ("suspended", "used_up")
    stranger = await backend.post(path, agreed | {"customerId": str(uuid4())})
    assert (stranger.status, stranger.body["code"]) == (404, "unknown_subscription")
    unexplained = await backend.post(path, {"reason": " "})
    assert (unexplained.status, set(unexplained.body["fields"])) == (422, {"reason"})
    answers = await asyncio.gather(*(backend.done(path, agreed) for _ in range(3)))
    assert [answer["meters"] for answer in answers] == [["traffic_gb"]] * 3
    await work(reporter)
    assert await access(reporter, metered) == ("active", None)
    assert await backend.audit() == [("usage.lift", "done")]
    subscription = await backend.subscription(metered)
    end = datetime.fromisoformat(subscription["currentPeriodEnd"])
    await reporter.service.stripe.advance_time(int(end.timestamp()) + 7200)
    await work(reporter)
    over = await backend.post(path, agreed)
    assert (over.status, over.body["code"]) == (409, "no_limit_reached")


async def test_what_is_used_after_a_term_that_the_mirror_has_counts_to_the_next_one(
    reporter: Reporter, metered: str
) -> None:
    await work(reporter)
    now = datetime.now(UTC)
    ended = now - timedelta(minutes=2)
    await reporter.service.pool.execute(
        "UPDATE subscription_items SET current_period_start = $1, current_period_end = $2",
        ended - timedelta(days=30),
        ended,
    )
    await reporter.statuses(
        record("a", metered, 3000, at=ended - timedelta(hours=1)),
        record("b", metered, 3000, at=now),
    )
    await work(reporter)
    assert await access(reporter, metered) == ("active", None)
    await reporter.statuses(record("c", metered, 1999, at=now))
    await reporter.statuses(record("d", metered, 1999, at=ended - timedelta(hours=1)))
    await work(reporter)
    assert await access(reporter, metered) == ("active", None)
    await reporter.statuses(record("e", metered, 1, at=now))
    await work(reporter)
    assert await access(reporter, metered) == ("suspended", "used_up")
