"""The next command of a service, whatever is known about its account."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpanel_billing.provisioning.service_state import (
    RESULTING,
    Service,
    assume_pending,
    blocker,
    in_order,
    next_action,
)


def service(desired: str, actual: str, pending: str | None = None, **more: Any) -> Service:
    request = {"resources": more.pop("sent", {})} if pending else None
    return Service(
        "hosting",
        desired,  # type: ignore[arg-type]
        actual,  # type: ignore[arg-type]
        "world",
        pending=pending,  # type: ignore[arg-type]
        pending_request=request,
        **more,
    )


@pytest.mark.parametrize(
    ("service", "action"),
    [
        (service("active", "absent"), "create"),
        (service("active", "terminated"), "create"),
        (service("active", "active"), None),
        (service("active", "active", desired_resources={"gb": 2}, resources={"gb": 1}), "change"),
        (service("active", "suspended"), "resume"),
        (
            service("active", "suspended", desired_resources={"gb": 2}, resources={"gb": 1}),
            "resume",
        ),
        (service("suspended", "active"), "suspend"),
        (service("suspended", "suspended"), None),
        (service("suspended", "absent"), None),
        (service("suspended", "terminated"), None),
        (service("terminated", "active"), "terminate"),
        (service("terminated", "suspended"), "terminate"),
        (service("terminated", "absent"), None),
        # of unknown outcome, and still wanted: the same again
        (service("active", "absent", "create"), "create"),
        (service("suspended", "active", "suspend"), "suspend"),
        (service("active", "suspended", "resume"), "resume"),
        # of unknown outcome, and no longer wanted: whether there is an account has to be known,
        (service("terminated", "absent", "create"), "create"),
        (service("active", "suspended", "terminate"), "terminate"),
        # but what it does can be undone unseen
        (service("active", "active", "suspend"), "resume"),
        (service("suspended", "suspended", "resume"), "suspend"),
        (service("terminated", "active", "suspend"), "terminate"),
        (service("active", "active", "change", sent={"gb": 2}), "change"),
        (service("suspended", "active", "change", sent={"gb": 2}), "suspend"),
    ],
)
def test_the_next_command_follows_from_the_desired_and_the_actual_state(
    service: Service, action: str | None
) -> None:
    assert next_action(service) == action


services = st.builds(
    service,
    st.sampled_from(["active", "suspended", "terminated"]),
    st.sampled_from(["absent", "active", "suspended", "terminated"]),
    desired_resources=st.sampled_from([{"gb": 1}, {"gb": 2}]),
    resources=st.sampled_from([{"gb": 1}, {"gb": 2}]),
)


@given(services)
def test_an_obedient_driver_needs_three_commands_at_most(start: Service) -> None:
    current = start
    for _ in range(3):
        action = next_action(current)
        if action is None:
            break
        current = assume_pending(
            Service(
                **{
                    **{name: getattr(current, name) for name in Service.__slots__},
                    "pending": action,
                    "pending_request": {"resources": current.desired_resources},
                }
            )
        )
        assert current.actual == RESULTING[action]
    assert next_action(current) is None
    if current.desired == "active":
        assert (current.actual, current.resources) == ("active", current.desired_resources)
    else:
        assert current.actual != "active"


def test_mail_waits_for_the_hosting_account_it_runs_on() -> None:
    hosting = Service("hosting", "active", "absent", "world")
    email = Service("email", "active", "absent", "world")
    storage = Service("storage", "active", "absent", "world")
    services = {service.product_type: service for service in (email, hosting, storage)}
    assert [service.product_type for service in in_order(services)] == [
        "hosting",
        "storage",
        "email",
    ]
    assert [blocker(service, services) for service in in_order(services)] == [None, None, "hosting"]
    assert blocker(email, {"email": email}) is None
    skipped = Service("hosting", "active", "absent", "world", stopped="skipped")
    assert blocker(email, services | {"hosting": skipped}) is None
