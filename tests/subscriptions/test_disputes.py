"""Disputes: what they do to the subscription, and the evidence that answers them."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from mpanel_billing.access.audit import Actor
from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.subscriptions import disputes
from tests.commands import run_command
from tests.subscriptions.conftest import Backend

BY = Actor("cli:grace@panel")
TROUBLE = (
    "SELECT trouble FROM billing_trouble"
    " WHERE trouble IN ('dispute_unanswered', 'dispute_due', 'fraud_warning')"
)


def mirror_of(backend: Backend) -> Mirror:
    return Mirror(backend.service.pool, backend.worker.gateway, livemode=False)


@pytest.fixture
async def charge(backend: Backend, bought: str) -> str:
    """The charge of the first month."""
    charges = await backend.worker.gateway.client.v1.charges.list_async()
    assert bought
    return charges.data[0].id


async def disputed(backend: Backend, charge: str, **details: Any) -> str:
    """Open a dispute, whose webhooks arrive."""
    id_ = await backend.service.stripe.dispute(charge, **details)
    await backend.worker.catch_up()
    return id_


async def services(backend: Backend, id_: str) -> set[str]:
    rows = await backend.service.pool.fetch(
        "SELECT actual FROM tenant_services WHERE subscription_id::text = $1", id_
    )
    return {row["actual"] for row in rows}


def with_policy(backend: Backend, *, suspend: bool) -> None:
    """Let the worker run under DISPUTE_POLICY=suspend, or flag."""
    provisioning = backend.worker.provisioning
    policy = replace(provisioning.policy, suspend_disputed=suspend)
    backend.worker = replace(backend.worker, provisioning=replace(provisioning, policy=policy))


async def troubles(backend: Backend) -> list[str]:
    return [row["trouble"] for row in await backend.service.pool.fetch(TROUBLE)]


async def test_a_dispute_is_trouble_until_it_is_answered_and_suspends_nothing_by_default(
    backend: Backend, bought: str, charge: str
) -> None:
    id_ = await disputed(backend, charge)
    assert await troubles(backend) == ["dispute_unanswered"]
    assert await services(backend, bought) == {"active"}
    pool = backend.service.pool
    for days, kind in ((4, "dispute_unanswered"), (2, "dispute_due")):
        due = f"UPDATE stripe_disputes SET evidence_due_at = now() + interval '{days} days'"
        await pool.execute(due)
        assert await troubles(backend) == [kind]
    await disputes.give_evidence(mirror_of(backend), id_, {}, BY, submit=True)
    assert await troubles(backend) == []
    watched = "SELECT object_id, subscription_id::text FROM billing_watch WHERE trouble = $1"
    (row,) = await pool.fetch(watched, "dispute_under_review")
    assert tuple(row) == (id_, bought)
    await backend.service.stripe.decide_dispute(id_, "won")
    await backend.worker.catch_up()
    assert await pool.fetch(watched, "dispute_under_review") == []


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("needs_response", "suspended"),
        ("warning_needs_response", "active"),
        ("prevented", "active"),
    ],
)
async def test_only_a_chargeback_suspends(
    backend: Backend, bought: str, charge: str, status: str, state: str
) -> None:
    with_policy(backend, suspend=True)
    await disputed(backend, charge, status=status)
    assert await services(backend, bought) == {state}


@pytest.mark.parametrize(("outcome", "state"), [("won", "active"), ("lost", "suspended")])
async def test_a_suspension_ends_when_the_dispute_is_won_or_waived(
    backend: Backend, bought: str, charge: str, outcome: str, state: str
) -> None:
    with_policy(backend, suspend=True)
    id_ = await disputed(backend, charge)
    await backend.service.stripe.decide_dispute(id_, outcome)
    await backend.worker.catch_up()
    assert await services(backend, bought) == {state}
    await disputes.waive(backend.service.pool, id_, "paid by bank transfer", BY)
    await backend.worker.catch_up()
    assert await services(backend, bought) == {"active"}
    with pytest.raises(NotFoundError):
        await disputes.waive(backend.service.pool, id_, "again", BY)


async def test_the_policy_cancel_ends_the_subscription_once(
    backend: Backend, bought: str, charge: str
) -> None:
    assert await disputes.end_disputed(mirror_of(backend)) == 0
    await disputed(backend, charge)
    ended = [await disputes.end_disputed(mirror_of(backend)) for _ in range(2)]
    assert ended == [1, 0]
    assert (await backend.subscription(bought))["stripeStatus"] == "canceled"


async def test_a_waived_dispute_cancels_nothing(backend: Backend, bought: str, charge: str) -> None:
    id_ = await disputed(backend, charge)
    await disputes.waive(backend.service.pool, id_, "agreed", BY)
    assert await disputes.end_disputed(mirror_of(backend)) == 0
    assert (await backend.subscription(bought))["stripeStatus"] == "active"


async def test_evidence_is_staged_from_our_records_and_submitted_once(
    backend: Backend, charge: str
) -> None:
    id_ = await disputed(backend, charge)
    mirror = mirror_of(backend)
    told = {"uncategorized_text": "The customer asked for it."}
    staged = await disputes.give_evidence(mirror, id_, told, BY, submit=False)
    assert staged.fields["customer_email_address"] == "ada@example.com"
    assert staged.fields["product_description"].startswith("Web hosting, plan Starter")
    assert "create hosting" in staged.fields["access_activity_log"]
    at_stripe = await backend.worker.gateway.client.v1.disputes.retrieve_async(id_)
    assert at_stripe.evidence.uncategorized_text == "The customer asked for it."
    assert (at_stripe.status, at_stripe.evidence_details.submission_count) == ("needs_response", 0)
    done = await disputes.give_evidence(mirror, id_, {}, BY, submit=True)
    assert done.fields == staged.fields
    assert await disputes.give_evidence(mirror, id_, {}, BY, submit=True) == done
    more = {"uncategorized_text": "More."}
    with pytest.raises(ConflictError, match="takes no more evidence: it is under_review"):
        await disputes.give_evidence(mirror, id_, more, BY, submit=True)
    actions = await backend.service.pool.fetch(
        "SELECT action, outcome FROM billing_audit_log WHERE target_id = $1 ORDER BY id", id_
    )
    assert [tuple(row) for row in actions] == [
        ("dispute.stage", "done"),
        ("dispute.submit", "done"),
    ]


async def test_evidence_that_was_replaced_can_be_staged_again(
    backend: Backend, charge: str
) -> None:
    id_ = await disputed(backend, charge)
    for text in ("first", "second", "first"):
        told = {"uncategorized_text": text}
        await disputes.give_evidence(mirror_of(backend), id_, told, BY, submit=False)
    at_stripe = await backend.worker.gateway.client.v1.disputes.retrieve_async(id_)
    assert at_stripe.evidence.uncategorized_text == "first"


async def test_an_early_fraud_warning_is_trouble_until_the_payment_is_refunded(
    backend: Backend, bought: str, charge: str
) -> None:
    await backend.service.stripe.warn_of_fraud(charge)
    await backend.worker.catch_up()
    assert await troubles(backend) == ["fraud_warning"]
    (invoice,) = await backend.invoices(bought)
    await backend.done(f"invoices/{invoice['id']}/refund")
    await backend.worker.catch_up()
    assert await troubles(backend) == []


async def test_support_lists_shows_answers_and_waives_disputes(
    backend: Backend, charge: str
) -> None:
    url = backend.service.settings.database_url.get_secret_value()

    async def say(*words: str) -> str:
        done = await run_command(url, "disputes", *words, stripe_url=backend.service.sandbox.url)
        assert done.status == 0, done.err
        return done.out

    assert await say("list") == "there are none\n"
    id_ = await disputed(backend, charge)
    assert f"{id_}  needs_response  fraudulent" in await say("list", "--open")
    shown = await say("show", id_)
    assert "evidence:        none" in shown
    assert "can be refunded: no" in shown
    assert "staged, and not submitted" in await say("evidence", id_)
    wrong = await run_command(url, "disputes", "evidence", id_, "--field", "story=x")
    assert (wrong.status, "story is none of" in wrong.err) == (2, True)
    refused = await backend.post(f"disputes/{id_}/evidence", {"fields": {"story": "x"}})
    assert refused.body["fields"]["fields.story"].startswith("is unknown: use access_activity_log")
    assert "evidence:        staged" in await say("show", id_)
    assert "submitted" in await say("evidence", id_, "--submit")
    assert await say("list", "--open") == "there are none\n"
    assert await say("waive", id_, "--reason", "agreed") == "waived\n"
    assert "agreed" in await say("show", id_)


async def test_the_backend_lists_shows_and_answers_disputes_of_its_customers(
    backend: Backend, bought: str, charge: str
) -> None:
    id_ = await disputed(backend, charge)
    owner = {"customerId": await backend.customer_of(bought)}
    listed = (await backend.get("disputes", open="true", **owner)).body
    assert ([one["id"] for one in listed["disputes"]], listed["hasMore"]) == ([id_], False)
    shown = (await backend.get(f"disputes/{id_}", **owner)).body["dispute"]
    assert (shown["subscriptionId"], shown["evidence"]) == (bought, "none")
    said = {"fields": {"uncategorized_text": "The customer asked for it."}, **owner}
    staged = await backend.done(f"disputes/{id_}/evidence", said)
    assert (staged["submitted"], staged["dispute"]["evidence"]) == (False, "staged")
    assert staged["fields"]["customer_email_address"] == "ada@example.com"
    for _ in range(2):
        done = await backend.done(f"disputes/{id_}/evidence", {"submit": True, **owner})
        assert (done["submitted"], done["dispute"]["status"]) == (True, "under_review")
    late = await backend.post(
        f"disputes/{id_}/evidence", {"fields": {"service_date": "later"}, "submit": True}
    )
    assert (late.status, late.body["code"]) == (409, "evidence_not_taken")
    assert (await backend.get("disputes", open="true")).body["disputes"] == []


@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "status", "status": 500}])
async def test_evidence_whose_response_was_lost_is_submitted_once(
    backend: Backend, charge: str, fault: dict[str, Any]
) -> None:
    id_ = await disputed(backend, charge)
    await backend.service.stripe.inject_fault(
        method="POST", path="/v1/disputes/", after_work=True, times=3, **fault
    )
    body = {"submit": True, "fields": {"uncategorized_text": "As agreed."}}
    assert (await backend.post(f"disputes/{id_}/evidence", body)).status == 503
    done = await backend.done(f"disputes/{id_}/evidence", body)
    assert (done["submitted"], done["dispute"]["evidence"]) == (True, "submitted")
    at_stripe = await backend.worker.gateway.client.v1.disputes.retrieve_async(id_)
    assert at_stripe.evidence_details.submission_count == 1


async def test_of_two_requests_in_one_instant_one_sends_the_evidence(
    backend: Backend, charge: str
) -> None:
    """What is staged is read and written back: another in between would be lost, or sent twice."""
    id_ = await disputed(backend, charge)
    stripe = backend.service.stripe
    path, body = f"disputes/{id_}/evidence", {"submit": True}
    await stripe.inject_fault("hang", method="POST", path="/v1/disputes/", seconds=0.5)
    answers = await asyncio.gather(*(backend.post(path, body) for _ in range(3)))
    made, *refused = sorted(answers, key=lambda answer: answer.status)
    assert (made.status, made.body["submitted"]) == (200, True)
    for one in refused:
        assert (one.status, one.body["code"]) == (409, "change_in_progress")
        assert int(one.headers["Retry-After"]) > 0
    assert (await backend.done(path, body))["submitted"]
    sent = await stripe.requests(method="POST", path=f"/v1/disputes/{id_}")
    assert len(sent) == 1


async def test_a_process_that_died_while_it_sent_evidence_keeps_it_from_nobody_for_long(
    backend: Backend, charge: str
) -> None:
    id_ = await disputed(backend, charge)
    claim = "UPDATE stripe_disputes SET claimed_until = now() + {}"
    await backend.service.pool.execute(claim.format("interval '1 minute'"))
    assert (await backend.post(f"disputes/{id_}/evidence")).body["code"] == "change_in_progress"
    await backend.service.pool.execute(claim.format("interval '-1 second'"))
    assert not (await backend.done(f"disputes/{id_}/evidence"))["submitted"]


async def test_disputes_of_others_and_odd_fields_are_refused(
    backend: Backend, charge: str, order_a: dict[str, Any]
) -> None:
    id_ = await disputed(backend, charge)
    other = await backend.service.buy(
        order_a | {"customer": {"name": "Grace", "email": "grace@example.com"}}
    )
    await backend.worker.catch_up()
    stranger = {"customerId": await backend.customer_of(other["subscriptionId"])}
    for asked in ("true", "false"):
        assert (await backend.get("disputes", open=asked, **stranger)).body["disputes"] == []
    for refused in (
        await backend.get(f"disputes/{id_}", **stranger),
        await backend.post(f"disputes/{id_}/evidence", stranger),
        await backend.get("disputes/du_none"),
    ):
        assert (refused.status, refused.body["code"]) == (404, "unknown_dispute")
    wrong = await backend.post(f"disputes/{id_}/evidence", {"fields": {"receipt": "file_1"}})
    assert wrong.status == 422


async def test_disputes_come_in_pages(backend: Backend, charge: str) -> None:
    await disputed(backend, charge)
    await backend.service.pool.execute(
        "INSERT INTO stripe_disputes SELECT (jsonb_populate_record(d, jsonb_build_object("
        " 'stripe_dispute_id', 'du_' || n, 'evidence_due_at',"
        " CASE WHEN n < 5 THEN d.evidence_due_at + n * '1 day'::interval END"
        "))).* FROM stripe_disputes AS d, generate_series(1, 7) AS n"
    )
    for only_open in ("true", "false"):
        seen: list[str] = []
        more, last = True, {}
        while more:
            body = (await backend.get("disputes", open=only_open, limit="2", **last)).body
            seen += [one["id"] for one in body["disputes"]]
            more, last = body["hasMore"], {"after": seen[-1]}
        assert (len(seen), len(set(seen))) == (8, 8)
        if only_open == "true":
            assert seen[1:5] == ["du_1", "du_2", "du_3", "du_4"]
