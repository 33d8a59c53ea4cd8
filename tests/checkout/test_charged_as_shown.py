"""What is charged, at once or when a trial ends, is what was shown, to the cent (rule 10)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import ClientSession

from mpanel_billing.catalogue.file import parse_catalogue
from mpanel_billing.catalogue.order import PricedOrder
from mpanel_billing.catalogue.pricing import price_order
from mpanel_billing.catalogue.push import push_catalogue
from mpanel_billing.catalogue.repository import load_catalogue
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.checkout.cart import read_order
from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.http.schemas.checkout import CheckoutRequest
from mpanel_billing.resources import DEFAULT_CATALOGUE
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from tests.inline_worker import InlineWorker
from tests.postgres import Stocked
from tests.service import Service
from tests.stocks import Stocks

HOUR, DAY = 3600, 86_400

STARTER = "prices = { monthly = 799, annually = 2988, biennially = 4776, triennially = 5364 }\n"
SOLD_ABROAD = (
    "prices_in = { eur = { monthly = 749, annually = 2799 }, jpy = { monthly = 1199 } }\n"
    "setup_fee = 2500\n"
    "setup_fee_in = { eur = 2300, jpy = 0 }\n"
)
COM = 'name = ".com domain, one year"\n'
COM_ABROAD = "price_in = { eur = 1199, jpy = 1999 }\n"


@pytest.fixture
def offers(shop_abroad: Stocked) -> None:
    """The default catalogue, with a setup fee, and sold in other currencies too."""


@pytest.fixture(scope="session")
def shop_abroad(stocks: Stocks, stocked: Stocked) -> Stocked:
    """What `offers` says: a stock."""
    return stocks.filled("abroad", stocked, _sell_abroad)[0]


async def _sell_abroad(worker: InlineWorker) -> None:
    pool = worker.service.pool
    text = DEFAULT_CATALOGUE.read_text()
    assert STARTER in text
    assert COM in text
    text = text.replace(STARTER, STARTER + SOLD_ABROAD).replace(COM, COM + COM_ABROAD)
    await apply_catalogue(pool, parse_catalogue(text))
    await push_catalogue(pool, StripeCatalogue(worker.gateway.client), livemode=False)


@dataclass
class Sale:
    """A paid order, what the storefront has shown for it, and when its first period ends.

    That is the end of the trial where there is one.
    """

    service: Service
    worker: InlineWorker
    shown: PricedOrder
    stripe_id: str
    end: int

    async def let_it_end(self, after: int = 2 * HOUR) -> None:
        """Let the first period end; a renewal is collected within two hours."""
        await self.service.stripe.advance_time(self.end + after)
        await self.worker.catch_up()

    async def totals(self) -> list[int]:
        """Return what each invoice came to, oldest first; all of them are paid."""
        stripe = self.worker.gateway.client.v1
        page = await stripe.invoices.list_async({"subscription": self.stripe_id, "limit": 100})
        assert all(invoice.amount_remaining == 0 for invoice in page.data)
        return [invoice.amount_paid for invoice in reversed(page.data)]

    async def mirrored(self) -> list[int]:
        """Return the same from our rows."""
        rows = await self.service.pool.fetch(
            "SELECT amount_paid FROM invoices ORDER BY stripe_created, stripe_invoice_id"
        )
        return [row["amount_paid"] for row in rows]

    async def pending(self) -> int:
        """Count what waits at Stripe for the next invoice."""
        stripe = self.worker.gateway.client.v1
        return len((await stripe.invoice_items.list_async({"pending": True})).data)

    async def update(self, **params: Any) -> None:
        stripe = self.worker.gateway.client.v1
        await stripe.subscriptions.update_async(self.stripe_id, params)  # type: ignore[arg-type]


async def show_price(pool: Pool, body: dict[str, Any]) -> PricedOrder:
    """Price an order as the storefront does."""
    async with acquired(pool) as conn:
        catalogue = await load_catalogue(conn, livemode=False)
    return price_order(
        catalogue, read_order(CheckoutRequest.model_validate(body).to_selection(), catalogue)
    )


Sell = Callable[..., Awaitable[Sale]]


@pytest.fixture
def begin(service: Service, worker: InlineWorker, order_a: dict[str, Any]) -> Sell:
    """Order and pay, with a trial by default, and let the worker do its part."""

    async def begin(**change: Any) -> Sale:
        body = order_a | {"trialActive": True} | change
        shown = await show_price(service.pool, body)
        response = await service.buy(body)
        await worker.catch_up()
        row = await service.row(
            "SELECT stripe_subscription_id, current_period_end FROM subscriptions"
            " WHERE id::text = $1",
            response["subscriptionId"],
        )
        end = int(row["current_period_end"].timestamp())
        return Sale(service, worker, shown, row["stripe_subscription_id"], end)

    return begin


def domain(name: str, mode: str = "new-or-transfer") -> dict[str, Any]:
    return {"mode": mode, "value": name}


LATER = domain("", "later")
WELCOME = "WELCOME10"
BACKUPS, SSL = "addon-backups-daily", "addon-ssl-premium"


ORDERS: list[dict[str, Any]] = [
    {"addonIds": [], "domain": LATER},
    {"addonIds": [BACKUPS], "domain": LATER, "couponCode": WELCOME},
    {"addonIds": [], "domain": domain("ada.com")},
    {"addonIds": [BACKUPS], "domain": domain("ada.com"), "couponCode": WELCOME},
    {"addonIds": [BACKUPS], "domain": domain("ada.com", "existing"), "couponCode": WELCOME},
    {"addonIds": [], "domain": domain("ada.org", "transfer"), "couponCode": WELCOME},
    {"billingCycle": "annually", "addonIds": [BACKUPS, SSL], "domain": domain("ada.com")},
    {
        "billingCycle": "yearly",
        "domain": domain("ada.com"),
        "cartItems": [{"type": "domain", "domain": "b.net"}],
        "couponCode": WELCOME,
    },
    {"billingCycle": "biennially", "domain": LATER, "couponCode": WELCOME},
    {"billingCycle": "threeYears", "domain": domain("ada.org"), "couponCode": WELCOME},
    {"currency": "eur", "addonIds": [], "domain": domain("ada.com"), "couponCode": WELCOME},
    {"currency": "jpy", "addonIds": [], "domain": domain("ada.com"), "couponCode": WELCOME},
]


@pytest.mark.parametrize("change", ORDERS, ids=str)
async def test_the_invoice_after_the_trial_is_what_was_shown(
    begin: Sell, change: dict[str, Any]
) -> None:
    trial = await begin(**change)
    assert trial.shown.due_after_trial > 0
    await trial.let_it_end()
    assert await trial.totals() == [0, trial.shown.due_after_trial]
    assert await trial.mirrored() == await trial.totals()
    assert await trial.pending() == 0


@pytest.mark.parametrize("change", ORDERS, ids=str)
async def test_without_a_trial_the_first_invoice_and_the_renewal_are_what_was_shown(
    begin: Sell, change: dict[str, Any]
) -> None:
    sale = await begin(trialActive=False, **change)
    assert await sale.totals() == [sale.shown.due_today]
    await sale.let_it_end()
    assert await sale.totals() == [sale.shown.due_today, sale.shown.recurring_total]
    assert await sale.mirrored() == await sale.totals()


async def test_what_is_charged_once_is_charged_once(
    begin: Sell,
) -> None:
    trial = await begin(domain=domain("ada.com"), couponCode=WELCOME)
    await trial.let_it_end(after=35 * DAY)
    each_term = trial.shown.recurring_total
    assert await trial.totals() == [0, trial.shown.due_after_trial, each_term]


async def test_whatever_is_delivered_twice_and_late_is_charged_once(
    begin: Sell, service: Service
) -> None:
    await service.stripe.set_delivery(duplicate=True, reorder=True)
    trial = await begin(domain=domain("ada.com"), couponCode=WELCOME)
    await service.pool.execute("UPDATE provisioning_work SET wake_at = now()")
    await trial.worker.catch_up()
    await trial.let_it_end()
    assert await trial.totals() == [0, trial.shown.due_after_trial]


async def end_with_period(trial: Sale) -> None:
    await trial.update(cancel_at_period_end=True)


async def end_at_a_moment(trial: Sale) -> None:
    await trial.update(cancel_at=trial.end - DAY)


async def end_in_the_portal(trial: Sale) -> None:
    await press_in_portal(trial, "cancel")


async def end_at_once(trial: Sale) -> None:
    await trial.worker.gateway.client.v1.subscriptions.cancel_async(trial.stripe_id)


async def delete_the_customer(trial: Sale) -> None:
    stripe = trial.worker.gateway.client.v1
    subscription = await stripe.subscriptions.retrieve_async(trial.stripe_id)
    await stripe.customers.delete_async(str(subscription.customer))


async def press_in_portal(trial: Sale, action: str) -> None:
    """Press a button of the customer portal."""
    stripe = trial.worker.gateway.client.v1
    subscription = await stripe.subscriptions.retrieve_async(trial.stripe_id)
    portal = await stripe.billing_portal.sessions.create_async(
        {"customer": str(subscription.customer), "return_url": "https://panel.test/account"}
    )
    form = {"subscription": trial.stripe_id, "action": action}
    async with ClientSession() as browser, browser.post(portal.url, data=form) as page:
        assert page.status == 200


@pytest.mark.parametrize(
    "end",
    [end_with_period, end_at_a_moment, end_in_the_portal, end_at_once, delete_the_customer],
)
async def test_a_trial_that_is_cancelled_in_whatever_way_costs_nothing(
    begin: Sell, end: Callable[[Sale], Awaitable[None]]
) -> None:
    trial = await begin(domain=domain("ada.com"), couponCode=WELCOME)
    assert await trial.pending() == 2
    await end(trial)
    await trial.worker.catch_up()
    assert await trial.pending() == 0
    await trial.let_it_end(after=40 * DAY)
    assert set(await trial.mirrored()) == {0}
    row = await trial.service.row("SELECT stripe_status, status FROM subscriptions")
    assert tuple(row) == ("canceled", "cancelled")


async def test_a_trial_that_is_cancelled_and_resumed_costs_what_was_shown(
    begin: Sell,
) -> None:
    trial = await begin(domain=domain("ada.com"), couponCode=WELCOME)
    for action in ("cancel", "keep"):
        await press_in_portal(trial, action)
        await trial.worker.catch_up()
    await trial.let_it_end()
    assert await trial.totals() == [0, trial.shown.due_after_trial]


async def test_an_end_after_the_trial_takes_nothing_off_its_invoice(
    begin: Sell,
) -> None:
    trial = await begin(domain=domain("ada.com"), couponCode=WELCOME)
    await trial.update(cancel_at=trial.end + 20 * DAY)
    await trial.worker.catch_up()
    assert await trial.pending() == 2
    await trial.let_it_end()
    assert await trial.totals() == [0, trial.shown.due_after_trial]


async def test_an_end_that_is_moved_into_the_trial_takes_all_off_its_invoice(
    begin: Sell,
) -> None:
    trial = await begin(domain=domain("ada.com"), couponCode=WELCOME)
    for cancel_at in (trial.end + 20 * DAY, trial.end):
        await trial.update(cancel_at=cancel_at)
        await trial.worker.catch_up()
    assert await trial.pending() == 0
