"""What is decided about our webhook endpoint, given what Stripe has."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mpanel_billing.http.routes import webhooks
from mpanel_billing.mirror.types import EVENT_TYPES
from mpanel_billing.stripe_gateway.gateway import API_VERSION
from mpanel_billing.stripe_gateway.webhook_endpoints import WebhookEndpoint
from mpanel_billing.webhooks.endpoint import (
    PATH,
    EndpointUrlError,
    check_endpoint_url,
    decide_changes,
)

URL = "https://billing.example.com/api/webhooks/stripe"
RIGHT = WebhookEndpoint(
    "we_right", URL, True, API_VERSION, EVENT_TYPES, datetime(2026, 11, 1, tzinfo=UTC)
)


def test_the_path_is_the_one_that_the_service_has() -> None:
    assert PATH == webhooks.PATH


@pytest.mark.parametrize(
    ("given", "whole"),
    [
        ("https://billing.example.com", URL),
        ("https://billing.example.com/", URL),
        (URL, URL),
        ("https://example.com/billing" + PATH, "https://example.com/billing" + PATH),
        ("https://8.8.8.8", "https://8.8.8.8" + PATH),
    ],
)
def test_an_address_is_accepted_and_completed(given: str, whole: str) -> None:
    assert check_endpoint_url(given, livemode=True, public=True) == whole


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("billing.example.com", "must start with https://"),
        ("ftp://billing.example.com", "must start with https://"),
        ("https://", "must start with https://"),
        ("https://billing example.com", "must start with https://"),
        ("https://billing.example.com:x/", "is not a URL"),
        ("https://ada:secret@billing.example.com", "must have no user, password"),
        ("https://billing.example.com/?a=b", "must have no user, password"),
        ("https://billing.example.com/hooks", "must end in /api/webhooks/stripe, where"),
        ("http://billing.example.com", "only to https://"),
        ("https://localhost", "cannot reach localhost"),
        ("https://panel", "cannot reach panel"),
        ("https://panel.local", "cannot reach panel.local"),
        ("https://127.0.0.1", "cannot reach 127.0.0.1"),
        ("https://10.1.2.3:8443", "cannot reach 10.1.2.3"),
        ("https://[::1]", "cannot reach ::1"),
    ],
)
def test_an_address_that_stripe_could_not_use_is_refused(given: str, complaint: str) -> None:
    with pytest.raises(EndpointUrlError, match=complaint):
        check_endpoint_url(given, livemode=True, public=True)


def test_in_test_mode_and_for_the_sandbox_more_is_allowed() -> None:
    assert check_endpoint_url("http://billing.example.com", livemode=False, public=True)
    assert check_endpoint_url("http://127.0.0.1:4242", livemode=False, public=False)


def test_without_an_endpoint_at_the_url_one_has_to_be_created() -> None:
    elsewhere = replace(RIGHT, url="https://staging.example.com" + PATH)
    plan = decide_changes(URL, [elsewhere])
    assert (plan.current, plan.outdated, plan.duplicates) == (None, (), ())


def test_the_right_one_is_left_alone() -> None:
    plan = decide_changes("https://BILLING.example.com:443" + PATH, [RIGHT])
    assert (plan.current, plan.faults) == (RIGHT, ())


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        (replace(RIGHT, enabled=False), "it is disabled"),
        (replace(RIGHT, events=EVENT_TYPES - {"invoice.paid"}), "it lacks invoice.paid"),
        (
            replace(RIGHT, events=EVENT_TYPES | {"charge.updated"}),
            "it receives charge.updated, which we do not use",
        ),
        (replace(RIGHT, events=frozenset({"*"})), "it receives *, which we do not use"),
    ],
)
def test_what_is_wrong_is_named(wrong: WebhookEndpoint, fault: str) -> None:
    assert decide_changes(URL, [wrong]).faults == (fault,)


@pytest.mark.parametrize("version", ["2024-06-20", None])
def test_another_version_is_outdated_and_cannot_be_corrected(version: str | None) -> None:
    old = replace(RIGHT, id="we_old", api_version=version)
    assert decide_changes(URL, [old]).current is None
    assert decide_changes(URL, [old]).outdated == (old,)
    assert decide_changes(URL, [old, RIGHT]).current == RIGHT


def test_of_two_alike_the_older_enabled_one_stays() -> None:
    newer = replace(RIGHT, id="we_newer", created=datetime(2026, 11, 2, tzinfo=UTC))
    off = replace(RIGHT, id="we_off", created=datetime(2026, 10, 1, tzinfo=UTC), enabled=False)
    plan = decide_changes(URL, [newer, off, RIGHT])
    assert plan.current == RIGHT
    assert plan.duplicates == (newer, off)
