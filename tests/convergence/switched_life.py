"""A life that meets every switch of the sandbox which a mirror could notice."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import stripe

from stripe_sandbox.choices import SWITCHES
from tests.convergence.clocked import ClockedStripe

DAY = 86_400
PRICES: Mapping[str, tuple[int, str | None]] = {
    "monthly": (799, "month"), "bigger": (1999, "month"), "yearly": (9900, "year"),
    "domain": (1299, None),
}  # fmt: skip
BOUNCES, WAITS = "pm_card_chargeCustomerFail", "pm_usBankAccount_insufficientFunds"
ASKS = "pm_card_threeDSecure2Required"
DEBTOR = {"paymentMethodType": "us_bank_account", "accountNumber": "000123456789",
          "routingNumber": "110000000"}  # fmt: skip
SEE_OTHER = 303

OTHERS = {switch.name: switch.ways[1] for switch in SWITCHES}
NAMES = sorted(OTHERS)
HALVES = [{name: OTHERS[name] for name in NAMES[place::2]} for place in range(2)]
"""The switches the other way, in two parts: what one hides the other may show."""


class SwitchedLife:
    """Customers of a Stripe, on one clock, and the subscriptions that they have had."""

    def __init__(self, stripe: ClockedStripe, start: int) -> None:
        self._api = stripe.gateway.client.v1
        self._control = stripe.control
        self._start = start
        self._clock = ""
        self._prices: dict[str, str] = {}

    async def live(self) -> None:
        """Buy, change, pause, schedule, refund and end; what Stripe refuses does not happen."""
        await self._stock()
        for step in (
            self._try_without_a_card,
            self._follow_a_schedule,
            self._pause_and_resume,
            self._pay_by_debit,
            self._give_back,
            self._send_invoices,
            self._fail_to_authenticate,
            self._change_twice,
            self._end_scheduled,
            self._plan_a_pause,
            self._begin_in_the_past,
            self._pay_with_another_intent,
            self._use_a_meter,
            self._edit_a_draft,
            self._order_once,
        ):
            await step()
        for day in (32, 62, 90):
            await self._advance(day)

    async def _stock(self) -> None:
        clock = await self._api.test_helpers.test_clocks.create_async({"frozen_time": self._start})
        self._clock = clock.id
        product = await self._api.products.create_async({"name": "Starter"})
        for name, (amount, every) in PRICES.items():
            terms: Any = {"recurring": {"interval": every}} if every else {}
            price = await self._api.prices.create_async(
                {"currency": "usd", "product": product.id, "unit_amount": amount, **terms}
            )
            self._prices[name] = price.id
        await self._api.coupons.create_async({"id": "TEN", "percent_off": 10})

    async def _customer(self, method: str | None = "pm_card_visa") -> str:
        made = await self._api.customers.create_async({"test_clock": self._clock})
        if method:
            await self._use(made.id, method)
        return made.id

    async def _use(self, customer: str, method: str) -> str:
        card = await self._api.payment_methods.attach_async(method, {"customer": customer})
        settings: Any = {"invoice_settings": {"default_payment_method": card.id}}
        await self._api.customers.update_async(customer, settings)
        return card.id

    async def _subscribe(self, customer: str, **more: Any) -> stripe.Subscription:
        order: Any = {"customer": customer, "items": [{"price": self._prices["monthly"]}], **more}
        return await self._api.subscriptions.create_async(order)

    async def _advance(self, day: int) -> None:
        moment = self._start + day * DAY
        await self._api.test_helpers.test_clocks.advance_async(self._clock, {"frozen_time": moment})

    async def _try_without_a_card(self) -> None:
        pauses: Any = {"end_behavior": {"missing_payment_method": "pause"}}
        trial = await self._subscribe(
            await self._customer(None), trial_period_days=20, trial_settings=pauses
        )
        await self._api.subscriptions.update_async(trial.id, {"trial_end": "now"})

    async def _follow_a_schedule(self) -> None:
        held = await self._subscribe(await self._customer())
        plan = await self._api.subscription_schedules.create_async({"from_subscription": held.id})
        now = plan.phases[0]
        phases: Any = [
            {"items": [{"price": self._prices["monthly"]}], "start_date": now.start_date,
             "end_date": now.end_date},
            {"items": [{"price": self._prices["yearly"]}], "duration": {"interval": "month"},
             "add_invoice_items": [{"price": self._prices["domain"]}]},
        ]  # fmt: skip
        await self._api.subscription_schedules.update_async(plan.id, {"phases": phases})
        first: Any = [{"items": [{"price": self._prices["bigger"]}]}]
        await self._api.subscription_schedules.create_async(
            {"customer": await self._customer(), "start_date": "now", "phases": first}
        )

    async def _pause_and_resume(self) -> None:
        held = await self._subscribe(await self._customer())
        await self._api.subscriptions.pause_async(held.id)
        resumes: Any = {"payment_behavior": "resume_on_payment_success"}
        await self._api.subscriptions.resume_async(held.id, resumes)
        await self._advance(1)
        await self._api.subscriptions.pause_async(held.id)
        await self._advance(2)
        again = await self._api.subscriptions.resume_async(held.id)
        if again.status == "paused":
            await self._api.invoices.pay_async(str(again.latest_invoice))
        unpaid = await self._customer()
        await self._subscribe(unpaid, discounts=[{"coupon": "TEN"}])
        await self._use(unpaid, BOUNCES)

    async def _pay_by_debit(self) -> None:
        await self._subscribe(await self._customer(WAITS))
        await self._subscribe(await self._customer("pm_usBankAccount_success"))
        await self._advance(5)

    async def _give_back(self) -> None:
        customer = await self._customer()
        await self._subscribe(customer)
        [charge] = (await self._api.charges.list_async({"customer": customer})).data
        refund = await self._api.refunds.create_async({"charge": charge.id, "amount": 300})
        await self._control.fail_refund(refund.id)
        note: Any = {"invoice": await self._newest_invoice(customer), "amount": 200}
        await self._api.credit_notes.create_async({**note, "credit_amount": 200})

    async def _send_invoices(self) -> None:
        await self._subscribe(
            await self._customer(None), collection_method="send_invoice", days_until_due=3
        )

    async def _fail_to_authenticate(self) -> None:
        customer = await self._customer(ASKS)
        held = await self._subscribe(
            customer, payment_behavior="default_incomplete", expand=["latest_invoice.payments"]
        )
        invoice: Any = held.latest_invoice
        intent = invoice.payments.data[0].payment.payment_intent
        methods = await self._api.payment_methods.list_async({"customer": customer})
        await self._api.payment_intents.confirm_async(
            intent, {"payment_method": methods.data[0].id}
        )
        await self._control.finish_authentication(intent, succeed=False)

    async def _change_twice(self) -> None:
        customer = await self._customer()
        held = await self._subscribe(customer)
        old = await self._api.payment_methods.list_async({"customer": customer})
        await self._use(customer, BOUNCES)
        await self._api.payment_methods.detach_async(old.data[0].id)
        item = held["items"].data[0].id
        change: Any = {
            "items": [{"id": item, "price": self._prices["bigger"]}],
            "payment_behavior": "pending_if_incomplete",
            "proration_behavior": "always_invoice",
        }
        await self._api.subscriptions.update_async(held.id, change)

    async def _end_scheduled(self) -> None:
        held = await self._subscribe(await self._customer())
        await self._api.subscription_schedules.create_async({"from_subscription": held.id})
        await self._api.subscriptions.cancel_async(held.id)

    async def _newest_invoice(self, customer: str) -> str:
        return (await self._api.invoices.list_async({"customer": customer})).data[0].id

    async def _plan_a_pause(self) -> None:
        """Let a pause begin in one phase and end in the next, and another begin after the last."""
        for begins in (25, 68):
            held = await self._subscribe(await self._customer())
            plan = await self._api.subscription_schedules.create_async(
                {"from_subscription": held.id}
            )
            now = plan.phases[0]
            items: Any = [{"price": self._prices["monthly"]}]
            bigger: Any = [{"price": self._prices["bigger"]}]
            pause: Any = {"pause_at": _at(self._start + begins * DAY)}
            resume: Any = {"resume_at": _at(self._start + (begins + 15) * DAY)}
            await self._api.subscription_schedules.update_async(
                plan.id,
                {
                    "phases": [
                        {"items": items, "start_date": now.start_date, "end_date": now.end_date},
                        {"items": bigger, "duration": {"interval": "month"}},
                    ],
                    "pause_schedules": [{"pause": pause, "resume": resume}],
                },
            )

    async def _begin_in_the_past(self) -> None:
        await self._subscribe(await self._customer(), backdate_start_date=self._start - 40 * DAY)

    async def _pay_with_another_intent(self) -> None:
        customer = await self._customer()
        held = await self._subscribe(customer, payment_behavior="default_incomplete")
        intent = await self._api.payment_intents.create_async(
            {"amount": 799, "currency": "usd", "customer": customer, "confirm": True,
             "payment_method": "pm_card_visa", "off_session": True}
        )  # fmt: skip
        await self._api.invoices.attach_payment_async(
            str(held.latest_invoice), {"payment_intent": intent.id}
        )

    async def _use_a_meter(self) -> None:
        """Use something, badly too, and change to another interval."""
        customer, prices = await self._customer(), []
        meter = await self._api.billing.meters.create_async(
            {"display_name": "Calls", "event_name": "calls",
             "default_aggregation": {"formula": "sum"}}
        )  # fmt: skip
        product = await self._api.products.create_async({"name": "Calls"})
        for every in ("month", "year"):
            terms: Any = {"interval": every, "usage_type": "metered", "meter": meter.id}
            price = await self._api.prices.create_async(
                {"currency": "usd", "product": product.id, "unit_amount": 3, "recurring": terms}
            )
            prices.append(price.id)
        held = await self._subscribe(customer, items=[{"price": prices[0]}])
        for name in ("calls", "another"):
            payload = {"stripe_customer_id": customer, "value": "100"}
            event: Any = {"event_name": name, "payload": payload}
            with suppress(stripe.InvalidRequestError):
                await self._api.billing.meter_events.create_async(event)
        await self._advance(6)
        change: Any = {"items": [{"id": held["items"].data[0].id, "price": prices[1]}]}
        await self._api.subscriptions.update_async(held.id, change)

    async def _edit_a_draft(self) -> None:
        """Change what a draft bills of a subscription, and tax an amount that has no price."""
        customer = await self._customer()
        await self._subscribe(customer, collection_method="send_invoice", days_until_due=3)
        draft = await self._api.invoices.retrieve_async(await self._newest_invoice(customer))
        with suppress(stripe.InvalidRequestError):
            await self._api.invoices.update_lines_async(
                draft.id, {"lines": [{"id": draft.lines.data[0].id, "amount": 700}]}
            )
        item: Any = {"customer": customer, "amount": 500, "currency": "usd"}
        await self._api.invoice_items.create_async(item)
        bill: Any = {"customer": customer, "pending_invoice_items_behavior": "include"}
        with suppress(stripe.InvalidRequestError):
            await self._api.invoices.create_async({**bill, "automatic_tax": {"enabled": True}})

    async def _order_once(self) -> None:
        """Order at Checkout with a bank debit, which succeeds days later."""
        session = await self._api.checkout.sessions.create_async(
            {
                "mode": "payment",
                "customer": await self._customer(),
                "allowed_payment_method_types": ["us_bank_account"],
                "invoice_creation": {"enabled": True},
                "line_items": [{"price": self._prices["domain"], "quantity": 1}],
                "success_url": "https://shop.example/",
            }
        )
        paid = await self._control.pay(session.id, **DEBTOR)
        assert paid.status == SEE_OTHER, paid


def _at(moment: int) -> Any:
    return {"type": "timestamp", "timestamp": moment}
