"""The machine's clock is wrong by ten minutes: libfaketime, around web and worker."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.faults.convergence import check_converged
from tests.faults.deployment import Deployment
from tests.faults.reliability_document import ReliabilityDocument

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))

pytestmark = [
    pytest.mark.equipment,
    pytest.mark.skipif(not LIBRARIES, reason="needs Debian's libfaketime"),
]


TAKEN_FROM_WEBHOOKS = """
SELECT count(*) - coalesce((SELECT sum(found) FROM stripe_event_polls), 0) FROM stripe_events
"""
"""The worker stores what it finds in Stripe's list of events, as nothing was delivered."""


def shifted(seconds: int) -> Mapping[str, str]:
    """Return the environment of a process whose clock is that far ahead."""
    return {
        "LD_PRELOAD": str(LIBRARIES[0]),
        "FAKETIME": f"{seconds:+d}",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


@pytest.mark.parametrize("minutes", [10, -10])
async def test_a_clock_that_is_wrong(
    deployment: Deployment, document: ReliabilityDocument, minutes: int
) -> None:
    wrong = shifted(minutes * 60)
    web = await deployment.start_web(**wrong)
    await deployment.start_worker(**wrong)
    page = await deployment.wait_until_active(await deployment.buy())
    assert page["tenant"] is not None
    await web.wait_for("signature_too_old")
    attempts = [
        attempt["status"]
        for delivery in await deployment.stripe.deliveries()
        for attempt in delivery["attempts"]
    ]
    assert set(attempts) - {None} == {400}  # None: those of the catalogue, before all started
    assert await deployment.pool.fetchval(TAKEN_FROM_WEBHOOKS) == 0
    assert "clock" in await deployment.run_command("doctor", "--json", status=1, environment=wrong)
    assert await web.stop() == 0
    await deployment.start_web()
    await check_converged(deployment)
    assert deployment.responses.statuses() == {200}
    document.record(
        f"our clock {abs(minutes)} minutes {'ahead' if minutes > 0 else 'behind'} (web and worker)",
        deployment.responses,
        recovered="the success page asks Stripe; webhooks get 400 `signature_too_old` and are sent "
        "again until the clock is right, and `doctor` names it",
    )
