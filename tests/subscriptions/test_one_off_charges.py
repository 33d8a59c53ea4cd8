"""One-off charges wait for the next invoice of a subscription: previewed, made once, withdrawn."""

import asyncio
from datetime import datetime
from typing import Any

import pytest

from tests.commands import run_command
from tests.subscriptions.conftest import Backend

FAULTS = pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "status", "status": 500}])
WORK = {"description": "Migration of the shop", "unitAmount": 2450, "quantity": 2}


async def charges(backend: Backend, id_: str) -> list[dict[str, Any]]:
    answer = await backend.get(f"subscriptions/{id_}/charges")
    assert answer.status == 200, answer.body
    return list(answer.body["charges"])


async def renew(backend: Backend, id_: str) -> None:
    end = datetime.fromisoformat((await backend.subscription(id_))["currentPeriodEnd"])
    await backend.service.stripe.advance_time(int(end.timestamp()) + 2 * 3600)
    await backend.worker.catch_up()


async def test_it_is_charged_once_with_the_next_invoice_as_previewed(
    backend: Backend, bought: str
) -> None:
    path = f"subscriptions/{bought}"
    preview = (await backend.done(f"{path}/preview-charge", WORK))["upcomingInvoice"]
    term = (await backend.subscription(bought))["nextCharge"]["amountDue"]
    assert preview["amountDue"] == term + 4900
    assert await charges(backend, bought) == []
    for _ in range(2):
        made = await backend.done(f"{path}/charges", WORK | {"reason": "ticket 4711"}, "once")
    charge = made["charge"]
    assert (charge["amount"], charge["quantity"], charge["stripeInvoiceId"]) == (4900, 2, None)
    assert await charges(backend, bought) == [charge]
    await renew(backend, bought)
    (latest, _) = await backend.invoices(bought)
    assert (latest["amountPaid"], latest["status"]) == (preview["amountDue"], "paid")
    (billed,) = await charges(backend, bought)
    assert billed["stripeInvoiceId"] is not None
    late = await backend.post(f"{path}/charges/{charge['id']}/withdraw")
    assert (late.status, late.body["code"]) == (409, "charge_billed")
    await renew(backend, bought)
    assert (await backend.invoices(bought))[0]["amountPaid"] == term
    assert await backend.audit() == [("subscription.charge", "done")]


async def test_one_that_is_withdrawn_is_not_charged(backend: Backend, bought: str) -> None:
    path = f"subscriptions/{bought}/charges"
    charge = (await backend.done(path, WORK, "once"))["charge"]
    withdrawn = f"{path}/{charge['id']}/withdraw"
    for key, changed in (("off", True), ("off", True), ("again", False)):
        assert (await backend.done(withdrawn, {"reason": "a mistake"}, key))["changed"] is changed
    assert await charges(backend, bought) == []
    gone = await backend.post(path, WORK, "once")
    assert (gone.status, gone.body["code"]) == (409, "charge_withdrawn")
    await renew(backend, bought)
    paid = {one["amountPaid"] for one in await backend.invoices(bought)}
    assert len(paid) == 1
    done = [("subscription.charge", "done"), ("subscription.withdraw_charge", "done")]
    assert await backend.audit() == done
    said = (
        "SELECT target_id::text, details #>> '{params,charge}', details #>> '{params,reason}'"
        " FROM billing_audit_log WHERE action = 'subscription.withdraw_charge'"
    )
    (recorded,) = await backend.service.pool.fetch(said)
    assert tuple(recorded) == (bought, charge["id"], "a mistake")


@FAULTS
@pytest.mark.parametrize("after_work", [True, False])
async def test_a_lost_response_makes_one_charge(
    backend: Backend, bought: str, fault: dict[str, Any], after_work: bool
) -> None:
    path = f"subscriptions/{bought}/charges"
    await backend.service.stripe.inject_fault(
        method="POST", path="/v1/invoiceitems", after_work=after_work, times=3, **fault
    )
    assert (await backend.post(path, WORK, "once")).status == 503
    await backend.done(path, WORK, "once")
    (charge,) = await charges(backend, bought)
    await backend.service.stripe.inject_fault(
        method="DELETE", path="/v1/invoiceitems/", after_work=after_work, times=3, **fault
    )
    withdrawn = f"{path}/{charge['id']}/withdraw"
    assert (await backend.post(withdrawn, {}, "off")).status in {200, 503}
    await backend.done(withdrawn, {}, "off")
    assert await charges(backend, bought) == []


async def test_one_whose_answer_was_lost_for_good_can_be_withdrawn(
    backend: Backend, bought: str
) -> None:
    path = f"subscriptions/{bought}/charges"
    await backend.service.stripe.inject_fault(
        "status", method="POST", path="/v1/invoiceitems", after_work=True, times=3, status=500
    )
    assert (await backend.post(path, WORK, "once")).status == 503
    (charge,) = await charges(backend, bought)
    for _ in range(2):
        assert (await backend.done(f"{path}/{charge['id']}/withdraw", {}, "off"))["changed"]


async def test_it_is_made_once_if_the_process_dies_between_stripe_and_the_commit(
    backend: Backend, bought: str
) -> None:
    path = f"subscriptions/{bought}/charges"
    first = await backend.done(path, WORK, "once")
    for back in ("1 second", "1 day"):
        await backend.service.pool.execute(
            "UPDATE billing_changes SET state = 'asking', stripe_id = NULL,"
            " leased_until = now() - $1::text::interval, attempted_at = now() - $1::text::interval",
            back,
        )
        assert await backend.done(path, WORK, "once") == first
    assert len(await charges(backend, bought)) == 1


async def test_two_keys_at_the_same_instant_are_two_charges_one_after_the_other(
    backend: Backend, bought: str
) -> None:
    path = f"subscriptions/{bought}/charges"
    answers = await asyncio.gather(*(backend.post(path, WORK, key) for key in ("a", "b")))
    for key, answer in zip(("a", "b"), answers, strict=True):
        assert answer.status == 200 or answer.body["code"] == "change_in_progress"
        await backend.done(path, WORK, key)
    assert len(await charges(backend, bought)) == 2


async def test_an_invoice_of_more_lines_than_an_event_carries_is_for_its_whole_term(
    backend: Backend, bought: str
) -> None:
    path = f"subscriptions/{bought}/charges"
    for number in range(11):
        await backend.done(path, WORK, f"charge-{number}")
    await renew(backend, bought)
    shown, (latest, _) = await backend.subscription(bought), await backend.invoices(bought)
    assert [latest["periodStart"], latest["periodEnd"]] == [
        shown["currentPeriodStart"],
        shown["currentPeriodEnd"],
    ]
    details = (await backend.get(f"invoices/{latest['id']}/details")).body
    assert len(details["lines"]) > 11


async def test_what_is_not_billed_again_and_what_is_anothers_is_refused(
    backend: Backend, bought: str, order_a: dict[str, Any]
) -> None:
    path = f"subscriptions/{bought}"
    charge = (await backend.done(f"{path}/charges", WORK))["charge"]
    for unknown in (f"{path}/charges/ii_none/withdraw", f"{path}/charges/in_1/withdraw"):
        refused = await backend.post(unknown)
        assert (refused.status, refused.body["code"]) == (404, "unknown_charge")
    buyer = order_a["customer"] | {"email": "bob@example.com"}
    other = (await backend.service.buy(order_a | {"customer": buyer}))["subscriptionId"]
    await backend.worker.catch_up()
    refused = await backend.post(f"subscriptions/{other}/charges/{charge['id']}/withdraw")
    assert (refused.status, refused.body["code"]) == (404, "unknown_charge")
    await backend.done(f"{path}/cancel")
    for verb in ("preview-charge", "charges"):
        refused = await backend.post(f"{path}/{verb}", WORK | {"description": "Another"})
        assert (refused.status, refused.body["code"]) == (409, "not_billed_again")
    wrong = await backend.post(f"{path}/charges", WORK | {"unitAmount": 0})
    assert wrong.status == 422


async def test_support_charges_lists_and_withdraws_by_command(
    backend: Backend, bought: str
) -> None:
    settings = backend.service.settings

    async def run(*arguments: str) -> str:
        ended = await run_command(
            settings.database_url.get_secret_value(),
            *("charge", *arguments),
            stripe_url=str(settings.stripe_api_base),
        )
        assert ended.status == 0, ended.err
        return ended.out

    add = ("add", bought, "--line", "Migration=4900", "--reason", "ticket 4711")
    assert "Migration" in await run(*add, "--preview")
    assert await run("list", bought) == ""
    made = await run(*add)
    assert "waits for the next invoice" in made
    listed = await run("list", bought)
    assert listed == made
    off = await run("withdraw", bought, made.split()[0], "--reason", "a mistake")
    assert "is withdrawn" in off
    assert await run("list", bought) == ""
