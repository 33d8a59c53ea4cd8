"""How the doctor judges what it finds."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mpanel_billing.doctor.database import judge_schema
from mpanel_billing.doctor.endpoints import expected_events, judge_endpoints
from mpanel_billing.doctor.finding import Finding, Status, duration
from mpanel_billing.doctor.host import judge_clock
from mpanel_billing.doctor.variables import check_variables, describe_faults, find_misspelt
from mpanel_billing.doctor.work import judge_backlog, judge_worker
from mpanel_billing.mirror.types import EVENT_TYPES
from mpanel_billing.stripe_gateway.account import RecentEvent
from mpanel_billing.stripe_gateway.gateway import API_VERSION
from mpanel_billing.stripe_gateway.webhook_endpoints import WebhookEndpoint
from mpanel_billing.webhooks.endpoint import PATH
from tests.service import make_settings

OK, WARNING, FAILED = Status.OK, Status.WARNING, Status.FAILED
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
URL = "https://api.example.com" + PATH
RIGHT = WebhookEndpoint("we_1", URL, True, API_VERSION, EVENT_TYPES, NOW - timedelta(hours=3))


def said(findings: list[Finding]) -> str:
    return "; ".join(finding.detail for finding in findings)


@pytest.mark.parametrize(
    ("found", "worst", "words"),
    [
        ([RIGHT], OK, "exactly the"),
        ([replace(RIGHT, url="https://api.example.com/billing" + PATH)], OK, "exactly the"),
        ([], FAILED, "none ends in"),
        ([replace(RIGHT, url="https://api.example.com/hooks")], FAILED, "none ends in"),
        ([replace(RIGHT, enabled=False)], FAILED, "is disabled"),
        ([replace(RIGHT, api_version="2024-06-20")], FAILED, "has API version 2024-06-20"),
        ([replace(RIGHT, api_version=None)], FAILED, "has API version of the account"),
        ([RIGHT, replace(RIGHT, id="we_0", api_version=None)], WARNING, "of the account"),
        ([replace(RIGHT, events=EVENT_TYPES - {"invoice.paid"})], FAILED, "lacks invoice.paid"),
        ([replace(RIGHT, events=EVENT_TYPES | {"charge.updated"})], WARNING, "not used here"),
        ([replace(RIGHT, events=frozenset({"*"}))], WARNING, "gets *"),
    ],
)
def test_a_webhook_endpoint_is_judged(
    found: list[WebhookEndpoint], worst: Status, words: str
) -> None:
    findings = judge_endpoints(found, sandboxed=False)
    assert max(findings, key=lambda f: list(Status).index(f.status)).status is worst
    assert words in said(findings)
    assert all(finding.advice for finding in findings if finding.status is not OK)


def test_the_sandbox_needs_no_endpoint() -> None:
    [finding] = judge_endpoints([], sandboxed=True)
    assert finding.status is OK


def test_only_our_events_since_there_is_an_endpoint_and_not_on_their_way_are_expected() -> None:
    def event(id_: str, minutes_ago: float, type_: str = "invoice.paid") -> RecentEvent:
        return RecentEvent(id_, type_, NOW - timedelta(minutes=minutes_ago), 0)

    made = [
        event("evt_on_its_way", 1),
        event("evt_expected", 10),
        event("evt_not_ours", 10, "charge.updated"),
        event("evt_before_the_endpoint", 200),
    ]
    assert [e.id for e in expected_events(made, [RIGHT], NOW)] == ["evt_expected"]
    assert len(expected_events(made, [], NOW)) == 2
    assert expected_events([event("evt_old", 60 * 25)], [], NOW) == []


@pytest.mark.parametrize(
    ("ahead", "status", "words"),
    [
        (0.4, OK, "in step with Stripe's"),
        (-4.9, OK, "in step"),
        (20, WARNING, "20 s ahead of Stripe's"),
        (-600, FAILED, "10 min behind Stripe's"),
    ],
)
def test_a_clock_is_judged(ahead: float, status: Status, words: str) -> None:
    finding = judge_clock("clock", ahead, "Stripe's")
    assert finding.status is status
    assert words in finding.detail


def test_a_schema_is_judged_by_what_is_pending_and_what_is_unknown() -> None:
    files = ["1_tables.sql", "2_columns.sql", "3_views.sql"]
    assert judge_schema({"1", "2", "3"}, files).status is OK
    gap = judge_schema({"1", "3"}, files)
    assert (gap.status, gap.detail) == (FAILED, "migrations are pending: 2_columns.sql")
    ahead = judge_schema({"1", "2", "3", "4"}, files)
    assert (ahead.status, ahead.detail) == (WARNING, "the database is ahead of this program by 4")
    assert judge_schema(set(), files).status is FAILED


@pytest.mark.parametrize(
    ("seen", "connections", "status"),
    [(None, 0, WARNING), (20, 4, OK), (20, 0, WARNING), (301, 0, FAILED), (301, 4, FAILED)],
)
def test_a_worker_is_judged_by_its_signs_of_life(
    seen: int | None, connections: int, status: Status
) -> None:
    assert judge_worker(seen, connections).status is status


def test_work_that_is_due_for_long_is_a_failure() -> None:
    idle = {"job": None, "event": None, "refetch": None, "provisioning": None}
    assert judge_backlog(idle).detail == "empty"
    assert judge_backlog(idle | {"job": 12}).detail == "the oldest has been due for 12 s"
    late = judge_backlog(idle | {"refetch": 7200, "job": 3})
    assert (late.status, late.detail) == (FAILED, "overdue: a refetch from Stripe for 2 h")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (9000, "2 h"), (2e5, "2 days")],
)
def test_times_are_shown_in_the_unit_that_fits(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_each_variable_that_is_set_is_listed_and_no_secret_shown() -> None:
    settings = make_settings(
        admin_api_keys="k" * 24,
        provisioning_services={"hosting": {"url": "http://h.test", "token": "t0", "secret": "s0"}},
    )
    listed = {f.name: f.detail for f in check_variables(settings, Path("/nowhere/.env"))}
    assert listed["APP_URL"] == "http://panel.test/"
    assert listed["STRIPE_SECRET_KEY"] == "is set"
    assert listed["STRIPE_WEBHOOK_SECRET"] == "1 set"
    assert listed["PROVISIONING_SERVICES"] == "hosting"
    assert listed["other settings"].endswith("have their defaults")
    assert not {"sk_test", "whsec", "kkk", "t0", "s0"} & set(str(listed).split())
    assert "whsec_" not in str(listed)


def test_what_is_fine_in_test_mode_is_not_with_real_money() -> None:
    rash = {"stripe_api_base": "http://127.0.0.1:1", "MPANEL_BILLING_DEMO": True}
    assert all(f.status is OK for f in check_variables(make_settings(**rash)))
    live = check_variables(make_settings(stripe_secret_key="sk_live_x", **rash))
    assert sum(f.status is FAILED for f in live) == 3
    assert sum(f.status is WARNING for f in live) == 1


def test_a_second_webhook_secret_is_a_reminder() -> None:
    found = check_variables(make_settings(stripe_webhook_secret="whsec_a,whsec_b"))
    assert [f.detail for f in found if f.status is WARNING] == ["2 are accepted"]


def test_keys_of_mpanels_backend_in_the_settings_are_broader_than_need_be() -> None:
    found = check_variables(make_settings(billing_api_keys="k" * 24), Path("/nowhere/.env"))
    [finding] = [f for f in found if f.status is WARNING]
    assert finding.name == "BILLING_API_KEYS"
    assert "only the scopes that are used" in finding.advice


def test_a_misspelt_variable_is_found_and_another_programs_is_not(tmp_path: Path) -> None:
    assert [(f.name, f.advice) for f in find_misspelt(["STRIPE_WEBHOK_SECRET", "APP_URL"])] == [
        ("STRIPE_WEBHOK_SECRET", "did you mean STRIPE_WEBHOOK_SECRET?")
    ]
    assert list(find_misspelt(["JWT_SECRET", "SMTP_HOST", "NODE_ENV"])) == []
    (tmp_path / ".env").write_text("GRACE_DAY=3\n")
    found = check_variables(make_settings(), tmp_path / ".env")
    assert [f.name for f in found if f.status is WARNING] == ["GRACE_DAY"]


def test_settings_that_cannot_be_read_are_a_failure_each() -> None:
    found = describe_faults("APP_URL: is missing; see .env.example\nPORT: is no number: at all")
    assert [(f.name, f.detail) for f in found] == [
        ("APP_URL", "is missing"),
        ("PORT", "is no number: at all"),
    ]
    assert {f.status for f in found} == {FAILED}
