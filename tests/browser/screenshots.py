"""Pictures of the console's pages for docs/console.md, among many customers: `make screenshots`.

It is no part of `make test`: with 100,000 customers it takes minutes. SCREENSHOT_CUSTOMERS is
another number of them, SCREENSHOT_FOLDER another place for the pictures.
"""

import asyncio
import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from benchmarks.many_rows import fill
from mpanel_billing.access.audit import Actor
from mpanel_billing.access.keys import create_key
from mpanel_billing.resources import ROOT
from tests.browser import test_operator
from tests.browser.conftest import Browser
from tests.browser.test_operator import Desk, sit_down, working
from tests.console.conftest import KEY
from tests.console.planted import plant_domains, plant_merge, plant_servers
from tests.provisioning.reference_server import ReferenceServer
from tests.service import Service

server, settings, service = test_operator.server, test_operator.settings, test_operator.service

FOLDER = Path(os.environ.get("SCREENSHOT_FOLDER", ROOT / "docs" / "console"))
CUSTOMERS = int(os.environ.get("SCREENSHOT_CUSTOMERS", "100000"))
SEED = 1
QUALITY = 70
WIDE, NARROW = (1280, 800), (360, 740)
LONGEST = 1500
"""Pixels: a longer page is cut off."""
WHOLE = ("figures",)
"""Pages that are pictured whole where they are wide."""
MOST_BYTES = 3_500_000

MAIN = ("find", "customer", "subscription", "refund", "trouble", "debtors", "figures")
"""The pages that are pictured on a phone, too, and in the dark."""

JOURNEYS = ("refund_a_part", "stage_evidence", "suspend_and_lift", "change_a_plan")

RUN = """
WITH run AS (
    INSERT INTO billing_reconcile_runs (started_by, livemode, dry_run, started_at, finished_at,
        outcome, objects, events, accounts, drift, repaired)
    VALUES ('schedule', FALSE, FALSE, now() - interval '7 minutes', now() - interval '1 minute',
        'repaired', 412703, 100243, 98211, 2, 2)
    RETURNING id
)
INSERT INTO billing_reconcile_drift (run_id, object_type, object_id, field, ours, found, repaired)
SELECT run.id, d.*, TRUE
FROM run
CROSS JOIN (VALUES
    ('invoice', 'in_1Pgc7HB7WZ01zgkW', 'stripe_status', 'open', 'paid'),
    ('subscription', 'sub_1Pgc7HB7WZ01zgkW', 'current_period_end', NULL, '2027-01-28 20:02:00')
) AS d (object_type, object_id, field, ours, found)
"""
"""A reconcile that has repaired what two lost events would have told."""


@dataclass(frozen=True)
class Picture:
    """A page, as it is on a screen of this size."""

    name: str
    path: str
    size: tuple[int, int] = WIDE
    scheme: str = "light"

    @property
    def is_whole(self) -> bool:
        return self.name in WHOLE and self.size == WIDE

    @property
    def file(self) -> Path:
        look = "" if (self.size, self.scheme) == (WIDE, "light") else f"-{self.size[0]}-dark"
        return FOLDER / f"{self.name}{look}.webp"


def pictures(paths: Mapping[str, str]) -> list[Picture]:
    """Return each page wide and light, and the main ones on a phone and dark."""
    small = [Picture(name, paths[name], NARROW, "dark") for name in MAIN]
    return [*(Picture(name, path) for name, path in paths.items()), *small]


async def _paths(desk: Desk) -> dict[str, str]:
    """Return the address of each page, by the name of its picture."""
    subscription = {person: f"/console/subscriptions/{id_}" for person, id_ in desk.sold.items()}
    invoice = await desk.pool.fetchval(
        "SELECT id FROM invoices WHERE subscription_id = $1 ORDER BY amount_paid DESC LIMIT 1",
        desk.sold["mallory"],
    )
    dispute = await desk.pool.fetchval(
        "SELECT d.stripe_dispute_id FROM stripe_disputes AS d"
        " JOIN stripe_charges AS h USING (stripe_charge_id)"
        " JOIN subscriptions AS s ON s.stripe_customer_id = h.stripe_customer_id"
        " WHERE s.id = $1",
        desk.sold["charles"],
    )
    event = await desk.pool.fetchval("SELECT max(id) FROM stripe_events WHERE status = 'failed'")
    domain = await desk.pool.fetchval("SELECT id FROM billing_domains WHERE state = 'registering'")
    merged = await desk.pool.fetchval("SELECT customer_id FROM billing_merges")
    price = await desk.pool.fetchval(
        "SELECT price_id FROM subscription_items WHERE subscription_id = $1 LIMIT 1",
        desk.sold["grace"],
    )
    mallory, charles = [
        f"/console/customers/{await desk.of(person, 'customer_id')}"
        for person in ("mallory", "charles")
    ]
    return {
        "find": "/console/find?q=castro",
        "customer": f"/console/customers/{await desk.of('ada', 'customer_id')}",
        "customer-with-a-dispute": charles,
        "disputes-of-a-customer": f"{charles}/disputes",
        "invoices-of-a-customer": f"{mallory}/invoices",
        "subscriptions-of-a-customer": f"{mallory}/subscriptions",
        "subscription": subscription["mallory"],
        "retry": f"{subscription['ada']}/retry",
        "change-of-plan": f"{subscription['mallory']}/plan?plan=premium:annually",
        "coupon-of-a-subscription": f"{subscription['ada']}/coupon?code=welcome10",
        "charge": f"{subscription['mallory']}/charge?description=Migration&amount=49",
        "end": f"{subscription['mallory']}/end",
        "trial": f"{subscription['grace']}/trial",
        "cancel": f"{subscription['charles']}/cancel",
        "pause": f"{subscription['mallory']}/pause",
        "debt-agreed-on": f"{subscription['mallory']}/lenient?grace_days=30&whole_customer=yes"
        "&reason=pays+by+bank+transfer",
        "invoice": f"/console/invoices/{invoice}",
        "refund": f"/console/invoices/{invoice}/refund?amount=2.50",
        "credit-note": f"/console/invoices/{invoice}/credit?amount=1.00&to=balance",
        "balance": f"/console/customers/{await desk.of('ada', 'customer_id')}/balance"
        "?amount=5&currency=usd&move=add&reason=an+outage",
        "invoice-by-hand": f"{mallory}/invoice?description_0=Migration+of+the+shop&quantity_0=2"
        "&amount_0=24.50&days_until_due=14&currency=usd",
        "merge": f"{mallory}/merge?who=castro",
        "trouble": "/console/trouble",
        "watched": "/console/watch",
        "debtors": "/console/debtors",
        "trials": "/console/trials",
        "disputes": "/console/disputes",
        "evidence": f"/console/disputes/{dispute}/evidence",
        "domains": "/console/domains",
        "domains-by-expiry": "/console/domains?list=expiring",
        "retry-of-a-domain": f"/console/domains/{domain}/retry",
        "events": "/console/events",
        "event": f"/console/events/{event}",
        "replay-all": "/console/events/replay-failed",
        "deliveries": "/console/deliveries",
        "servers": "/console/servers",
        "empty-a-server": "/console/servers/web1/drain",
        "move": f"{subscription['charles']}/move?service=hosting",
        "reconcile": "/console/reconcile",
        "start-a-reconcile": "/console/reconcile/start?days=30",
        "health": "/console/health",
        "figures": "/console/figures",
        "figures-by-product": "/console/figures/products",
        "coupons": "/console/coupons",
        "coupon": "/console/coupons/code?code=welcome10",
        "catalogue": "/console/catalogue",
        "catalogue-at-stripe": "/console/catalogue/stripe",
        "try-an-edit": "/console/catalogue/try",
        "price": f"/console/catalogue/prices/{price}",
        "merges": "/console/merges",
        "undo-a-merge": f"/console/customers/{merged}/undo-merge",
        "audit": "/console/audit",
        "set-up": "/console/set-up",
        "keys": "/console/keys",
        "make-a-key": "/console/keys/new?name=panel&scope+admin:read=yes&days=30",
        "sessions": "/console/sessions",
        "preferences": "/console/preferences",
        "error": "/console/nothing-here",
    }


@pytest.mark.browser
async def test_each_page_is_pictured(
    service: Service, server: ReferenceServer, browser: Browser, database_url: str
) -> None:
    async with working(service.settings):
        desk = await sit_down(service, server, browser)
        for journey in JOURNEYS:
            await getattr(test_operator, journey)(desk)
    await _fill(database_url)
    await _plant(desk)
    paths = await _paths(desk)
    _clear()
    for picture in pictures(paths):
        await _take(desk, picture)
    assert _bytes() < MOST_BYTES


def _clear() -> None:
    FOLDER.mkdir(exist_ok=True, parents=True)
    for file in FOLDER.glob("*.webp"):
        file.unlink()


def _bytes() -> int:
    return sum(file.stat().st_size for file in FOLDER.glob("*.webp"))


async def _fill(database_url: str) -> None:
    conn = await asyncpg.connect(database_url)
    await fill(conn, CUSTOMERS, seed=SEED)
    await conn.close()


async def _plant(desk: Desk) -> None:
    """Add what the generated customers do not have: domains, servers, a merge, keys."""
    pool, desk_of = desk.pool, Actor("support-desk", person="grace.hopper")
    await plant_domains(pool, desk.sold["charles"])
    await plant_servers(pool, desk.sold["charles"])
    await plant_merge(pool, await desk.of("grace", "customer_id"))
    await pool.execute(RUN)
    await _give(desk, "mallory", "WELCOME10")
    await create_key(pool, desk_of, name="panel-backend", scopes=("billing",))
    await create_key(pool, desk_of, name="bookkeeping", scopes=("admin:read", "billing:read"))


async def _give(desk: Desk, person: str, code: str) -> None:
    """Give a subscription the discount of a coupon."""
    answer = await desk.service.client.post(
        f"/api/billing/subscriptions/{desk.sold[person]}/apply-coupon",
        json={"couponCode": code},
        headers={"Authorization": f"Bearer {KEY}"},
    )
    assert answer.status == 200
    await desk.service.stripe.wait_idle()


async def _take(desk: Desk, picture: Picture) -> None:
    """Open the page, make the window as long as it is, and store what is seen."""
    browser, (width, height) = desk.hands.browser, picture.size
    await _ask(browser, "Emulation.setEmulatedMedia", features=[_scheme(picture)])
    await browser.resize(width, height)
    await browser.open(str(desk.service.client.make_url(picture.path)))
    long = await browser.run("return document.documentElement.scrollHeight")
    shown = long if picture.is_whole else min(long, LONGEST)
    await browser.resize(width, max(shown, height))
    taken = await _ask(browser, "Page.captureScreenshot", format="webp", quality=QUALITY)
    picture.file.write_bytes(base64.b64decode(taken["data"]))


def _scheme(picture: Picture) -> dict[str, str]:
    return {"name": "prefers-color-scheme", "value": picture.scheme}


async def _ask(browser: Browser, command: str, **given: object) -> dict[str, str]:
    answer: dict[str, str] = await asyncio.to_thread(browser.driver.execute_cdp_cmd, command, given)
    return answer
