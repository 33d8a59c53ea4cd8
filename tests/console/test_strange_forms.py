"""Whatever a field holds, a page says what is wrong with it: none fails by it."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from yarl import URL

from mpanel_billing.console import routes
from tests.console.conftest import Console, Ids
from tests.console.test_scopes import DECLARED, address

FIELDS = sorted(
    {
        name
        for file in Path(routes.__path__[0]).glob("*.py")
        for name in re.findall(r'given\.(?:text|number|line)\(\s*"(\w+)"', file.read_text())
    }
)
STRANGE = (
    "\x00",
    "-1",
    "0",
    "9" * 18,
    "0001-01-01T00:00:00+14:00",
    "9999-12-31",
    "0001-01-01",
    "\ud83d\ude00" * 300,
    "a" * 5000,
)


@pytest.mark.parametrize("value", STRANGE)
async def test_no_page_fails_by_a_field(console: Console, ids: Ids, value: str) -> None:
    for declared in DECLARED:
        if declared.method == "GET":
            path = address(declared, ids)
            answer = await console.send("GET", path, params=dict.fromkeys(FIELDS, value))
            assert answer.status != 500, (path, value)


async def test_no_page_fails_by_a_number_that_python_does_not_read(
    console: Console, ids: Ids
) -> None:
    path = f"/console/subscriptions/{ids.subscription}"
    answer = await console.send("GET", path, params={"done": "retried", "look": "9" * 5000})
    assert answer.status == 422


async def test_no_action_fails_by_a_nul(console: Console, ids: Ids) -> None:
    form_token = (await console.open("/console/preferences")).field("form_token")
    for declared in DECLARED:
        path = address(declared, ids)
        if declared.method == "POST":
            fields = dict.fromkeys(FIELDS, "\0") | {"form_token": form_token}
            assert (await console.post(path, **fields)).status == 400, path
        if "{id}" in declared.address:
            url = URL(declared.address.replace("{id}", "%00"), encoded=True)
            answer = await console.send(declared.method, url, data={"form_token": form_token})
            assert answer.status == 404, declared


async def test_a_page_of_replays_begins_at_a_time_of_ours(console: Console) -> None:
    path = "/console/events/replay-failed"
    shown = await console.open(path)
    for at in ("yesterday", "0001-01-01T00:00:00+14:00", "2027-01-31T10:00:00"):
        wrong = await console.post(path, shown, after_at=at, after_id="evt_1")
        assert (wrong.status, "start again" in wrong.text) == (422, True), at
    for days, said in (("0", "1 to 3650 days"), ("3651", "1 to 3650 days"), ("-1", "whole number")):
        for answer in (
            await console.open(f"{path}?days={days}"),
            await console.post(path, shown, days=days),
        ):
            assert (answer.status, said in answer.text) == (422, True), days


async def test_a_day_is_of_the_zone_that_the_page_tells(console: Console, ids: Ids) -> None:
    """What is typed and what is shown for it are of one zone, also for a person far from UTC."""
    preferences = await console.open("/console/preferences")
    await console.post(
        "/console/preferences", preferences, language="en", time_zone="Pacific/Auckland"
    )
    page = f"/console/subscriptions/{ids.subscription}/lenient"
    shown = await console.open(f"{page}?not_before=2031-01-01")
    assert "No suspension before this day (Pacific/Auckland" in shown.text
    fields = {"grace_days": "", "not_before": "2031-01-01", "whole_customer": "", "reason": "pays"}
    assert (await console.post(page, shown, **fields)).status == 303
    ending = await console.open(page.replace("lenient", "strict"))
    assert "not before 2031-01-01 00:00" in ending.text
    assert "2030-12-31 11:00" in ending.html
    not_before = await console.service.pool.fetchval("SELECT not_before FROM billing_leniency")
    assert not_before == datetime(2030, 12, 31, 11, tzinfo=UTC)
