"""The next order of a leg, whatever is known and not known of its account."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpanel_billing.provisioning.service_state import (
    RESULTING,
    Leg,
    assume_pending,
    blocker,
    in_order,
    next_action,
)


def leg(desired: str, actual: str, pending: str | None = None, **more: Any) -> Leg:
    request = {"resources": more.pop("sent", {})} if pending else None
    return Leg(
        "hosting",
        desired,  # type: ignore[arg-type]
        actual,  # type: ignore[arg-type]
        "world",
        pending=pending,  # type: ignore[arg-type]
        pending_request=request,
        **more,
    )


@pytest.mark.parametrize(
    ("leg", "action"),
    [
        (leg("active", "absent"), "create"),
        (leg("active", "terminated"), "create"),
        (leg("active", "active"), None),
        (leg("active", "active", desired_resources={"gb": 2}, resources={"gb": 1}), "change"),
        (leg("active", "suspended"), "resume"),
        (leg("active", "suspended", desired_resources={"gb": 2}, resources={"gb": 1}), "resume"),
        (leg("suspended", "active"), "suspend"),
        (leg("suspended", "suspended"), None),
        (leg("suspended", "absent"), None),
        (leg("suspended", "terminated"), None),
        (leg("terminated", "active"), "terminate"),
        (leg("terminated", "suspended"), "terminate"),
        (leg("terminated", "absent"), None),
        # of unknown outcome, and still wanted: the same again
        (leg("active", "absent", "create"), "create"),
        (leg("suspended", "active", "suspend"), "suspend"),
        (leg("active", "suspended", "resume"), "resume"),
        # of unknown outcome, and no longer wanted: whether there is an account has to be known,
        (leg("terminated", "absent", "create"), "create"),
        (leg("active", "suspended", "terminate"), "terminate"),
        # but what it does can be undone unseen
        (leg("active", "active", "suspend"), "resume"),
        (leg("suspended", "suspended", "resume"), "suspend"),
        (leg("terminated", "active", "suspend"), "terminate"),
        (leg("active", "active", "change", sent={"gb": 2}), "change"),
        (leg("suspended", "active", "change", sent={"gb": 2}), "suspend"),
    ],
)
def test_the_next_order_follows_from_wish_and_world(leg: Leg, action: str | None) -> None:
    assert next_action(leg) == action


legs = st.builds(
    leg,
    st.sampled_from(["active", "suspended", "terminated"]),
    st.sampled_from(["absent", "active", "suspended", "terminated"]),
    desired_resources=st.sampled_from([{"gb": 1}, {"gb": 2}]),
    resources=st.sampled_from([{"gb": 1}, {"gb": 2}]),
)


@given(legs)
def test_a_world_that_obeys_is_as_wished_after_three_orders_at_most(start: Leg) -> None:
    current = start
    for _ in range(3):
        action = next_action(current)
        if action is None:
            break
        current = assume_pending(
            Leg(
                **{
                    **{name: getattr(current, name) for name in Leg.__slots__},
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
    hosting = Leg("hosting", "active", "absent", "world")
    email = Leg("email", "active", "absent", "world")
    storage = Leg("storage", "active", "absent", "world")
    legs = {leg.product_type: leg for leg in (email, hosting, storage)}
    assert [leg.product_type for leg in in_order(legs)] == ["hosting", "storage", "email"]
    assert [blocker(leg, legs) for leg in in_order(legs)] == [None, None, "hosting"]
    assert blocker(email, {"email": email}) is None
    skipped = Leg("hosting", "active", "absent", "world", stopped="skipped")
    assert blocker(email, legs | {"hosting": skipped}) is None
