"""Refunds are mirrored in whatever order their events arrive."""

from itertools import permutations
from typing import Any

import pytest

from tests import stripe_objects as made
from tests.inbox import Inbox

T = 1_790_000_000
Told = tuple[str, str, int]


def refund(status: str = "succeeded", **more: Any) -> dict[str, Any]:
    """A refund; Stripe gives it no livemode."""
    return {
        "id": "re_1",
        "object": "refund",
        "amount": 500,
        "charge": "ch_1",
        "created": T,
        "currency": "usd",
        "metadata": {},
        "payment_intent": "pi_1",
        "reason": None,
        "status": status,
        **more,
    }


LIFE: tuple[Told, ...] = (
    ("refund.created", "pending", T),
    ("refund.updated", "succeeded", T + 5),
    ("refund.failed", "failed", T + 5),
)
"""The bank returns the money in the second in which it should have arrived."""


@pytest.mark.parametrize("sequence", list(permutations(LIFE)), ids=str)
async def test_a_refund_ends_in_the_same_state_in_any_order(
    inbox: Inbox, sequence: tuple[Told, ...]
) -> None:
    for type_, status, created in (*sequence, sequence[0]):
        await inbox.deliver(type_, refund(status), created=created)
    row = await inbox.row("SELECT * FROM stripe_refunds")
    assert (row["status"], row["amount"], row["livemode"]) == ("failed", 500, False)
    assert row["stripe_payment_intent_id"] == "pi_1"
    request = await inbox.row("SELECT object_id, reason FROM stripe_refetches")
    assert tuple(request) == ("ch_1", "a refund of it failed")


async def test_two_updates_of_one_second_are_refetched(inbox: Inbox) -> None:
    await inbox.deliver("refund.updated", refund(reason="duplicate"), created=T)
    await inbox.deliver("refund.updated", refund(reason="fraudulent"), created=T)
    request = await inbox.row("SELECT object_id, object_type FROM stripe_refetches")
    assert tuple(request) == ("re_1", "refund")


@pytest.mark.parametrize("wrong", [{"status": "lost"}, {"amount": None}, {"currency": "dollars"}])
async def test_a_refund_that_cannot_be_read_is_kept_as_failed(
    inbox: Inbox, wrong: dict[str, Any]
) -> None:
    assert await inbox.receive(made.event("refund.created", refund() | wrong)) == "failed"
    assert await inbox.pool.fetchval("SELECT count(*) FROM stripe_refunds") == 0
