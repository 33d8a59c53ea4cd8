"""Changes that are previewed: of the plan, of the end of a trial; and evidence for a bank."""

import re
from datetime import timedelta
from typing import Any

import pytest

from mpanel_billing.console.routes import customers, disputes
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from stripe_sandbox import Sandbox
from tests.console.conftest import Console, Ids

ENDS = ("key", "unused", "at", "refunded", "credited")


async def test_a_plan_is_changed_exactly_as_it_was_shown(console: Console, ids: Ids) -> None:
    path = f"/console/subscriptions/{ids.subscription}/plan"
    first = await console.open(path)
    assert "What happens" not in first.text
    shown = await console.open(f"{path}?plan=business:monthly")
    assert "The change is made at once." in shown.text
    assert "Charged now: $2.00" in shown.text
    fields = {name: shown.field(name) for name in ("token", "key")}
    done = await console.post(path, shown, plan="business:monthly", **fields)
    assert (done.status, done.headers["Location"].endswith("done=plan_changed")) == (303, True)
    page = await console.open(f"/console/subscriptions/{ids.subscription}")
    assert "Business" in page.text
    assert (await console.post(path, shown, plan="business:monthly", **fields)).status == 303
    await console.service.stripe.wait_idle()
    paid = await console.service.pool.fetchval("SELECT sum(amount_paid) FROM invoices")
    assert paid == 1298 + 200


async def test_what_was_shown_and_is_no_longer_true_is_not_done(console: Console, ids: Ids) -> None:
    path = f"/console/subscriptions/{ids.subscription}/plan"
    shown = await console.open(f"{path}?plan=business:monthly")
    other = await console.open(f"{path}?plan=premium:monthly")
    for page, plan in ((other, "premium:monthly"), (shown, "business:monthly")):
        fields = {name: page.field(name) for name in ("token", "key")}
        last = await console.post(path, page, plan=plan, **fields)
    assert last.status == 409
    assert "Charged now" in last.text  # as it is now
    unknown = await console.open(f"{path}?plan=none:monthly")
    assert unknown.status in {404, 422}
    forged = await console.post(path, shown, plan="business:monthly", token="made-up")
    assert forged.status == 422


async def test_a_trial_is_extended_to_the_day_that_was_shown(
    console: Console, order_a: dict[str, Any]
) -> None:
    service = console.service
    order_a |= {"trialActive": True, "customer": {"name": "Grace", "email": "grace@example.com"}}
    bought = await service.buy(order_a)
    page = f"/console/subscriptions/{bought['subscriptionId']}"
    assert f"{page}/trial" in (await console.open(page)).links
    before = await service.pool.fetchval("SELECT max(trial_end) FROM subscriptions")
    proposed = await console.open(f"{page}/trial")
    assert proposed.field("ends") == f"{before + timedelta(days=7):%Y-%m-%d}"
    assert "Charged now: $0.00" in proposed.text
    dearer = await console.open(f"{page}/plan?plan=premium:monthly", **{"Accept-Language": "de"})
    assert "Damit endet die Probezeit" in dearer.text  # a plan without one
    assert "Premium, monatlich: 8,99 $" in dearer.text
    assert (
        "The trial goes on until" in (await console.open(f"{page}/plan?plan=starter:annually")).text
    )
    shorter = await console.open(f"{page}/trial?ends=2020-01-01")
    assert (shorter.status, "can be extended by up to" in shorter.text) == (409, True)
    ends = f"{before + timedelta(days=10):%Y-%m-%d}"
    shown = await console.open(f"{page}/trial?ends={ends}")
    fields = {"ends": ends, "key": shown.field("key")}
    assert (await console.post(f"{page}/trial", shown, **fields)).status == 422  # no reason
    done = await console.post(f"{page}/trial", shown, reason="moves slowly", **fields)
    assert done.status == 303, done.text
    after = await service.pool.fetchval("SELECT max(trial_end) FROM subscriptions")
    assert f"{after:%Y-%m-%d %H:%M:%S}" == f"{ends} 23:59:59"


async def test_an_ending_gives_back_what_was_shown(console: Console, ids: Ids) -> None:
    page = f"/console/subscriptions/{ids.subscription}"
    credit = await console.open(f"{page}/end?unused=credit")
    assert "Refunded: $0.00" in credit.text
    shown = await console.open(f"{page}/end")
    assert "Credited to the customer's balance: $0.00" in shown.text
    refunded = re.search(r"Refunded: \$([0-9.]+)", shown.text)
    assert refunded
    assert 12 < float(refunded[1]) <= 12.98
    fields = {name: shown.field(name) for name in ENDS}
    old = await console.post(f"{page}/end", shown, **(fields | {"at": "2020-01-01T00:00:00+00:00"}))
    assert old.status == 409
    for _ in range(2):
        assert (await console.post(f"{page}/end", shown, **fields)).status == 303
    await console.service.stripe.wait_idle()
    given = await console.service.pool.fetchval("SELECT sum(amount) FROM stripe_refunds")
    assert given == round(float(refunded[1]) * 100)
    assert "/end" not in " ".join((await console.open(page)).links)


async def test_an_ending_gives_back_nothing_else_than_it_showed(console: Console, ids: Ids) -> None:
    page = f"/console/subscriptions/{ids.subscription}/end"
    shown = await console.open(page)
    fields = {name: shown.field(name) for name in ENDS}
    refund = f"/console/invoices/{ids.invoice}/refund"
    done = await console.confirm(f"{refund}?amount=5", "amount", "key")
    assert done.status == 303
    refused = await console.post(page, shown, **fields)
    assert (refused.status, "The preview is outdated" in refused.text) == (409, True)
    now = int(fields["refunded"]) - 500
    assert f"Refunded: ${now / 100:.2f}" in refused.text
    assert await console.service.pool.fetchval("SELECT sum(amount) FROM stripe_refunds") == 500
    bare = await console.post(page, shown, **(fields | {"refunded": ""}))
    assert bare.status == 422
    again = {name: refused.field(name) for name in ENDS}
    assert (await console.post(page, refused, **again)).status == 303
    await console.service.stripe.wait_idle()
    given = await console.service.pool.fetchval("SELECT sum(amount) FROM stripe_refunds")
    assert given == 500 + now


async def test_an_ending_that_stripe_refuses_says_what_is_back_and_gives_the_rest(
    console: Console, ids: Ids
) -> None:
    page, stripe = f"/console/subscriptions/{ids.subscription}/end", console.service.stripe
    shown = await console.open(page)
    await stripe.inject_fault("status", method="DELETE", path="/v1/subscriptions", status=400)
    refused = await console.post(page, shown)
    whole = f"${int(shown.field('refunded')) / 100:.2f}"
    assert (refused.status, f"{whole} were refunded and $0.00 credited" in refused.text) == (
        502,
        True,
    )
    assert "Refunded: $0.00" in refused.text
    assert (await console.post(page, refused)).status == 303
    await stripe.wait_idle()
    given = await console.service.pool.fetchval("SELECT sum(amount) FROM stripe_refunds")
    assert given == int(shown.field("refunded"))


async def test_what_was_to_end_is_resumed(console: Console, ids: Ids) -> None:
    page = f"/console/subscriptions/{ids.subscription}"
    assert f"{page}/resume" not in (await console.open(page)).links
    assert (await console.open(f"{page}/resume")).status == 409
    assert (await console.confirm(f"{page}/cancel", "key", ends="period_end")).status == 303
    shown = await console.open(f"{page}/resume")
    assert "Charged now: $0.00" in shown.text
    done = await console.post(f"{page}/resume", shown, key=shown.field("key"))
    assert done.status == 303
    assert not await console.service.pool.fetchval("SELECT cancel_at_period_end FROM subscriptions")


async def test_evidence_is_staged_and_then_sent_on_once(console: Console, sandbox: Sandbox) -> None:
    service = console.service
    charge = await service.pool.fetchval("SELECT stripe_charge_id FROM stripe_charges")
    id_ = await service.stripe.dispute(charge)
    await service.stripe.wait_idle()
    path = f"/console/disputes/{id_}/evidence"
    assert path in (await console.open("/console/disputes")).links
    shown = await console.open(path)
    assert "Ada Lovelace" in shown.html
    staged = await console.post(path, shown, customer_purchase_ip="192.0.2.7")
    assert staged.headers["Location"].endswith("done=evidence_staged")
    again = await console.open(path)
    assert "192.0.2.7" in again.html
    sent = await console.post(path, again, submit="yes")
    assert sent.headers["Location"].endswith("done=evidence_submitted")
    assert "takes no more" in (await console.open(path)).text
    late = await console.post(path, again, uncategorized_text="and another thing")
    assert late.status == 409
    assert path not in (await console.open("/console/disputes")).links


async def test_a_text_that_was_emptied_is_not_sent_to_the_bank(
    console: Console, gateway: StripeGateway
) -> None:
    service = console.service
    charge = await service.pool.fetchval("SELECT stripe_charge_id FROM stripe_charges")
    id_ = await service.stripe.dispute(charge)
    await service.stripe.wait_idle()
    path = f"/console/disputes/{id_}/evidence"
    shown = await console.open(path)
    assert "Ada Lovelace" in shown.html
    fields = {"customer_name": "", "uncategorized_text": "They asked for it."}
    assert (await console.post(path, shown, **fields)).status == 303
    at_stripe = await gateway.client.v1.disputes.retrieve_async(id_)
    assert at_stripe.evidence.uncategorized_text == "They asked for it."
    assert not at_stripe.evidence.customer_name
    emptied = fields | {"uncategorized_text": "", "submit": "yes"}
    for _ in range(2):  # sent twice, it is done once
        assert (await console.post(path, shown, **emptied)).status == 303
    at_stripe = await gateway.client.v1.disputes.retrieve_async(id_)
    assert at_stripe.evidence.customer_email_address
    assert not at_stripe.evidence.customer_name
    assert not at_stripe.evidence.uncategorized_text


async def test_evidence_as_long_as_stripe_takes_it_is_staged(
    console: Console, gateway: StripeGateway
) -> None:
    charge = await console.service.pool.fetchval("SELECT stripe_charge_id FROM stripe_charges")
    id_ = await console.service.stripe.dispute(charge)
    await console.service.stripe.wait_idle()
    path = f"/console/disputes/{id_}/evidence"
    text = "ü" * disputes.LONGEST
    fields = dict.fromkeys(disputes.FIELDS, "") | dict.fromkeys(disputes.FIELDS[:7], text)
    assert (await console.post(path, await console.open(path), **fields)).status == 303
    at_stripe = (await gateway.client.v1.disputes.retrieve_async(id_)).to_dict()["evidence"]
    assert [at_stripe[name] for name in disputes.FIELDS[:7]] == [text] * 7


async def test_of_many_subscriptions_a_page_of_its_own_has_all_disputes(
    console: Console, ids: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, page = console.service, f"/console/customers/{ids.customer}"
    charge = await service.pool.fetchval("SELECT stripe_charge_id FROM stripe_charges")
    id_ = await service.stripe.dispute(charge)
    await service.stripe.wait_idle()
    few = await console.open(page)
    assert f"<code>{id_}</code>" in few.html
    assert f"{page}/disputes" not in few.links
    monkeypatch.setattr(customers, "MOST_SUBSCRIPTIONS", 1)  # as many as they have
    many = await console.open(page)
    assert f"{page}/disputes" in many.links
    assert f"<code>{id_}</code>" in many.html
    await service.pool.execute(
        "UPDATE stripe_disputes SET status = 'won';"
        "INSERT INTO stripe_disputes SELECT (jsonb_populate_record(d, jsonb_build_object("
        " 'stripe_dispute_id', 'du_' || n, 'stripe_created', d.stripe_created + n * interval '1 d'"
        "))).* FROM stripe_disputes AS d, generate_series(1, 4) AS n"
    )
    settled = await console.open(page)
    assert f"<code>{id_}</code>" not in settled.html
    assert "Here are those that wait for an answer. None." in settled.text
    monkeypatch.setattr(disputes, "MOST", 2)
    seen: list[str] = []
    path: str | None = f"{page}/disputes"
    while path:
        shown = await console.open(path)
        seen += re.findall(r"<code>(du_\w+)</code>", shown.html)
        found = re.search(rf'href="({page}/disputes\?after=\w+)"', shown.html)
        path = found[1] if found else None
    assert seen == ["du_4", "du_3", "du_2", "du_1", id_]


async def test_a_planned_change_is_undone_and_the_plan_stays(console: Console, ids: Ids) -> None:
    page = f"/console/subscriptions/{ids.subscription}"
    assert f"{page}/undo-change" not in (await console.open(page)).links
    assert (await console.open(f"{page}/undo-change")).status == 409
    for plan in ("business:monthly", "starter:monthly"):  # dearer at once, then less later
        shown = await console.open(f"{page}/plan?plan={plan}")
        fields = {name: shown.field(name) for name in ("token", "key")}
        assert (await console.post(f"{page}/plan", shown, plan=plan, **fields)).status == 303
    after = await console.open(page)
    assert "Changes to" in after.text
    assert f"{page}/undo-change" in after.links
    undoing = await console.open(f"{page}/undo-change")
    assert "(monthly) is not made. It was planned for" in undoing.text
    done = await console.confirm(f"{page}/undo-change", "key")
    assert done.headers["Location"] == f"{page}?done=change_undone"
    assert "Changes to" not in (await console.open(page)).text


async def test_a_subscription_is_paused_as_it_was_shown(console: Console, ids: Ids) -> None:
    page = f"/console/subscriptions/{ids.subscription}"
    assert f"{page}/pause" in (await console.open(page)).links
    dated = await console.open(f"{page}/pause?until=2031-01-01")
    assert (dated.status, "leave out the date" in dated.text) == (409, True)
    shown = await console.open(f"{page}/pause")
    assert "Its services stop at once." in shown.text
    assert "The rest of the term, now about $12.9" in shown.text
    fields = {"key": shown.field("key"), "until": "", "reason": "no season"}
    for _ in range(2):
        done = await console.post(f"{page}/pause", shown, **fields)
        assert done.headers["Location"] == f"{page}?done=paused"
    after = await console.open(page)
    assert "paused" in after.text
    assert f"{page}/pause" not in after.links
    assert f"{page}/resume" in after.links
