"""The doctor tells Stripe's settings for failed payments from what has happened."""

from typing import Any

import pytest

from mpanel_billing.doctor.dunning import GivenUp, check_dunning, judge_dunning
from mpanel_billing.doctor.finding import Status
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from tests.service import Service
from tests.subscriptions.conftest import NO_FUNDS_LATER

OK, WARNING = Status.OK, Status.WARNING
CANCELED = GivenUp("canceled", 4, 21.0)


@pytest.mark.parametrize(
    ("found", "status", "words"),
    [
        ([], OK, "no subscription has used up"),
        ([CANCELED, CANCELED, GivenUp("unpaid", 4)], OK, "after 4 attempts (2 of 3 lately)"),
        ([GivenUp("canceled", 3, 5.2)], WARNING, "before GRACE_DAYS (7) are over"),
        ([CANCELED, GivenUp("unpaid", 8), GivenUp("unpaid", 4)], WARNING, "unpaid after 8"),
        ([GivenUp("past_due", 4)], WARNING, "leaves subscriptions past_due"),
    ],
)
def test_what_happens_to_a_customer_who_does_not_pay_is_said(
    found: list[GivenUp], status: Status, words: str
) -> None:
    finding = judge_dunning(found, 7, 30)
    assert finding.status is status
    assert words in finding.detail


async def test_a_subscription_that_stripe_gave_up_is_read(
    service: Service, gateway: StripeGateway, order_a: dict[str, Any]
) -> None:
    (finding,) = await check_dunning(gateway, service.settings)
    assert "no subscription has used up" in finding.detail
    await service.buy(order_a | {"trialActive": True}, NO_FUNDS_LATER)
    await service.stripe.advance_time(await service.stripe.now() + 75 * 86_400)
    (finding,) = await check_dunning(gateway, service.settings)
    assert "Stripe cancels after 4 attempts (1 of 1 lately)" in finding.detail, finding
