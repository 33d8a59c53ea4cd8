"""The buyer is charged what the page promised (rule 10), to the cent."""

from typing import Any

import pytest

from tests.service import Service

STARTER, PREMIUM_YEAR, BACKUPS, SUPPORT_YEAR, COM, ORG = 799, 4188, 499, 23988, 1299, 1399


def domain_item(name: str) -> dict[str, Any]:
    return {"type": "domain", "domain": name}


def domain(name: str, mode: str = "new-or-transfer") -> dict[str, Any]:
    return {"mode": mode, "value": name}


def less_ten_percent(amount: int) -> int:
    return amount - round(amount / 10)


@pytest.mark.parametrize(
    ("change", "promised"),
    [
        ({}, STARTER + BACKUPS),
        ({"domain": domain("a.com")}, STARTER + BACKUPS + COM),
        ({"domain": domain("a.com", "existing")}, STARTER + BACKUPS),
        ({"couponCode": "WELCOME10"}, less_ten_percent(STARTER + BACKUPS)),
        (
            {"couponCode": "WELCOME10", "domain": domain("a.com")},
            less_ten_percent(STARTER + BACKUPS + COM),
        ),
        (
            {
                "planId": "premium",
                "billingCycle": "yearly",
                "addonIds": ["addon-priority-support"],
                "cartItems": [domain_item("a.com"), domain_item("b.org"), domain_item("a.com")],
            },
            PREMIUM_YEAR + SUPPORT_YEAR + ORG,
        ),
        ({"planId": "student", "addonIds": []}, 0),
    ],
)
async def test_the_first_invoice_is_what_was_promised(
    service: Service, order_a: Any, change: dict[str, Any], promised: int
) -> None:
    await service.buy(order_a | change)
    invoice = await service.row("SELECT amount_paid, amount_remaining FROM invoices")
    assert tuple(invoice) == (promised, 0)


async def test_under_a_trial_nothing_is_charged_and_the_sum_is_stated(
    service: Service, order_a: Any
) -> None:
    trial = {"trialActive": True, "domain": domain("a.com"), "couponCode": "WELCOME10"}
    response = await service.order(order_a | trial)
    async with service.client.session.get(response["url"]) as page:
        shown = await page.text()
    assert "$23.37" in shown
    paid = await service.stripe.pay(response["url"])
    assert paid.status == 303
    await service.stripe.wait_idle()
    assert await service.pool.fetchval("SELECT sum(amount_paid) FROM invoices") == 0
    row = await service.row("SELECT status, stripe_status FROM subscriptions")
    assert tuple(row) == ("pending", "trialing")
