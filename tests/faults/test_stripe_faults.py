"""Stripe is slow, refuses, breaks or hangs up while a buyer orders."""

from typing import Any

from tests.faults.convergence import check_converged
from tests.faults.journal import OK, Journal
from tests.faults.ledger import Ledger
from tests.faults.town import Town

SESSIONS = "/v1/checkout/sessions"

FAULTS: dict[str, dict[str, Any]] = {
    "slow (5 s)": {"kind": "hang", "seconds": 5},
    "429 with Retry-After: 2": {"kind": "status", "status": 429, "retry_after": 2},
    "500 on every attempt": {"kind": "status", "status": 500, "times": 3},
    "connection reset, twice": {"kind": "reset", "times": 2},
    "connection reset after the work is done": {"kind": "reset", "after_work": True},
}


async def test_stripe_fails_during_checkout(town: Town, ledger: Ledger) -> None:
    await town.start_web()
    await town.start_worker()
    for name, fault in FAULTS.items():
        town.journal = Journal()
        await town.stripe.inject_fault(method="POST", path=SESSIONS, **fault)
        await town.follow(await town.buy())
        refused = [a for a in town.journal.answers if a.kind == "order" and a.status != OK]
        assert {(a.status, bool(a.retry_after)) for a in refused} <= {(503, True)}
        ledger.enter(
            f"Stripe at checkout: {name}",
            case=name,
            journal=town.journal,
            recovered="posting the same order again"
            if refused
            else f"not needed: the response takes {town.journal.slowest(OK):.1f} s",
        )
    await check_converged(town)
    sessions = await town.stripe_client.v1.checkout.sessions.list_async({"limit": 100})
    assert {one.status for one in sessions.data} == {"complete"}, "an order can be paid twice"
