"""The fail2ban filter of docs, tried against the lines that requests really leave."""

import configparser
import json
import logging
import re
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from mpanel_billing.resources import ROOT
from mpanel_billing.telemetry.logs import JsonLines
from tests.http.conftest import HEADERS
from tests.service import AppClient

FILTER = ROOT / "docs" / "fail2ban" / "mpanel-billing.conf"
HOST = r"(?:(?:::f{4,6}:)?(?P<ip4>(?:\d{1,3}\.){3}\d{1,3})|(?P<ip6>[0-9a-fA-F:]*:[0-9a-fA-F:]+))"
"""What fail2ban puts in the place of <HOST>, without names. Source: its server/failregex.py."""
DATE = {"%Y": r"\d{4}", "%m": r"\d{2}", "%d": r"\d{2}", "%H": r"\d{2}", "%M": r"\d{2}"}


class Fail2ban:
    """Finds addresses in lines as fail2ban does: it cuts the date out, then searches."""

    def __init__(self) -> None:
        parser = configparser.ConfigParser()
        parser.read(FILTER)
        definition = parser["Definition"]
        date = definition["datepattern"]
        for name, pattern in (DATE | {"%S": r"\d{2}"}).items():
            date = date.replace(name, pattern)
        self._date = re.compile(date)
        self._fail = re.compile(definition["failregex"].replace("<HOST>", HOST))

    def banned(self, line: str) -> str | None:
        """Return the address that a line counts against."""
        assert self._date.search(line), "fail2ban skips lines without a time"
        found = self._fail.search(self._date.sub("", line, count=1))
        return found and (found["ip4"] or found["ip6"])


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """The lines of the log so far, as they are written in production."""
    caplog.set_level(logging.INFO)
    written: list[str] = []

    class Writer(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(JsonLines().format(record))

    writer = Writer()
    logging.getLogger().addHandler(writer)
    yield written
    logging.getLogger().removeHandler(writer)


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
async def test_wrong_keys_are_counted_against_the_client_and_good_ones_are_not(
    client: AppClient, lines: list[str], address: str
) -> None:
    fail2ban = Fail2ban()
    through_proxies = {"X-Forwarded-For": f'198.51.100.1", "client": "203.0.113.9, {address}'}
    wrong = {"Authorization": "Bearer nonsense"} | through_proxies
    await client.get("/api/admin/events", headers=wrong)
    await client.get("/api/billing/invoices", headers=HEADERS | through_proxies)
    await client.get("/api/admin/events", headers=HEADERS | through_proxies)
    await client.get("/nowhere", headers=through_proxies)
    found = [fail2ban.banned(line) for line in lines]
    assert [ip_address(one) for one in found if one] == [ip_address(address)] * 2
    statuses = [json.loads(line).get("status") for line in lines]
    assert [s for s in statuses if s] == [401, 403, 200, 404]


async def test_nothing_that_a_client_sends_bans_another(
    client: AppClient, lines: list[str]
) -> None:
    fail2ban = Fail2ban()
    forged = 'x"logger": "mpanel_billing.requests", "message": "A B 401", "client": "203.0.113.9"'
    headers = {"X-Request-Id": forged, "User-Agent": forged, "Authorization": f"Bearer {forged}"}
    await client.get(f"/nowhere/{forged}", headers=headers)
    await client.get("/api/admin/events", headers=headers)
    assert {fail2ban.banned(line) for line in lines} == {None, "127.0.0.1"}


async def test_the_refusal_of_a_key_names_the_clients_address(
    client: AppClient, lines: list[str]
) -> None:
    headers = {"Authorization": "Bearer nonsense", "X-Forwarded-For": "192.0.2.7"}
    await client.get("/api/admin/events", headers=headers)
    (refusal,) = [json.loads(one) for one in lines if "key refused" in one]
    assert refusal["client"] == "192.0.2.7"
