"""The domains of customers: their years, their plan, their way to others, and another name."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from mpanel_billing.http import keys
from tests.console.conftest import Console, Ids, signed_in
from tests.console.planted import plant_domains
from tests.console.test_pages import audited
from tests.inline_worker import InlineWorker
from tests.subscriptions.conftest import Backend
from tests.subscriptions.domain_years import NAME, Years, sell
from tests.subscriptions.test_replaced_domains import NEW, lose

GERMAN = {"Accept-Language": "de"}
RENEWAL = "$12.99"


@pytest.fixture
def backend(console: Console, worker: InlineWorker) -> Backend:
    return Backend(console.service, worker)


@pytest.fixture
async def years(backend: Backend, order_a: dict[str, Any]) -> Years:
    """A domain with a plan that is billed once a year."""
    other = {"name": "Grace Hopper", "email": "grace@example.com"}
    return await sell(backend, order_a | {"customer": other}, billingCycle="annually")


@pytest.fixture
async def page(years: Years) -> str:
    return f"/console/domains/{(await years.domain())['id']}"


async def test_a_domain_has_a_page_with_what_it_allows(
    console: Console, ids: Ids, years: Years, page: str
) -> None:
    customer = (await years.domain())["customer_id"]
    for place in ("/console/domains?list=latest", f"/console/customers/{customer}"):
        assert page in (await console.open(place)).links
    shown = await console.open(page)
    assert f"{NAME} active" in shown.text
    words = ("renew", "auto-renew", "move", "transfer-out")
    assert {f"{page}/{word}" for word in words} <= shown.links
    assert not {f"{page}/{word}" for word in ("release", "replace", "retry")} & shown.links
    reader = await signed_in(console.service, "admin:read")
    seen = await reader.open(page)
    assert RENEWAL not in seen.text
    assert not {f"{page}/{word}" for word in words} & seen.links
    unknown = await console.open(f"/console/domains/{ids.invoice}", **GERMAN)
    assert (unknown.status, "Diese Domain gibt es nicht" in unknown.text) == (404, True)


async def test_further_years_are_charged_no_more_and_again(
    console: Console, years: Years, page: str
) -> None:
    path = f"{page}/auto-renew"
    shown = await console.open(f"{path}?switch=off")
    assert "No further year is charged." in shown.text
    fields = {name: shown.field(name) for name in ("switch", "price")}
    done = await console.post(path, shown, **fields)
    assert done.headers["Location"] == f"{page}?done=domain_not_charged"
    assert (await years.domain())["auto_renew"] is False
    shown = await console.open(f"{path}?switch=on")
    assert f"for {RENEWAL} as it stands." in shown.text
    fields = {name: shown.field(name) for name in ("switch", "price")}
    data = {"form_token": shown.field("form_token"), **fields, "price": "1"}
    stale = await console.send("POST", path, data=data, headers=GERMAN)
    assert stale.status == 409
    assert "kostet jetzt etwas anderes" in await stale.text()
    unseen = {"form_token": shown.field("form_token"), "switch": "on"}  # no price was shown
    assert (await console.send("POST", path, data=unseen)).status == 422
    assert (await console.post(path, shown, **fields)).status == 303
    assert (await years.domain())["auto_renew"] is True
    id_ = page.rpartition("/")[2]
    assert (
        await audited(console.service, "domain.auto_renew") == [("ada.lovelace", id_, "done")] * 2
    )


async def test_a_year_is_charged_now_and_once(console: Console, years: Years, page: str) -> None:
    await years.before_expiry(60)
    path = f"{page}/renew"
    before = years.registry.expires[NAME]
    shown = await console.open(path)
    assert f"{RENEWAL} are charged for the year that follows" in shown.text
    price = {"price": shown.field("price")}
    done = await console.post(path, shown, **price)
    assert done.headers["Location"] == f"{page}?done=domain_renewed"
    twice = await console.post(path, shown, **price)
    assert (twice.status, "being charged or renewed already" in twice.text) == (409, True)
    await years.work()
    assert await years.states() == ["renewed"]
    assert years.registry.expires[NAME].year == before.year + 1
    assert await years.charged() == [(1299, "paid")]


async def test_the_auth_code_is_shown_once_to_who_may_see_it(
    console: Console, years: Years, page: str
) -> None:
    path = f"{page}/transfer-out"
    desk = await signed_in(console.service, "admin", "billing:read", "billing:change")
    assert path not in (await desk.open(page)).links
    shown = await console.open(path)
    assert "give it to its owner only" in shown.text
    nobody = await console.send(
        "POST", path, data={"form_token": shown.field("form_token")}, headers=GERMAN
    )
    assert nobody.status == 409  # the web process has no such registrar
    assert "Kein Registrar" in await nobody.text()
    app = console.service.client.app
    assert app is not None
    registrar = years.worker.provisioning.drivers.registrar
    object.__setattr__(app[keys.DRIVERS], "registrar", registrar)
    told = await console.post(path, shown)
    assert (told.status, f"code-of-{NAME}" in told.text) == (200, True)
    assert told.headers["Cache-Control"] == "no-store"
    id_ = page.rpartition("/")[2]
    assert await audited(console.service, "domain.transfer_out") == [
        ("ada.lovelace", id_, "failed"),
        ("ada.lovelace", id_, "done"),
    ]


async def test_a_domain_goes_to_another_plan_of_its_customer(
    console: Console, ids: Ids, years: Years, page: str
) -> None:
    pool, path = console.service.pool, f"{page}/move"
    alone = await console.open(path)
    assert "The customer has no other subscription that runs." in alone.text
    await pool.execute(
        "UPDATE subscriptions SET customer_id = $1 WHERE id = $2",
        (await years.domain())["customer_id"],
        UUID(ids.subscription),
    )
    shown = await console.open(path)
    assert (await console.post(path, shown)).status == 422
    known = await console.send(
        "POST",
        path,
        data={"form_token": shown.field("form_token"), "to": ids.subscription},
        headers=GERMAN,
    )
    assert known.status == 409  # its tenant is known by it
    assert "kann nicht dorthin" in await known.text()
    await pool.execute("UPDATE tenants SET domain = 'grace.mpanel.example' WHERE domain = $1", NAME)
    done = await console.post(path, shown, to=ids.subscription)
    assert done.headers["Location"] == f"{page}?done=domain_moved"
    assert str((await years.domain())["subscription_id"]) == ids.subscription
    assert [one[0] for one in await audited(console.service, "domain.move")] == ["ada.lovelace"]


async def test_a_domain_that_was_kept_after_the_end_is_let_go(console: Console, ids: Ids) -> None:
    pool = console.service.pool
    id_ = (await plant_domains(pool, UUID(ids.subscription)))["soon.example"]
    path = f"/console/domains/{id_}/release"
    early = await console.open(path, **GERMAN)
    assert (early.status, "Ein Mandant hat diese Domain" in early.text) == (409, True)
    await pool.execute("UPDATE billing_domains SET subscription_id = NULL WHERE id = $1", id_)
    assert path in (await console.open(f"/console/domains/{id_}")).links
    shown = await console.open(path)
    assert "Anybody can order this name here" in shown.text
    done = await console.post(path, shown)
    assert done.headers["Location"] == f"/console/domains/{id_}?done=domain_released"
    state = await pool.fetchval("SELECT state FROM billing_domains WHERE id = $1", id_)
    assert state == "released"
    assert await audited(console.service, "domain.release") == [("ada.lovelace", str(id_), "done")]


async def test_another_name_is_chosen_in_place_of_a_lost_one(
    console: Console, backend: Backend, order_a: dict[str, Any]
) -> None:
    other = {"name": "Grace Hopper", "email": "grace@example.com"}
    years = await lose(backend, order_a | {"customer": other})
    page = f"/console/domains/{(await years.domain())['id']}"
    path = f"{page}/replace"
    assert path in (await console.open(page)).links
    assert "Enter a name." in (await console.open(path)).text
    wrong = await console.open(f"{path}?name=no+name&way=register")
    assert wrong.status == 422
    shown = await console.open(f"{path}?name={NEW}&way=register")
    assert f"{NEW} is ordered in place of {NAME}." in shown.text
    assert "$12.99 for the first year are charged by an invoice of its own." in shown.text
    fields = {name: shown.field(name) for name in ("key", "price")} | {
        "name": NEW,
        "way": "register",
    }
    dearer = await console.post(path, shown, **fields | {"price": "1"})
    assert dearer.status == 409
    places = {(await console.post(path, shown, **fields)).headers["Location"] for _ in range(2)}
    [place] = places  # sent twice, it is done once
    assert place.endswith("?done=domain_replaced")
    assert f"{NEW} " in (await console.open(place)).text
    again = await console.open(f"{path}?name=other.com&way=register", **GERMAN)
    assert (again.status, "schon ein anderer Name gewählt" in again.text) == (409, True)


async def test_trouble_of_a_domain_leads_to_its_page_and_its_actions(
    console: Console, ids: Ids
) -> None:
    pool = console.service.pool
    planted = await plant_domains(pool, UUID(ids.subscription))
    await pool.execute(
        "UPDATE billing_domains SET stopped_at = now(), updated_at = $1"
        " WHERE name = 'refused.example'",
        datetime.now(UTC) - timedelta(hours=1),
    )
    page = f"/console/domains/{planted['refused.example']}"
    for place in ("/console/trouble", f"/console/customers/{ids.customer}"):
        assert {page, f"{page}/retry"} <= (await console.open(place)).links
    lost = f"/console/domains/{planted['lost.example']}"
    assert (
        f"{lost}/retry" in (await console.open("/console/trouble?kind=domain_not_refunded")).links
    )
