"""Stripe is slow, rate limits, fails or drops the connection while a buyer orders."""

from typing import Any

from tests.faults.convergence import check_converged
from tests.faults.deployment import Deployment
from tests.faults.reliability_document import ReliabilityDocument
from tests.faults.response_log import OK, ResponseLog

SESSIONS = "/v1/checkout/sessions"

FAULTS: dict[str, dict[str, Any]] = {
    "slow (5 s)": {"kind": "hang", "seconds": 5},
    "429 with Retry-After: 2": {"kind": "status", "status": 429, "retry_after": 2},
    "500 on every attempt": {"kind": "status", "status": 500, "times": 3},
    "connection reset, twice": {"kind": "reset", "times": 2},
    "connection reset after the work is done": {"kind": "reset", "after_work": True},
}


async def test_stripe_fails_during_checkout(
    deployment: Deployment, document: ReliabilityDocument
) -> None:
    await deployment.start_web()
    await deployment.start_worker()
    for name, fault in FAULTS.items():
        deployment.responses = ResponseLog()
        await deployment.stripe.inject_fault(method="POST", path=SESSIONS, **fault)
        await deployment.wait_until_active(await deployment.buy())
        refused = [a for a in deployment.responses.all if a.kind == "order" and a.status != OK]
        assert {(a.status, bool(a.retry_after)) for a in refused} <= {(503, True)}
        document.record(
            f"Stripe at checkout: {name}",
            case=name,
            responses=deployment.responses,
            recovered="posting the same order again"
            if refused
            else f"not needed: the response takes {deployment.responses.slowest(OK):.1f} s",
        )
    await check_converged(deployment)
    sessions = await deployment.stripe_client.v1.checkout.sessions.list_async({"limit": 100})
    assert {one.status for one in sessions.data} == {"complete"}, "an order can be paid twice"
