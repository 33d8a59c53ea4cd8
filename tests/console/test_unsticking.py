"""Provisioning that is stuck: tried again all at once, or without one of its services."""

from uuid import UUID

from tests.console.conftest import Console, Ids, signed_in
from tests.console.test_pages import audited
from tests.inline_worker import InlineWorker
from tests.service import Pool

REFUSED = (
    "UPDATE tenant_services SET actual = 'absent', external_ref = NULL, stopped = 'refused',"
    " attempts = 5, last_error = 'no space left' WHERE product_type = 'hosting'"
)
STUCK = (
    "UPDATE provisioning_work SET version = version + 1, attempts = 5, wake_at = now(),"
    " last_error = 'hosting: no space left', updated_at = now() - interval '1 hour'"
)


async def service_of(pool: Pool, ids: Ids) -> tuple[str, str | None]:
    row = await pool.fetchrow(
        "SELECT actual, stopped FROM tenant_services"
        " WHERE subscription_id = $1 AND product_type = 'hosting'",
        UUID(ids.subscription),
    )
    assert row
    return row["actual"], row["stopped"]


async def test_all_that_is_stuck_is_tried_again(
    console: Console, ids: Ids, worker: InlineWorker
) -> None:
    service, path = console.service, "/console/trouble/retry-all"
    assert "Nothing is stuck." in (await console.open(path)).text
    await service.pool.execute(REFUSED)
    await service.pool.execute(STUCK)
    assert path in (await console.open("/console/trouble")).links
    shown = await console.open(path)
    assert "Subscriptions that are tried again: 1." in shown.text
    assert "hosting: no space left" in shown.text
    done = await console.post(path, shown)
    assert done.headers["Location"] == "/console/trouble?done=all_retried"
    [(person, _, outcome)] = await audited(service, "provisioning.retry_all")
    assert (person, outcome) == ("ada.lovelace", "done")
    await worker.catch_up()
    assert await service_of(service.pool, ids) == ("active", None)
    assert path not in (await console.open("/console/trouble")).links


async def test_a_service_is_left_out_and_the_others_go_on(
    console: Console, ids: Ids, worker: InlineWorker
) -> None:
    service, page = console.service, f"/console/subscriptions/{ids.subscription}"
    await service.pool.execute(REFUSED)
    await service.pool.execute(STUCK)
    path = f"{page}/skip"
    for place in ("/console/trouble", page, f"/console/customers/{ids.customer}"):
        assert f"{path}?service=hosting" in (await console.open(place)).html, place
    reader = await signed_in(service, "admin:read")
    assert path not in (await reader.open("/console/trouble")).links
    shown = await console.open(f"{path}?service=hosting")
    assert "hosting stays absent; it was to be active." in shown.text
    german = await console.open(f"{path}?service=hosting", **{"Accept-Language": "de"})
    assert "Sein Preis bleibt" in german.text
    done = await console.post(path, shown, service="hosting")
    assert done.headers["Location"] == f"{page}?done=skipped"
    await worker.catch_up()
    assert await service_of(service.pool, ids) == ("absent", "skipped")
    assert await audited(service, "subscription.skip") == [
        ("ada.lovelace", ids.subscription, "done")
    ]
    again = await console.open(f"{path}?service=hosting")
    assert (again.status, "left out already" in again.text) == (409, True)
    assert path not in (await console.open(page)).links
    assert (await console.post(path, shown, service="none")).status == 404
