"""What an operator does about provisioning, over HTTP."""

from typing import Any

from tests import stripe_objects as made
from tests.http.conftest import HEADERS
from tests.inbox import Inbox
from tests.service import AppClient


async def call(
    client: AppClient, method: str, path: str, body: dict[str, Any] | None = None
) -> tuple[int, dict[str, Any]]:
    answer = await client.request(method, f"/api/admin/{path}", headers=HEADERS, json=body)
    return answer.status, await answer.json()


async def paid_subscription(inbox: Inbox) -> str:
    await inbox.deliver("customer.subscription.created", made.subscription())
    await inbox.deliver("invoice.paid", made.invoice())
    return str((await inbox.subscription())["id"])


async def test_what_is_stuck_is_listed_and_retried(client: AppClient, inbox: Inbox) -> None:
    id_ = await paid_subscription(inbox)
    await inbox.pool.execute("UPDATE provisioning_work SET last_error = 'hosting: no answer'")
    status, listed = await call(client, "GET", "provisioning")
    assert (status, [row["subscriptionId"] for row in listed["stuck"]]) == (200, [id_])
    status, answer = await call(client, "POST", "provisioning/retry")
    assert (status, answer["retried"]) == (200, 1)
    status, answer = await call(client, "POST", "subscriptions/sub_1/retry")
    assert (status, answer["subscriptionId"]) == (200, id_)


async def test_a_subscription_is_suspended_with_a_reason_and_lifted(
    client: AppClient, inbox: Inbox
) -> None:
    id_ = await paid_subscription(inbox)
    status, _ = await call(client, "POST", f"subscriptions/{id_}/suspend", {"reason": "abuse"})
    assert status == 200
    _, listed = await call(client, "GET", "provisioning")
    assert [hold["reason"] for hold in listed["holds"]] == ["abuse"]
    again, _ = await call(client, "POST", f"subscriptions/{id_}/suspend", {"reason": "abuse"})
    assert again == 409
    lifted, _ = await call(client, "POST", f"subscriptions/{id_}/lift")
    assert lifted == 200
    again, _ = await call(client, "POST", f"subscriptions/{id_}/lift")
    assert again == 409


async def test_a_suspension_needs_a_reason(client: AppClient, inbox: Inbox) -> None:
    id_ = await paid_subscription(inbox)
    status, answer = await call(client, "POST", f"subscriptions/{id_}/suspend", {"reason": "  "})
    assert (status, answer["fields"].keys()) == (422, {"reason"})


async def test_the_timeline_shows_what_is_on_record(client: AppClient, inbox: Inbox) -> None:
    await paid_subscription(inbox)
    status, answer = await call(client, "GET", "subscriptions/sub_1/timeline")
    assert status == 200
    paid = [each for each in answer["timeline"] if each["what"].startswith("invoice.paid")]
    assert "paid; paid $" in paid[0]["detail"], paid


async def test_an_unknown_subscription_or_service_is_not_found(
    client: AppClient, inbox: Inbox
) -> None:
    id_ = await paid_subscription(inbox)
    for path in ("subscriptions/sub_none/retry", f"subscriptions/{id_}/services/fax/skip"):
        status, _ = await call(client, "POST", path)
        assert status == 404


async def test_leniency_is_agreed_shown_and_ended(client: AppClient, inbox: Inbox) -> None:
    id_ = await paid_subscription(inbox)
    path = f"subscriptions/{id_}"
    agreed = {"reason": "pays by cheque", "graceDays": 30, "notBefore": "2030-01-02T00:00:00Z"}
    status, _ = await call(client, "POST", f"{path}/lenient", agreed)
    assert status == 200
    _, answer = await call(client, "GET", f"{path}/timeline")
    [leniency] = answer["leniency"]
    assert {name: leniency[name] for name in agreed} == agreed
    assert leniency["wholeCustomer"] is False
    assert (await call(client, "POST", f"{path}/strict", {}))[0] == 200
    assert (await call(client, "POST", f"{path}/strict", {}))[0] == 409


async def test_leniency_about_nothing_is_refused(client: AppClient, inbox: Inbox) -> None:
    id_ = await paid_subscription(inbox)
    status, answer = await call(
        client, "POST", f"subscriptions/{id_}/lenient", {"reason": "a friend"}
    )
    assert (status, answer["error"]) == (422, "Name the days of grace, a date, or both.")


async def test_a_price_is_ignored_and_heeded_again(client: AppClient, inbox: Inbox) -> None:
    await paid_subscription(inbox)
    ignore = ("POST", "prices/price_1/ignore", {"reason": "a fee"})
    assert await call(client, *ignore) == (200, {"success": True, "checked": 1})
    assert await call(client, *ignore) == (200, {"success": True, "checked": 1})
    assert (await call(client, "POST", "prices/price_1/heed"))[0] == 200
    assert (await call(client, "POST", "prices/price_1/heed"))[0] == 409
