"""Invoices made by hand: a draft to look at, then charged or sent; made once."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.commands import run_command
from tests.subscriptions.conftest import Backend, buy

FAULTS = pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "status", "status": 500}])
LINES = [
    {"description": "Migration of the shop", "unitAmount": 4900},
    {"description": "Hours of support", "unitAmount": 8000, "quantity": 2},
]
TOTAL = 4900 + 2 * 8000


@pytest.fixture
async def customer(backend: Backend, bought: str) -> str:
    return await backend.customer_of(bought)


def wanted(customer: str, **more: Any) -> dict[str, Any]:
    return {"customerId": customer, "currency": "usd", "lines": LINES, **more}


async def drafts_at_stripe(backend: Backend) -> list[tuple[int, int]]:
    page = await backend.worker.gateway.client.v1.invoices.list_async({"status": "draft"})
    return [(one.total, len(one.lines.data)) for one in page.data]


async def test_a_draft_is_made_once_with_its_lines_and_charged_when_finalized(
    backend: Backend, customer: str
) -> None:
    for _ in range(2):
        body = await backend.done("invoices", wanted(customer, reason="ticket 4711"), "once")
    assert await drafts_at_stripe(backend) == [(TOTAL, 2)]
    assert [line["amount"] for line in body["lines"]] == [4900, 16000]
    assert (body["total"], body["invoice"]["status"]) == (TOTAL, "draft")
    paid = await backend.done(f"invoices/{body['invoice']['id']}/finalize")
    assert paid["invoice"]["status"] in {"open", "paid"}
    await backend.worker.catch_up()
    after = (await backend.get(f"invoices/{body['invoice']['id']}", customerId=customer)).body
    assert (after["invoice"]["status"], after["invoice"]["amountPaid"]) == ("paid", TOTAL)
    assert await backend.audit() == [("customer.invoice", "done"), ("invoice.finalize", "done")]


async def test_with_days_it_is_sent_to_be_paid_by_then(backend: Backend, customer: str) -> None:
    body = await backend.done("invoices", wanted(customer, daysUntilDue=14, memo="Thank you."))
    done = await backend.done(f"invoices/{body['invoice']['id']}/finalize")
    assert (done["invoice"]["status"], done["invoice"]["amountPaid"]) == ("open", 0)
    at_stripe = (await backend.worker.gateway.client.v1.invoices.list_async()).data[0]
    assert (at_stripe.collection_method, at_stripe.description) == ("send_invoice", "Thank you.")
    due = await backend.service.pool.fetchval(
        "SELECT extract(epoch FROM due_at)::bigint FROM invoices WHERE stripe_invoice_id = $1",
        at_stripe.id,
    )
    assert due == at_stripe.due_date
    paid = await backend.done(
        f"invoices/{body['invoice']['id']}/mark-paid", {"reason": "by bank transfer"}
    )
    assert paid["invoice"]["status"] == "paid"


async def test_who_was_sent_it_pays_it_now_with_the_card_that_checkout_saved(
    backend: Backend, bought: str, customer: str
) -> None:
    """That is the subscription's; Stripe knows of none for the customer's other invoices."""
    paths = []
    for memo in ("first", "second"):
        draft = await backend.done("invoices", wanted(customer, daysUntilDue=14, memo=memo))
        paths.append(f"invoices/{draft['invoice']['id']}")
        await backend.done(f"{paths[-1]}/finalize")
    paid = await backend.done(f"{paths[0]}/pay")
    assert (paid["changed"], paid["invoice"]["status"]) == (True, "paid")
    assert not (await backend.done(f"{paths[0]}/pay"))["changed"]
    stripe_id, _ = await backend.stripe_ids(bought)
    v1 = backend.worker.gateway.client.v1
    card = (await v1.subscriptions.retrieve_async(stripe_id)).default_payment_method
    await v1.payment_methods.detach_async(str(card))
    refused = await backend.post(f"{paths[1]}/pay")
    assert (refused.status, refused.body["code"]) == (402, "no_card")
    assert "add one" in refused.body["error"]


async def test_a_draft_is_deleted_once_and_nobody_is_billed(
    backend: Backend, customer: str
) -> None:
    body = await backend.done("invoices", wanted(customer))
    path = f"invoices/{body['invoice']['id']}/delete"
    for _ in range(2):
        done = await backend.done(path, {"reason": "a mistake"}, "delete")
        assert done["invoice"]["status"] == "deleted"
    assert not (await backend.done(path))["changed"]
    assert await drafts_at_stripe(backend) == []
    await backend.worker.catch_up()
    for gone in (
        await backend.get(f"invoices/{body['invoice']['id']}"),
        await backend.get(f"invoices/{body['invoice']['id']}/pdf"),
        await backend.post(f"invoices/{body['invoice']['id']}/finalize"),
        await backend.post("invoices", wanted(customer)),
    ):
        assert (gone.status, gone.body["code"]) == (404, "unknown_invoice")
    again = await backend.done("invoices", wanted(customer), "another")
    assert again["invoice"]["status"] == "draft"


@FAULTS
async def test_a_lost_response_to_a_deletion_is_one_deletion(
    backend: Backend, customer: str, fault: dict[str, Any]
) -> None:
    body = await backend.done("invoices", wanted(customer))
    await backend.service.stripe.inject_fault(
        method="DELETE", path="/v1/invoices/", after_work=True, times=3, **fault
    )
    path = f"invoices/{body['invoice']['id']}/delete"
    assert (await backend.post(path, {}, "delete")).status in {200, 503}
    done = await backend.done(path, {}, "delete")
    assert done["invoice"]["status"] == "deleted"


@FAULTS
@pytest.mark.parametrize("lost", ["/v1/invoices", "/v1/invoiceitems"])
@pytest.mark.parametrize("after_work", [True, False])
async def test_a_lost_response_makes_one_whole_draft(
    backend: Backend, customer: str, fault: dict[str, Any], lost: str, after_work: bool
) -> None:
    await backend.service.stripe.inject_fault(
        method="POST", path=lost, after_work=after_work, times=3, **fault
    )
    assert (await backend.post("invoices", wanted(customer), "once")).status == 503
    body = await backend.done("invoices", wanted(customer), "once")
    assert body["total"] == TOTAL
    assert await drafts_at_stripe(backend) == [(TOTAL, 2)]


async def test_lines_beyond_those_that_an_invoice_includes_are_found_after_a_lost_answer(
    backend: Backend, customer: str
) -> None:
    lines = [{"description": f"Hour {n}", "unitAmount": 100 + n} for n in range(12)]
    await backend.service.stripe.inject_fault(
        "status", method="GET", path="/v1/invoices/", status=500, times=3
    )
    body = wanted(customer, lines=lines)
    assert (await backend.post("invoices", body, "once")).status == 503
    made = await backend.done("invoices", body, "once")
    assert sorted(line["amount"] for line in made["lines"]) == [100 + n for n in range(12)]
    assert await drafts_at_stripe(backend) == [(12 * 100 + 66, 10)]


async def test_a_line_that_stripe_refuses_leaves_no_draft(backend: Backend, customer: str) -> None:
    await backend.service.stripe.inject_fault(
        "status", method="POST", path="/v1/invoiceitems", status=400, times=1
    )
    assert (await backend.post("invoices", wanted(customer))).status == 502
    assert await drafts_at_stripe(backend) == []
    await backend.done("invoices", wanted(customer))
    assert await drafts_at_stripe(backend) == [(TOTAL, 2)]


async def test_it_is_made_once_if_the_process_dies_between_stripe_and_the_commit(
    backend: Backend, customer: str
) -> None:
    first = await backend.done("invoices", wanted(customer), "once")
    await backend.service.pool.execute(
        "UPDATE billing_changes SET state = 'asking', stripe_id = NULL,"
        " leased_until = now() - interval '1 second'"
    )
    again = await backend.done("invoices", wanted(customer), "once")
    assert again["invoice"]["id"] == first["invoice"]["id"]
    assert await drafts_at_stripe(backend) == [(TOTAL, 2)]


async def test_the_rows_are_the_same_if_the_webhooks_come_in_reverse(
    backend: Backend, customer: str
) -> None:
    await backend.service.stripe.set_delivery(reorder=True)
    body = await backend.done("invoices", wanted(customer))
    await backend.done(f"invoices/{body['invoice']['id']}/finalize")
    await backend.service.stripe.set_delivery(reorder=False)
    await backend.worker.catch_up()
    after = (await backend.get(f"invoices/{body['invoice']['id']}")).body["invoice"]
    assert (after["status"], after["amountPaid"]) == ("paid", TOTAL)


async def test_what_is_already_pending_is_not_put_on_it(
    backend: Backend, bought: str, customer: str
) -> None:
    _, stripe_id = await backend.stripe_ids(bought)
    await backend.worker.gateway.client.v1.invoice_items.create_async(
        {"customer": stripe_id, "amount": 1, "currency": "usd"}
    )
    body = await backend.done("invoices", wanted(customer, subscriptionId=bought))
    assert body["total"] == TOTAL


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"lines": []}, "lines"),
        ({"lines": [{"description": "x", "unitAmount": 0}]}, "lines[0].unitAmount"),
        ({"daysUntilDue": -1}, "daysUntilDue"),
        ({"currency": "dollars"}, "currency"),
    ],
)
async def test_what_cannot_be_billed_is_refused(
    backend: Backend, customer: str, wrong: dict[str, Any], field: str
) -> None:
    refused = await backend.post("invoices", wanted(customer, **wrong))
    assert (refused.status, next(iter(refused.body["fields"]))) == (422, field)


async def test_the_next_invoice_is_shown_as_stripe_foresees_it(
    backend: Backend, bought: str
) -> None:
    upcoming = (await backend.get(f"subscriptions/{bought}/upcoming-invoice")).body
    shown, held = upcoming["upcomingInvoice"], await backend.subscription(bought)
    assert sum(line["amount"] for line in shown["lines"]) == shown["subtotal"]
    assert shown["amountDue"] == held["nextCharge"]["amountDue"]
    await backend.done(f"subscriptions/{bought}/cancel")
    none = (await backend.get(f"subscriptions/{bought}/upcoming-invoice")).body
    assert none["upcomingInvoice"] is None


async def test_while_the_collection_is_paused_nobody_is_charged_next(
    backend: Backend, order_a: dict[str, Any]
) -> None:
    order = await backend.service.buy(order_a | {"trialActive": True})
    await backend.worker.catch_up()
    path = f"subscriptions/{order['subscriptionId']}"
    end = datetime.fromisoformat((await backend.get(path)).body["subscription"]["trialEnd"])
    assert (await backend.get(f"{path}/upcoming-invoice")).body["upcomingInvoice"]
    until = (end + timedelta(days=40)).isoformat()
    await backend.done(f"{path}/pause", {"until": until})
    assert (await backend.get(f"{path}/upcoming-invoice")).body["upcomingInvoice"] is None


async def test_the_pdf_of_an_invoice_is_a_fresh_link(
    backend: Backend, order_a: dict[str, Any]
) -> None:
    bought = await buy(backend, order_a)  # here: the link is one of the sandbox that has sold it
    (paid,) = await backend.invoices(bought)
    await backend.service.pool.execute("UPDATE invoices SET invoice_pdf = 'https://old.example'")
    body = (await backend.get(f"invoices/{paid['id']}/pdf")).body
    assert body["url"].startswith(str(backend.service.sandbox.url))
    draft = await backend.done("invoices", wanted(await backend.customer_of(bought)))
    none = await backend.get(f"invoices/{draft['invoice']['id']}/pdf")
    assert (none.status, none.body["code"]) == (409, "invoice_status")


async def test_support_bills_by_command(backend: Backend, bought: str) -> None:
    settings = backend.service.settings
    url, stripe_url = settings.database_url.get_secret_value(), str(settings.stripe_api_base)

    async def run(*words: str) -> str:
        ended = await run_command(url, "invoice", *words, stripe_url=stripe_url)
        return ended.out + ended.err

    line, why = ("--line", "Migration=4900", "--currency", "usd"), ("--reason", "ticket 4711")
    said = await run("draft", bought, *line, "--net", "14", *why)
    assert "$49.00  Migration" in said
    command = said.splitlines()[-1].removeprefix("finalize it: mpanel-billing invoice ")
    _, id_, *_ = words = command.replace("TEXT", "agreed").split()
    assert "is open" in await run(*words)
    assert (await run("pdf", id_)).startswith("http")
    discarded = (await run("draft", bought, *line, *why, "--key", "2")).split()[0]
    assert "is deleted" in await run("delete", discarded, *why)
    assert "due" in await run("upcoming", bought)
    for wrong in ("x", "x=49.00"):
        assert "must be " in await run("draft", bought, "--line", wrong, *line[2:], *why)
