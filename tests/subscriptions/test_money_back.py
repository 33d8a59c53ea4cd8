"""Refunds that end the service, and credit notes: made once, never beyond what is left."""

from typing import Any

import pytest

from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.subscriptions.finders import FINDERS
from mpanel_billing.subscriptions.service_ends import finish_service_ends
from tests.subscriptions.conftest import Backend


@pytest.fixture
async def paid(backend: Backend, bought: str) -> dict[str, Any]:
    """The invoice of the first month."""
    (invoice,) = await backend.invoices(bought)
    return invoice


async def shown(backend: Backend, invoice: dict[str, Any]) -> dict[str, Any]:
    """The invoice once all webhooks have arrived."""
    await backend.worker.catch_up()
    (after,) = await backend.invoices(invoice["subscriptionId"])
    return after


async def status_of(backend: Backend, invoice: dict[str, Any]) -> str:
    """mPanel's own status."""
    row = await backend.service.row(
        "SELECT status FROM invoices WHERE id::text = $1", invoice["id"]
    )
    return str(row["status"])


async def at_stripe(backend: Backend) -> tuple[list[int], list[int]]:
    """The amounts of all refunds and of all credit notes."""
    stripe = backend.worker.gateway.client.v1
    refunds = await stripe.refunds.list_async()
    notes = await stripe.credit_notes.list_async()
    return [one.amount for one in refunds.data], [one.amount for one in notes.data]


def mirror_of(backend: Backend) -> Mirror:
    return Mirror(backend.service.pool, backend.worker.gateway, livemode=False)


async def let_a_minute_pass(backend: Backend) -> None:
    """What nobody has repeated for a minute is the worker's."""
    await backend.service.pool.execute(
        "UPDATE billing_changes SET updated_at = updated_at - interval '1 hour',"
        " leased_until = leased_until - interval '1 hour'"
    )


async def finish(backend: Backend) -> int:
    await let_a_minute_pass(backend)
    done = await finish_service_ends(mirror_of(backend), FINDERS)
    await backend.worker.catch_up()
    return done


async def charge_of(backend: Backend) -> str:
    charges = await backend.worker.gateway.client.v1.charges.list_async()
    return charges.data[0].id


# Refunds that end the service.


@pytest.mark.parametrize(
    ("end_service", "status", "at_end"),
    [("now", "canceled", False), ("period_end", "active", True), ("keep", "active", False)],
)
async def test_a_refund_ends_the_service_as_it_was_asked_to(
    backend: Backend, paid: dict[str, Any], end_service: str, status: str, at_end: bool
) -> None:
    wanted = {"endService": end_service}
    for _ in range(2):
        body = await backend.done(f"invoices/{paid['id']}/refund", wanted, "leave")
        assert body["serviceEnd"] == (None if end_service == "keep" else "done")
    await backend.worker.catch_up()
    after = await backend.subscription(paid["subscriptionId"])
    assert (after["stripeStatus"], after["cancelAtPeriodEnd"]) == (status, at_end)
    assert await at_stripe(backend) == ([paid["amountPaid"]], [])
    assert await finish(backend) == 0
    ends = [action for action, _ in await backend.audit() if action == "subscription.cancel"]
    assert len(ends) == (0 if end_service == "keep" else 1)
    changed = await backend.post(f"invoices/{paid['id']}/refund", {}, "leave")
    assert (changed.status == 200) is (end_service == "keep")


async def test_a_repeated_refund_may_add_that_the_service_ends(
    backend: Backend, paid: dict[str, Any]
) -> None:
    path = f"invoices/{paid['id']}/refund"
    await backend.done(path, {"amount": 100})
    await backend.done(path, {"amount": 100, "endService": "now"})
    assert (await backend.subscription(paid["subscriptionId"]))["stripeStatus"] == "canceled"
    assert await at_stripe(backend) == ([100], [])


async def test_a_repeated_refund_may_end_the_service_earlier(
    backend: Backend, paid: dict[str, Any]
) -> None:
    path = f"invoices/{paid['id']}/refund"
    await backend.done(path, {"amount": 100, "endService": "period_end"})
    await backend.done(path, {"amount": 100, "endService": "now"})
    assert (await backend.subscription(paid["subscriptionId"]))["stripeStatus"] == "canceled"
    assert await at_stripe(backend) == ([100], [])


async def test_a_refund_that_is_tried_again_with_keep_ends_nothing(
    backend: Backend, paid: dict[str, Any]
) -> None:
    await backend.service.stripe.inject_fault(
        "status", method="POST", path="/v1/refunds", status=400, times=1
    )
    path = f"invoices/{paid['id']}/refund"
    assert (await backend.post(path, {"endService": "now"})).status == 502
    assert (await backend.done(path, {"endService": "keep"}))["serviceEnd"] is None
    assert await finish(backend) == 0
    assert (await backend.subscription(paid["subscriptionId"]))["stripeStatus"] == "active"


async def test_the_repeat_of_a_refund_that_stripe_made_with_a_500_may_end_the_service(
    backend: Backend, paid: dict[str, Any]
) -> None:
    await backend.service.stripe.inject_fault(
        "status", method="POST", path="/v1/refunds", status=500, times=3, after_work=True
    )
    path = f"invoices/{paid['id']}/refund"
    assert (await backend.post(path, {"amount": 100})).status == 503
    assert (await backend.done(path, {"amount": 100, "endService": "now"}))["serviceEnd"] == "done"
    assert await at_stripe(backend) == ([100], [])


async def test_the_worker_ends_the_service_if_stripe_did_not_with_the_refund(
    backend: Backend, paid: dict[str, Any]
) -> None:
    await backend.service.stripe.inject_fault(
        "status", method="DELETE", path="/v1/subscriptions", status=500, times=3
    )
    body = await backend.done(f"invoices/{paid['id']}/refund", {"endService": "now"})
    assert body["serviceEnd"] == "pending"
    assert (await backend.subscription(paid["subscriptionId"]))["stripeStatus"] == "active"
    assert [await finish(backend), await finish(backend)] == [1, 0]
    assert (await backend.subscription(paid["subscriptionId"]))["stripeStatus"] == "canceled"


@pytest.mark.parametrize("way", ["refund", "credit-notes"])
async def test_the_worker_ends_the_service_if_the_process_dies_after_the_money_is_back(
    backend: Backend, paid: dict[str, Any], way: str
) -> None:
    resource = {"refund": "/v1/refunds", "credit-notes": "/v1/credit_notes"}[way]
    await backend.service.stripe.inject_fault(
        "reset", method="POST", path=resource, after_work=True, times=3
    )
    to = {"to": "card"} if way == "credit-notes" else {}
    lost = await backend.post(f"invoices/{paid['id']}/{way}", {"endService": "now", **to})
    assert lost.status == 503
    assert (await backend.subscription(paid["subscriptionId"]))["stripeStatus"] == "active"
    assert [await finish(backend), await finish(backend)] == [1, 0]
    assert (await backend.subscription(paid["subscriptionId"]))["stripeStatus"] == "canceled"
    refunded, _ = await at_stripe(backend)
    assert refunded == [paid["amountPaid"]]


@pytest.mark.parametrize("way", ["refund", "credit-notes"])
async def test_the_worker_ends_the_service_of_a_refund_that_stripe_made_with_a_500(
    backend: Backend, paid: dict[str, Any], way: str
) -> None:
    """It counts as failed, and nobody asks for it again."""
    resource = {"refund": "/v1/refunds", "credit-notes": "/v1/credit_notes"}[way]
    await backend.service.stripe.inject_fault(
        "status", method="POST", path=resource, status=500, after_work=True, times=3
    )
    to = {"to": "card"} if way == "credit-notes" else {}
    lost = await backend.post(f"invoices/{paid['id']}/{way}", {"endService": "now", **to})
    assert lost.status in {502, 503}
    assert [await finish(backend), await finish(backend)] == [1, 0]
    assert (await backend.subscription(paid["subscriptionId"]))["stripeStatus"] == "canceled"
    found = await backend.service.pool.fetch(
        "SELECT details ->> 'foundAtStripe' AS id FROM billing_audit_log"
        " WHERE actor = 'worker' AND action LIKE 'invoice.%' AND outcome = 'done'"
    )
    assert [row["id"][:3] for row in found] == [{"refund": "re_", "credit-notes": "cn_"}[way]]


async def test_the_worker_asks_nothing_about_a_refund_that_stripe_has_refused(
    backend: Backend, paid: dict[str, Any]
) -> None:
    await backend.service.stripe.inject_fault(
        "status", method="POST", path="/v1/refunds", status=400, times=1
    )
    await backend.post(f"invoices/{paid['id']}/refund", {"endService": "now"})
    asked = len(await backend.service.stripe.requests(path="/v1/refunds"))
    assert await finish(backend) == 0
    assert len(await backend.service.stripe.requests(path="/v1/refunds")) == asked


async def test_the_repeat_of_a_refund_made_with_a_500_keeps_its_end_and_is_on_record(
    backend: Backend, paid: dict[str, Any]
) -> None:
    await backend.service.stripe.inject_fault(
        "status", method="POST", path="/v1/refunds", status=500, times=3, after_work=True
    )
    path = f"invoices/{paid['id']}/refund"
    assert (await backend.post(path, {"amount": 100, "endService": "now"})).status == 503
    assert (await backend.done(path, {"amount": 100}))["serviceEnd"] == "done"
    assert await backend.audit() == [
        ("invoice.refund", "attempted"),
        ("invoice.refund", "done"),
        ("subscription.cancel", "done"),
    ]


async def test_nothing_ends_with_a_refund_that_was_never_made(
    backend: Backend, paid: dict[str, Any]
) -> None:
    await backend.service.stripe.inject_fault("reset", method="POST", path="/v1/refunds", times=3)
    lost = await backend.post(f"invoices/{paid['id']}/refund", {"endService": "now"})
    assert lost.status == 503
    assert await finish(backend) == 0
    assert (await backend.subscription(paid["subscriptionId"]))["stripeStatus"] == "active"
    body = await backend.done(f"invoices/{paid['id']}/refund", {"endService": "now"})
    assert body["serviceEnd"] == "done"


async def test_a_preview_says_what_a_refund_would_give_back_and_gives_nothing(
    backend: Backend, paid: dict[str, Any]
) -> None:
    total = paid["amountPaid"]
    part = await backend.done(f"invoices/{paid['id']}/preview-refund", {"amount": 100})
    assert (part["amount"], part["left"], part["currency"]) == (100, total - 100, "usd")
    whole = await backend.done(f"invoices/{paid['id']}/preview-refund")
    assert (whole["amount"], whole["left"]) == (total, 0)
    assert await at_stripe(backend) == ([], [])
    too_much = await backend.post(f"invoices/{paid['id']}/preview-refund", {"amount": total + 1})
    assert (too_much.status, too_much.body["code"]) == (422, "refund_too_large")


# Credit notes.


@pytest.mark.parametrize(
    ("to", "refunded", "credited"), [("card", 1, 0), ("balance", 0, 1), ("out_of_band", 0, 1)]
)
async def test_a_credit_note_gives_all_back_once_wherever_it_goes(
    backend: Backend, paid: dict[str, Any], to: str, refunded: int, credited: int
) -> None:
    total = paid["amountPaid"]
    preview = await backend.done(f"invoices/{paid['id']}/preview-credit-note", {"to": to})
    assert (preview["amount"], preview["amountAfterPayment"]) == (total, total)
    assert await at_stripe(backend) == ([], [])
    wanted = {"to": to, "reason": "order_change", "memo": "As agreed."}
    body = await backend.done(f"invoices/{paid['id']}/credit-notes", wanted)
    note = body["creditNote"]
    assert (note["amount"], note["memo"], note["reason"]) == (total, "As agreed.", "order_change")
    assert note["pdf"].startswith("http")
    again = await backend.done(f"invoices/{paid['id']}/credit-notes", wanted)
    assert again["creditNote"] == note
    after = await shown(backend, paid)
    assert (after["amountRefunded"], after["amountCredited"]) == (
        refunded * total,
        credited * total,
    )
    assert await status_of(backend, paid) == "refunded"
    assert await at_stripe(backend) == ([total] * refunded, [total])
    for way, body in (("refund", {}), ("credit-notes", {"to": to, "amount": 1})):
        refused = await backend.post(f"invoices/{paid['id']}/{way}", body)
        assert (refused.status, refused.body["code"]) == (409, "already_refunded")
    listed = await backend.get(f"invoices/{paid['id']}/credit-notes")
    assert listed.body["creditNotes"] == [note]
    made = await backend.get(f"invoices/{paid['id']}/refunds")
    assert [one["amount"] for one in made.body["refunds"]] == [total] * refunded


async def test_parts_of_all_kinds_add_up_to_what_was_paid_and_not_more(
    backend: Backend, paid: dict[str, Any]
) -> None:
    total = paid["amountPaid"]
    await backend.done(f"invoices/{paid['id']}/credit-notes", {"to": "balance", "amount": 200})
    await backend.done(f"invoices/{paid['id']}/refund", {"amount": 300})
    after = await shown(backend, paid)
    assert (after["amountRefunded"], after["amountCredited"]) == (300, 200)
    assert await status_of(backend, paid) == "paid"
    left = total - 500
    for way, body in (("refund", {}), ("credit-notes", {"to": "card"})):
        refused = await backend.post(f"invoices/{paid['id']}/{way}", {**body, "amount": left + 1})
        assert (refused.status, refused.body["code"]) == (422, "refund_too_large")
        assert refused.body["fields"] == {"amount": f"must be at most {left}"}
    rest = await backend.done(f"invoices/{paid['id']}/refund")
    assert rest["refund"]["amount"] == left
    assert await status_of(backend, paid) == "refunded"
    customer = (await backend.subscription(paid["subscriptionId"]))["customerId"]
    listed = await backend.get("invoices", customerId=customer)
    assert [one["balance"] for one in listed.body["balances"]] == [-200]


@pytest.mark.parametrize("fault", ["reset", "status"])
async def test_a_credit_note_whose_response_was_lost_is_made_once(
    backend: Backend, paid: dict[str, Any], fault: str
) -> None:
    details = {"status": 500} if fault == "status" else {}
    await backend.service.stripe.inject_fault(
        fault, method="POST", path="/v1/credit_notes", after_work=True, times=3, **details
    )
    path, wanted = f"invoices/{paid['id']}/credit-notes", {"to": "card"}
    assert (await backend.post(path, wanted, "once")).status in {502, 503}
    body = await backend.done(path, wanted, "once")
    assert body["creditNote"]["amount"] == paid["amountPaid"]
    assert await at_stripe(backend) == ([paid["amountPaid"]], [paid["amountPaid"]])


async def test_the_rows_are_the_same_if_the_webhooks_come_in_reverse(
    backend: Backend, paid: dict[str, Any]
) -> None:
    await backend.service.stripe.set_delivery(reorder=True)
    await backend.done(f"invoices/{paid['id']}/credit-notes", {"to": "card", "amount": 100})
    await backend.done(f"invoices/{paid['id']}/refund", {"amount": 200})
    await backend.service.stripe.set_delivery(reorder=False)
    after = await shown(backend, paid)
    assert (after["amountRefunded"], after["amountCredited"]) == (300, 0)
    charges = await backend.service.pool.fetch("SELECT amount_refunded FROM stripe_charges")
    assert [row["amount_refunded"] for row in charges] == [300]


async def test_a_paid_invoice_needs_to_know_where_the_money_goes(
    backend: Backend, paid: dict[str, Any]
) -> None:
    refused = await backend.post(f"invoices/{paid['id']}/credit-notes", {"amount": 100})
    assert (refused.status, list(refused.body["fields"])) == (422, ["to"])


async def open_invoice(backend: Backend, subscription: str) -> dict[str, Any]:
    """Send the customer an invoice of 10.00 that is to be paid within 30 days."""
    _, customer = await backend.stripe_ids(subscription)
    stripe = backend.worker.gateway.client.v1
    await stripe.invoice_items.create_async(
        {"customer": customer, "amount": 1000, "currency": "usd"}
    )
    invoice = await stripe.invoices.create_async(
        {
            "customer": customer,
            "collection_method": "send_invoice",
            "days_until_due": 30,
            "pending_invoice_items_behavior": "include",
        }
    )
    await stripe.invoices.finalize_invoice_async(invoice.id)
    await backend.worker.catch_up()
    row = await backend.service.row(
        "SELECT id::text FROM invoices WHERE stripe_invoice_id = $1", invoice.id
    )
    return (await backend.get(f"invoices/{row['id']}")).body["invoice"]


async def test_a_credit_note_lowers_what_is_still_to_be_paid(backend: Backend, bought: str) -> None:
    invoice = await open_invoice(backend, bought)
    path = f"invoices/{invoice['id']}/credit-notes"
    refused = await backend.post(path, {"amount": 100, "to": "card"})
    assert (refused.status, list(refused.body["fields"])) == (422, ["to"])
    ends = await backend.post(path, {"endService": "now"})
    assert (ends.status, list(ends.body["fields"])) == (422, ["endService"])
    body = await backend.done(path, {"amount": 400})
    assert body["creditNote"]["amountBeforePayment"] == 400
    await backend.worker.catch_up()
    after = (await backend.get(f"invoices/{invoice['id']}")).body["invoice"]
    assert (after["amountRemaining"], after["amountInvoiced"]) == (600, 600)
    assert (after["amountCredited"], after["status"]) == (0, "open")
    too_much = await backend.post(path, {"amount": 601})
    assert (too_much.status, too_much.body["code"]) == (422, "refund_too_large")
    await backend.done(path)
    await backend.worker.catch_up()
    assert (await backend.get(f"invoices/{invoice['id']}")).body["invoice"]["status"] == "paid"
    assert await at_stripe(backend) == ([], [600, 400])


# Disputes.


@pytest.mark.parametrize(
    ("way", "body"),
    [
        ("refund", {}),
        ("credit-notes", {"to": "card"}),
        ("credit-notes", {"to": "balance"}),
        ("preview-refund", {}),
    ],
)
async def test_money_that_a_bank_has_taken_is_not_given_back_too(
    backend: Backend, paid: dict[str, Any], way: str, body: dict[str, Any]
) -> None:
    await backend.service.stripe.set_delivery(drop=True)
    await backend.service.stripe.dispute(await charge_of(backend))
    refused = await backend.post(f"invoices/{paid['id']}/{way}", body)
    assert (refused.status, refused.body["code"]) == (409, "charge_disputed")
    assert await at_stripe(backend) == ([], [])


async def test_an_inquiry_ends_with_a_refund(backend: Backend, paid: dict[str, Any]) -> None:
    charge = await charge_of(backend)
    await backend.service.stripe.dispute(charge, status="warning_needs_response")
    body = await backend.done(f"invoices/{paid['id']}/refund")
    assert body["invoice"]["amountRefunded"] == paid["amountPaid"]
