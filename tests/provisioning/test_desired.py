"""Rule 8 as a table, and what holds whatever the state."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpanel_billing.provisioning.desired import (
    DesiredService,
    Entitlement,
    Existing,
    Leniency,
    Phase,
    Policy,
    desired_services,
)
from mpanel_billing.provisioning.product_resources import Included, resources_by_type

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)
POLICY = Policy(grace=7 * DAY, retention=30 * DAY)
HOSTING = Included(("hosting",), {"disk_gb": 25})
PROVISIONED = {"hosting": Existing(provisioned=True, resources={"disk_gb": 25})}


def entitled(status: str | None = "active", **values: object) -> Entitlement:
    given_values: dict[str, object] = {
        "settled": True,
        "items": (HOSTING,),
        "existing": PROVISIONED,
    }
    return Entitlement(status, **(given_values | values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("subscription", "phase", "state", "wake_at"),
    [
        (entitled("trialing", existing={}), Phase.ACTIVE, "active", None),
        (entitled("active", existing={}), Phase.ACTIVE, "active", None),
        (entitled("active", settled=False, existing={}), Phase.WAITING, None, None),
        (entitled("trialing", settled=False, existing={}), Phase.WAITING, None, None),
        (entitled("active", settled=False), Phase.ACTIVE, "active", None),
        (entitled("incomplete", settled=False, existing={}), Phase.WAITING, None, None),
        (entitled(None, existing={}), Phase.WAITING, None, None),
        (entitled("incomplete_expired", settled=False, existing={}), Phase.WAITING, None, None),
        (
            entitled("past_due", term_start=NOW - 6 * DAY),
            Phase.ACTIVE,
            "active",
            NOW + DAY,
        ),
        (entitled("past_due", term_start=NOW - 7 * DAY), Phase.SUSPENDED, "suspended", None),
        (
            entitled("past_due", term_start=NOW - 9 * DAY, owed_since=NOW + DAY),
            Phase.ACTIVE,
            "active",
            NOW + 8 * DAY,
        ),
        (
            entitled("past_due", owed_since=NOW - 6 * DAY),
            Phase.ACTIVE,
            "active",
            NOW + DAY,
        ),
        (entitled("past_due", owed_since=NOW - 7 * DAY), Phase.SUSPENDED, "suspended", None),
        (entitled("unpaid", owed_since=NOW), Phase.SUSPENDED, "suspended", None),
        (entitled("unpaid", term_start=NOW), Phase.ACTIVE, "active", NOW + 7 * DAY),
        (entitled("paused"), Phase.SUSPENDED, "suspended", None),
        (entitled("paused", paused_by="pause_requested"), Phase.SUSPENDED, "suspended", None),
        (
            entitled("paused", paused_by="first_payment_failure", owed_since=NOW),
            Phase.ACTIVE,
            "active",
            NOW + 7 * DAY,
        ),
        (entitled("active", collection_paused=True), Phase.ACTIVE, "active", None),
        (entitled("active", held=True), Phase.SUSPENDED, "suspended", None),
        (entitled("active", held=True, existing={}), Phase.SUSPENDED, None, None),
        (entitled("unpaid", existing={}), Phase.SUSPENDED, None, None),
        (
            entitled("canceled", ended_at=NOW - 29 * DAY),
            Phase.ENDED,
            "suspended",
            NOW + DAY,
        ),
        (entitled("canceled", ended_at=NOW - 30 * DAY), Phase.ENDED, "terminated", None),
        (entitled("canceled", ended_at=NOW - 30 * DAY, held=True), Phase.ENDED, "suspended", None),
        (
            entitled("canceled", ended_at=NOW - 30 * DAY, paid_after_end=True),
            Phase.ENDED,
            "suspended",
            None,
        ),
        (entitled("canceled"), Phase.ENDED, "suspended", None),
        (entitled("canceled", ended_at=NOW, existing={}), Phase.ENDED, None, None),
    ],
)
def test_every_state_has_its_desired_state(
    subscription: Entitlement, phase: Phase, state: str | None, wake_at: datetime | None
) -> None:
    desired = desired_services(subscription, POLICY, NOW)
    service = desired.services.get("hosting")
    assert (desired.phase, service and service.state) == (phase, state)
    assert desired.wake_at == wake_at


def test_a_paused_collection_suspends_where_the_host_says_so() -> None:
    policy = replace(POLICY, suspend_paused_collection=True)
    desired = desired_services(entitled(collection_paused=True), policy, NOW)
    assert (desired.phase, desired.reason) == (Phase.SUSPENDED, "paused")


def test_a_limit_of_usage_suspends_whatever_is_paid_and_an_operator_goes_before_it() -> None:
    for status in ("active", "trialing", "past_due"):
        reached = desired_services(entitled(status, used_up=True), POLICY, NOW)
        assert (reached.phase, reached.reason) == (Phase.SUSPENDED, "used_up")
    assert desired_services(entitled(used_up=True, held=True), POLICY, NOW).reason == "held"
    ended = entitled("canceled", used_up=True, ended_at=NOW)
    assert desired_services(ended, POLICY, NOW).phase is Phase.ENDED


@pytest.mark.parametrize(("held", "phase"), [(False, Phase.ACTIVE), (True, Phase.SUSPENDED)])
def test_what_was_agreed_in_a_pause_goes_before_what_the_host_says(
    held: bool, phase: Phase
) -> None:
    """The term that was paid is served to its end."""
    policy = replace(POLICY, suspend_paused_collection=True)
    paused = entitled(collection_paused=True, held_for_pause=held)
    assert desired_services(paused, policy, NOW).phase is phase


@pytest.mark.parametrize(
    ("leniency", "phase", "wake_at"),
    [
        (Leniency(grace=30 * DAY), Phase.ACTIVE, NOW + 20 * DAY),
        (Leniency(grace=5 * DAY), Phase.SUSPENDED, None),
        (Leniency(grace=timedelta(0)), Phase.SUSPENDED, None),
        (Leniency(not_before=NOW + DAY), Phase.ACTIVE, NOW + DAY),
        (Leniency(not_before=NOW), Phase.SUSPENDED, None),
        (Leniency(grace=30 * DAY, not_before=NOW + DAY), Phase.ACTIVE, NOW + 20 * DAY),
    ],
)
def test_what_was_agreed_with_a_customer_replaces_the_rule(
    leniency: Leniency, phase: Phase, wake_at: datetime | None
) -> None:
    subscription = entitled("past_due", owed_since=NOW - 10 * DAY, leniency=leniency)
    desired = desired_services(subscription, POLICY, NOW)
    assert (desired.phase, desired.wake_at) == (phase, wake_at)


def test_a_date_before_which_nothing_is_suspended_holds_for_unpaid_too() -> None:
    lenient = Leniency(not_before=NOW + DAY)
    subscription = entitled("unpaid", owed_since=NOW - 90 * DAY, leniency=lenient)
    assert desired_services(subscription, POLICY, NOW).phase is Phase.ACTIVE
    assert desired_services(subscription, POLICY, NOW + DAY).phase is Phase.SUSPENDED


def test_an_item_that_cannot_be_placed_takes_nothing_away() -> None:
    subscription = entitled(items=(), items_unplaced=True)
    for now in (NOW, NOW + 400 * DAY):
        desired = desired_services(subscription, POLICY, now)
        assert desired.services["hosting"] == DesiredService("active", {"disk_gb": 25})
        assert desired.wake_at is None


def test_an_item_that_cannot_be_placed_reduces_nothing_and_gives_nothing() -> None:
    smaller = Included(("hosting", "email"), {"disk_gb": 5, "mailboxes": 3})
    subscription = entitled(items=(smaller,), items_unplaced=True)
    services = desired_services(subscription, POLICY, NOW).services
    assert services["hosting"].resources == {"disk_gb": 25, "mailboxes": 3}
    assert services["email"].resources == {"disk_gb": 5, "mailboxes": 3}
    larger = Included(("hosting",), {"disk_gb": 50})
    grown = entitled(items=(larger,), items_unplaced=True)
    assert desired_services(grown, POLICY, NOW).services["hosting"].resources == {"disk_gb": 50}


def test_what_was_removed_before_stays_removed_while_an_item_cannot_be_placed() -> None:
    removed = {"hosting": Existing(True, {"disk_gb": 25}, removed_at=NOW - 40 * DAY)}
    subscription = entitled(items=(), items_unplaced=True, existing=removed)
    desired = desired_services(subscription, POLICY, NOW)
    assert desired.services["hosting"].state == "suspended"
    assert desired.wake_at is None


def test_the_end_comes_also_with_an_item_that_cannot_be_placed() -> None:
    subscription = entitled("canceled", ended_at=NOW - 30 * DAY, items=(), items_unplaced=True)
    assert desired_services(subscription, POLICY, NOW).services["hosting"].state == "terminated"


def test_a_removed_product_is_suspended_before_it_is_terminated() -> None:
    backup = Existing(provisioned=True, resources={"retention_days": 30})
    subscription = entitled(existing={**PROVISIONED, "backup": backup})
    first = desired_services(subscription, POLICY, NOW)
    assert first.services["backup"].state == "suspended"
    assert first.services["backup"].removed_at == NOW
    assert first.wake_at == NOW + 30 * DAY

    gone = Existing(True, backup.resources, removed_at=NOW)
    later = entitled(existing={**PROVISIONED, "backup": gone})
    assert desired_services(later, POLICY, NOW + 30 * DAY).services["backup"].state == "terminated"


def test_a_product_that_comes_back_is_active_again() -> None:
    gone = {"hosting": Existing(True, {}, removed_at=NOW - 5 * DAY)}
    service = desired_services(entitled(existing=gone), POLICY, NOW).services["hosting"]
    assert (service.state, service.removed_at) == ("active", None)


def test_resources_of_the_same_type_add_up_times_their_quantity() -> None:
    items = (
        Included(("hosting", "email"), {"disk_gb": 25, "name": "plan", "ssl": True}),
        Included(("hosting",), {"disk_gb": 10, "name": "extra", "ssl": False}, quantity=2),
        Included(("storage",), {"disk_gb": 100}, quantity=0),
        Included((), {"disk_gb": 7}),
    )
    assert resources_by_type(items) == {
        "hosting": {"disk_gb": 45, "name": "plan", "ssl": True},
        "email": {"disk_gb": 25, "name": "plan", "ssl": True},
    }


STATUSES = (
    None,
    "incomplete",
    "incomplete_expired",
    "trialing",
    "active",
    "past_due",
    "unpaid",
    "paused",
    "canceled",
)
moments = st.none() | st.integers(-100, 0).map(lambda days: NOW + days * DAY)
existings = st.dictionaries(
    st.sampled_from(["hosting", "email", "backup"]),
    st.builds(Existing, st.booleans(), st.just({}), moments),
)
entitlements = st.builds(
    Entitlement,
    stripe_status=st.sampled_from(STATUSES),
    settled=st.booleans(),
    collection_paused=st.booleans(),
    paused_by=st.sampled_from([None, "first_payment_failure", "pause_requested"]),
    owed_since=moments,
    term_start=moments,
    ended_at=moments,
    held=st.booleans(),
    leniency=st.builds(
        Leniency, st.none() | st.integers(0, 60).map(lambda days: days * DAY), moments
    ),
    items_unplaced=st.booleans(),
    items=st.lists(
        st.builds(
            Included,
            st.lists(st.sampled_from(["hosting", "email", "storage"]), max_size=2).map(tuple),
            st.just({"gb": 1}),
            st.integers(0, 3),
        ),
        max_size=3,
    ).map(tuple),
    existing=existings,
)


@given(entitlements, st.integers(0, 200))
def test_under_a_hold_nothing_is_active_and_nothing_is_terminated(
    held: Entitlement, days: int
) -> None:
    held = Entitlement(**{**_fields(held), "held": True})
    services = desired_services(held, POLICY, NOW + days * DAY).services
    assert {service.state for service in services.values()} <= {"suspended"}


@given(entitlements)
def test_nothing_is_terminated_before_the_retention_period_is_over(
    subscription: Entitlement,
) -> None:
    services = desired_services(subscription, POLICY, NOW).services
    for product_type, service in services.items():
        if service.state == "terminated":
            existing = subscription.existing[product_type]
            ended = subscription.ended_at if subscription.stripe_status in _FINAL else None
            since = [moment for moment in (existing.removed_at, ended) if moment]
            assert min(since) + POLICY.retention <= NOW


@given(entitlements)
def test_between_now_and_the_next_look_time_changes_nothing(subscription: Entitlement) -> None:
    first = desired_services(subscription, POLICY, NOW)
    settled = Entitlement(**{**_fields(subscription), "existing": _stored(subscription, first)})
    just_before = (first.wake_at or NOW + 1000 * DAY) - timedelta(seconds=1)
    assert desired_services(settled, POLICY, just_before).services == first.services


_FINAL = {"canceled", "incomplete_expired"}


def _stored(subscription: Entitlement, desired: object) -> dict[str, Existing]:
    """Return what exists once the desired state is stored, as if nothing was provisioned yet."""
    services = desired.services  # type: ignore[attr-defined]
    return {
        product_type: Existing(
            existing.provisioned,
            services[product_type].resources if product_type in services else existing.resources,
            services[product_type].removed_at if product_type in services else existing.removed_at,
        )
        for product_type, existing in subscription.existing.items()
    }


def _fields(subscription: Entitlement) -> dict[str, object]:
    return {name: getattr(subscription, name) for name in Entitlement.__dataclass_fields__}
