"""An event or an object that a mirrored type cannot be read from is kept as failed work."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import fields
from email.utils import formatdate
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from mpanel_billing.errors import StripeObjectUnreadableError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.reconciliation.compare import ReconcileContext, compare_object
from mpanel_billing.reconciliation.objects import reconcile_object
from mpanel_billing.reconciliation.replay import replay_events
from mpanel_billing.retention.repository import Ages
from mpanel_billing.retention.service import prune
from mpanel_billing.stripe_gateway.gateway import StripeGateway, open_gateway
from mpanel_billing.webhooks.inbox import retry_event
from mpanel_billing.worker.sweep import sweep
from tests import stripe_objects as made
from tests.commands import run_command
from tests.http.conftest import HEADERS, KEY
from tests.inbox import Inbox
from tests.provisioning.world import World
from tests.service import AppClient, make_app, make_settings
from tests.webhooks.test_route import Clients, post

UNREADABLE = {
    "an unknown status": (
        "customer.subscription.updated",
        made.subscription(status="dancing"),
        "status 'dancing' is unknown",
    ),
    "no currency": ("invoice.paid", made.invoice(currency=None), "currency is missing"),
    "no customer": (
        "customer.subscription.created",
        made.subscription() | {"customer": None},
        "customer is missing",
    ),
    "another type": ("customer.updated", {"id": "x", "object": "unicorn"}, "is not mirrored"),
}
READABLE = (
    "UPDATE stripe_events SET payload = jsonb_set(payload, '{data,object,status}', '\"active\"')"
)
"""What an upgrade is to an event: its status is known now."""

DUE = "UPDATE stripe_events SET next_attempt_at = now()"
ALL = Ages(*[0] * len(fields(Ages)))


@pytest.fixture
async def client(database_url: str, aiohttp_client: Clients) -> AppClient:
    settings = make_settings(database_url=database_url, admin_api_keys=KEY)
    return await aiohttp_client(make_app(settings))


async def deliver_unknown_status(inbox: Inbox, id_: str = "evt_1", **more: Any) -> None:
    about = made.subscription(status="dancing")
    assert await inbox.deliver("customer.subscription.updated", about, id_=id_, **more) == "failed"


@pytest.mark.parametrize(("type_", "about", "error"), UNREADABLE.values(), ids=UNREADABLE)
async def test_an_event_that_cannot_be_read_is_kept_as_failed_and_shows(
    client: AppClient, inbox: Inbox, type_: str, about: Mapping[str, Any], error: str
) -> None:
    event = made.event(type_, about, id_="evt_1")
    status, answer = await post(client, made.encoded(event))
    assert (status, answer["outcome"]) == (200, "failed")
    row = await inbox.row("SELECT * FROM stripe_events")
    assert (row["status"], row["attempts"], row["object_id"]) == ("failed", 1, about["id"])
    assert row["next_attempt_at"] > row["received_at"]
    assert row["payload"]["data"]["object"] == about
    assert error in row["last_error"]
    trouble = await inbox.row("SELECT * FROM billing_trouble")
    assert (trouble["trouble"], trouble["object_id"]) == ("event_failed", "evt_1")
    assert trouble["detail"].startswith(f"{type_}: cannot be read: ")
    assert error in trouble["detail"]
    await prune(inbox.pool, ALL)
    assert (await inbox.row("SELECT payload FROM stripe_events"))["payload"] is not None


async def test_an_event_that_cannot_be_read_shows_in_health_and_metrics(
    client: AppClient, inbox: Inbox
) -> None:
    await deliver_unknown_status(inbox)
    await inbox.pool.execute("UPDATE stripe_events SET received_at = now() - interval '1 hour'")
    health = await (await client.get("/api/health")).json()
    assert health["status"] == "degraded"
    assert health["reasons"] == [
        "a Stripe event has not been applied for 60 min (see billing_trouble)"
    ]
    metrics = await (await client.get("/metrics")).text()
    assert 'mpanel_billing_inbox_events{status="failed"} 1.0' in metrics


@pytest.mark.parametrize("type_", [7, None, ["invoice.paid"], {"a": 1}, True])
async def test_a_signed_event_whose_type_is_no_string_is_ignored(
    client: AppClient, inbox: Inbox, type_: Any
) -> None:
    event = made.event("invoice.paid", made.invoice(), id_="evt_1") | {"type": type_}
    status, answer = await post(client, made.encoded(event))
    assert (status, answer["outcome"]) == (200, "ignored")
    row = await inbox.row("SELECT type, status, reason, payload FROM stripe_events")
    assert (row["type"], row["reason"]) == ("unknown", "its type is not mirrored")
    assert row["payload"]["type"] == type_


async def test_an_event_that_cannot_be_read_blocks_no_other_of_its_batch(
    client: AppClient, inbox: Inbox
) -> None:
    await deliver_unknown_status(inbox)
    await inbox.deliver("customer.subscription.created", made.subscription(amount=900))
    assert (await inbox.subscription())["amount"] == 900


async def test_an_event_that_cannot_be_read_is_retried_with_backoff_until_it_can(
    inbox: Inbox,
) -> None:
    await deliver_unknown_status(inbox)
    await inbox.pool.execute(DUE)
    assert (await sweep(inbox.pool))["events"] == 1
    outcome = await retry_event(inbox.mirror, "evt_1")
    assert outcome is not None
    assert outcome.status == "failed"
    row = await inbox.row(
        "SELECT attempts, last_error, next_attempt_at - now() AS wait FROM stripe_events"
    )
    assert (row["attempts"], row["last_error"]) == (
        2,
        "cannot be read: status 'dancing' is unknown",
    )
    assert row["wait"].total_seconds() == pytest.approx(120, abs=10)
    await inbox.pool.execute(READABLE)
    outcome = await retry_event(inbox.mirror, "evt_1")
    assert outcome is not None
    assert outcome.status == "applied"
    assert (await inbox.subscription())["stripe_status"] == "active"
    trouble = "SELECT * FROM billing_trouble WHERE trouble = 'event_failed'"
    assert await inbox.pool.fetch(trouble) == []


async def several(inbox: Inbox) -> None:
    """Two types that failed, one of them long ago, and events of a type that is not mirrored."""
    await deliver_unknown_status(inbox, "evt_old")
    await inbox.pool.execute("UPDATE stripe_events SET received_at = now() - interval '20 days'")
    await deliver_unknown_status(inbox, "evt_new")
    await inbox.deliver("invoice.paid", made.invoice(currency=None), id_="evt_invoice")
    for number in range(2):
        await inbox.deliver("unicorn.created", made.subscription(), id_=f"evt_unicorn_{number}")
    await inbox.deliver("dragon.created", made.subscription(), id_="evt_dragon")


ATTEMPTS = "SELECT attempts FROM stripe_events WHERE id = ANY($1)"
NOW_MIRRORED = """
    UPDATE stripe_events
    SET payload = jsonb_set(payload, '{type}', '"customer.subscription.updated"')
    WHERE type = 'unicorn.created'
"""


async def test_selected_events_are_replayed_over_http(client: AppClient, inbox: Inbox) -> None:
    await several(inbox)
    route = "/api/admin/events/replay-failed"

    async def replay(query: str) -> dict[str, int]:
        answer = await client.post(query, headers=HEADERS)
        outcomes: dict[str, int] = (await answer.json())["outcomes"]
        return outcomes

    assert await replay(f"{route}?type=invoice.paid") == {"failed": 1}
    assert await replay(f"{route}?type=customer.subscription.updated&sinceDays=7") == {"failed": 1}
    attempts = await inbox.pool.fetch("SELECT id FROM stripe_events WHERE attempts = 2 ORDER BY id")
    assert [row["id"] for row in attempts] == ["evt_invoice", "evt_new"]
    await inbox.pool.execute(f"{READABLE} WHERE status = 'failed'")
    assert await replay(route) == {"applied": 1, "stale": 1, "failed": 1}
    await inbox.pool.execute(NOW_MIRRORED)
    ignored = "/api/admin/events/replay-ignored"
    assert (await client.post(ignored, headers=HEADERS)).status == 422
    assert await replay(f"{ignored}?type=dragon.created") == {"ignored": 1}
    assert await replay(f"{ignored}?type=unicorn.created&sinceDays=1") == {"stale": 2}


async def test_a_request_replays_so_many_and_says_after_which_to_go_on(
    client: AppClient, inbox: Inbox
) -> None:
    await several(inbox)
    await inbox.pool.execute(f"{READABLE} WHERE id = 'evt_new'")
    failed = await inbox.pool.fetch(
        "SELECT id FROM stripe_events WHERE status = 'failed' ORDER BY received_at, id"
    )
    seen, after = [], ""
    while len(seen) < len(failed):
        route = f"/api/admin/events/replay-failed?limit=1{after}"
        body = await (await client.post(route, headers=HEADERS)).json()
        assert sum(body["outcomes"].values()) == 1
        seen.append(failed[len(seen)]["id"])
        assert body["after"] == (seen[-1] if len(seen) < len(failed) else None)
        after = f"&after={body['after']}"
    assert {row["attempts"] for row in await inbox.pool.fetch(ATTEMPTS, seen)} == {2}
    await inbox.pool.execute(NOW_MIRRORED)
    ignored = "/api/admin/events/replay-ignored?type=unicorn.created&limit=1"
    first = await (await client.post(ignored, headers=HEADERS)).json()
    assert (first["outcomes"], first["after"]) == ({"stale": 1}, "evt_unicorn_0")
    rest = await (await client.post(f"{ignored}&after=evt_unicorn_0", headers=HEADERS)).json()
    assert (rest["outcomes"], rest["after"]) == ({"stale": 1}, None)
    for wrong, status in (("limit=0", 422), ("limit=1001", 422), ("after=evt_none", 404)):
        answer = await client.post(f"{ignored.partition('&')[0]}&{wrong}", headers=HEADERS)
        assert answer.status == status, wrong


async def test_selected_events_are_replayed_by_command(database_url: str, inbox: Inbox) -> None:
    await several(inbox)
    await inbox.pool.execute(f"{READABLE} WHERE status = 'failed'")
    await inbox.pool.execute(NOW_MIRRORED)
    of_type = ("--type", "customer.subscription.updated")
    recent = await run_command(database_url, "events", "replay-failed", *of_type, "--since", "7")
    assert (recent.status, recent.out) == (0, "evt_new applied\n")
    ended = await run_command(database_url, "events", "replay-failed")
    assert (ended.status, sorted(ended.out.splitlines())) == (
        1,
        ["evt_invoice failed", "evt_old stale"],
    )
    ended = await run_command(database_url, "events", "replay-ignored", "--type", "unicorn.created")
    assert (ended.status, ended.out) == (0, "evt_unicorn_0 stale\nevt_unicorn_1 stale\n")
    ended = await run_command(database_url, "events", "replay-ignored", "--type", "none.such")
    assert (ended.status, ended.out) == (0, "no ignored events\n")
    assert (await run_command(database_url, "events", "replay-ignored")).status == 2


class Answers:
    """Stripe's API: objects by path."""

    def __init__(self) -> None:
        self.objects: dict[str, Mapping[str, Any]] = {}

    async def respond(self, request: web.Request) -> web.Response:
        headers = {"Date": formatdate(usegmt=True)}
        found = self.objects.get(request.path)
        if found is None:
            error = {"type": "invalid_request_error", "code": "resource_missing", "message": "no"}
            return web.json_response({"error": error}, status=404, headers=headers)
        return web.json_response(found, headers=headers)


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
async def gateway(answers: Answers) -> AsyncIterator[StripeGateway]:
    app = web.Application()
    app.router.add_get("/{path:.*}", answers.respond)
    async with (
        TestServer(app) as server,
        open_gateway(make_settings(stripe_api_base=str(server.make_url("/")))) as opened,
    ):
        yield opened


@pytest.fixture
def mirror(inbox: Inbox, gateway: StripeGateway) -> Mirror:
    return Mirror(inbox.pool, gateway, livemode=False)


SUBSCRIPTION = "/v1/subscriptions/sub_1"
INVOICE = "/v1/invoices/in_1"


async def heal(inbox: Inbox, mirror: Mirror, object_id: str) -> None:
    """Refetch what is kept as failed, and see that it is settled."""
    await inbox.pool.execute("UPDATE stripe_refetches SET next_attempt_at = now()")
    assert (await sweep(inbox.pool))["refetches"] >= 1
    await mirror.refetch(object_id)
    left = "SELECT * FROM stripe_refetches WHERE object_id = $1"
    assert await inbox.pool.fetch(left, object_id) == []
    troubles = "SELECT * FROM billing_trouble WHERE trouble = 'refetch_failed'"
    assert await inbox.pool.fetch(troubles) == []


async def failed_refetch(inbox: Inbox, object_id: str) -> str:
    """Return the detail of the only trouble, of a refetch that failed."""
    trouble = await inbox.row("SELECT * FROM billing_trouble WHERE trouble = 'refetch_failed'")
    assert trouble["object_id"] == object_id
    detail: str = trouble["detail"]
    return detail


async def test_an_object_that_cannot_be_read_when_refetched_is_kept_and_retried(
    inbox: Inbox, mirror: Mirror, answers: Answers
) -> None:
    answers.objects[SUBSCRIPTION] = made.subscription(status="dancing")
    await inbox.pool.execute(
        "INSERT INTO stripe_refetches (object_id, object_type, reason)"
        " VALUES ('sub_1', 'subscription', 'test')"
    )
    await mirror.refetch("sub_1")
    assert await failed_refetch(inbox, "sub_1") == (
        "Stripe's object cannot be read: status 'dancing' is unknown"
    )
    answers.objects[SUBSCRIPTION] = made.subscription()
    await heal(inbox, mirror, "sub_1")
    assert (await inbox.subscription())["stripe_status"] == "active"


async def test_an_object_that_cannot_be_written_when_refetched_is_kept_with_the_error(
    inbox: Inbox, mirror: Mirror, answers: Answers
) -> None:
    await inbox.pool.execute("ALTER TABLE subscriptions ADD CONSTRAINT fault CHECK (amount < 666)")
    answers.objects[SUBSCRIPTION] = made.subscription(amount=666)
    await inbox.pool.execute(
        "INSERT INTO stripe_refetches (object_id, object_type, reason)"
        " VALUES ('sub_1', 'subscription', 'test')"
    )
    await mirror.refetch("sub_1")
    assert "CheckViolationError" in await failed_refetch(inbox, "sub_1")
    await inbox.pool.execute("ALTER TABLE subscriptions DROP CONSTRAINT fault")
    await heal(inbox, mirror, "sub_1")


async def test_an_object_that_cannot_be_read_on_the_way_is_kept_and_retried(
    inbox: Inbox, mirror: Mirror, answers: Answers
) -> None:
    answers.objects[SUBSCRIPTION] = made.subscription(status="dancing")
    with pytest.raises(StripeObjectUnreadableError, match="sub_1 cannot be read: status 'dancing'"):
        await mirror.refresh("subscription", "sub_1")
    assert "'dancing'" in await failed_refetch(inbox, "sub_1")
    answers.objects[SUBSCRIPTION] = made.subscription()
    await heal(inbox, mirror, "sub_1")


async def test_reconcile_keeps_what_it_cannot_read_and_goes_on(
    inbox: Inbox, mirror: Mirror, answers: Answers
) -> None:
    context = ReconcileContext(mirror, World().drivers())
    answers.objects[INVOICE] = made.invoice(currency=None)
    answers.objects["/v1/invoice_payments"] = {"object": "list", "data": [], "has_more": False}
    (found,) = await reconcile_object(context, "in_1", dry_run=True)
    assert (found.found, found.repaired) == ("unreadable: currency is missing", False)
    assert await inbox.pool.fetch("SELECT * FROM stripe_refetches") == []
    (found,) = await reconcile_object(context, "in_1", dry_run=False)
    assert found.found == "unreadable: currency is missing"
    assert await failed_refetch(inbox, "in_1") == (
        "Stripe's object cannot be read: currency is missing"
    )
    answers.objects[INVOICE] = made.invoice()
    await heal(inbox, mirror, "in_1")
    assert await compare_object(context, "invoice", "in_1") == []


async def test_a_payment_that_cannot_be_read_does_not_stop_the_reconcile_of_its_invoice(
    inbox: Inbox, mirror: Mirror, answers: Answers
) -> None:
    context = ReconcileContext(mirror, World().drivers())
    payment = made.invoice_payment() | {"status": "dancing"}
    payments = {"object": "list", "data": [payment]}
    answers.objects[INVOICE] = made.invoice(payments=payments)
    (found,) = await compare_object(context, "invoice", "in_1")
    assert (found.found, found.repaired) == ("paid", False)
    assert "'dancing'" in await failed_refetch(inbox, "in_1")


async def test_a_subscription_that_cannot_be_read_does_not_stop_the_reconcile_of_its_customer(
    inbox: Inbox, mirror: Mirror, answers: Answers
) -> None:
    context = ReconcileContext(mirror, World().drivers())
    answers.objects[SUBSCRIPTION] = made.subscription(status="dancing")
    answers.objects["/v1/customers/cus_1"] = {"id": "cus_1", "object": "customer", "name": "Ada"}
    answers.objects["/v1/invoices"] = {"object": "list", "data": [], "has_more": False}
    drift = await reconcile_object(context, "sub_1", dry_run=False)
    assert {(d.object_id, d.repaired) for d in drift} == {("sub_1", False), ("cus_1", True)}
    assert drift[0].found == "unreadable: status 'dancing' is unknown"


async def test_a_subscription_that_cannot_be_read_does_not_stop_the_replay_of_its_events(
    inbox: Inbox, mirror: Mirror, answers: Answers
) -> None:
    answers.objects[SUBSCRIPTION] = made.subscription(status="dancing")
    event = made.event("customer.subscription.created", made.subscription(), id_="evt_1")
    (found,) = await replay_events(mirror, [event], fetch_unknown=True)
    assert (found.object_id, found.repaired) == ("evt_1", True)
    assert "'dancing'" in await failed_refetch(inbox, "sub_1")
    answers.objects[SUBSCRIPTION] = made.subscription()
    await heal(inbox, mirror, "sub_1")
