"""A service with some of everything in it, and its document with real ids as examples."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from mpanel_billing.access.audit import Actor
from mpanel_billing.http.openapi.document import DOCUMENT
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.settings import Settings
from mpanel_billing.subscriptions.change_plan import change_plan
from mpanel_billing.subscriptions.item_changes import PlanRequest
from mpanel_billing.subscriptions.lifecycle import ChangeRequest
from mpanel_billing.subscriptions.lookup import CustomerRef
from mpanel_billing.subscriptions.manual_invoices import ManualInvoice, NewLine, draft_invoice
from mpanel_billing.subscriptions.one_off_charges import add_charge
from mpanel_billing.subscriptions.payers import PayerOf
from tests.inline_worker import InlineWorker
from tests.kept_domain import keep_domain, lose_domain
from tests.service import Service, make_settings


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return make_settings(
        database_url=settings.database_url.get_secret_value(),
        stripe_api_base=str(settings.stripe_api_base),
        rate_limit_wrong_keys="off",
    )


@dataclass(frozen=True)
class Inhabited:
    """The service, and examples for its routes."""

    service: Service
    examples: Mapping[str, Mapping[str, Any]]
    """By path: the values of its parameters, and its body."""

    def document(self) -> dict[str, Any]:
        """The service's document with examples, in which responses allow no undescribed keys."""
        assert self.service.client.app is not None
        document: dict[str, Any] = json.loads(self.service.client.app[DOCUMENT].json)
        for path, methods in document["paths"].items():
            for operation in methods.values():
                _give_examples(operation, self.examples.get(path, {}))
        for name, schema in document["components"]["schemas"].items():
            if name.endswith(("Response", "Schema")):
                schema["additionalProperties"] = False
        return document


def _give_examples(operation: dict[str, Any], examples: Mapping[str, Any]) -> None:
    for parameter in operation.get("parameters", ()):
        if parameter["name"] in examples:
            parameter["example"] = examples[parameter["name"]]
    if "requestBody" in operation and "body" in examples:
        operation["requestBody"]["content"]["application/json"]["example"] = examples["body"]


_BUYERS = ("ada", "grace", "mary", "alan", "kurt", "rosa", "emmy", "lise")


async def _buy(service: Service, order: dict[str, Any], name: str) -> dict[str, Any]:
    buyer = {"name": name, "email": f"{name}@example.com"}
    return await service.buy(order | {"customer": buyer})


async def _leave_a_draft(service: Service, worker: InlineWorker, order: dict[str, Any]) -> str:
    """Sell a subscription whose second term was left as a draft."""
    bought = await _buy(service, order, "olga")
    await worker.catch_up()
    api = worker.gateway.client.v1.subscriptions
    stripe_id = await _stripe_id(service, bought["subscriptionId"])
    await api.update_async(stripe_id, {"pause_collection": {"behavior": "keep_as_draft"}})
    await service.stripe.advance_time(await service.stripe.now() + 32 * 86_400)
    await api.update_async(stripe_id, {"pause_collection": ""})
    await worker.catch_up()
    return str(bought["subscriptionId"])


async def _end_two(
    service: Service, worker: InlineWorker, *, revived: str, left: str, new: str
) -> str:
    """End two subscriptions; `left` is paid late, and has its tenant returned.

    `new` is of the same customer as `left`.
    """
    for id_ in (revived, left):
        stripe_id = await _stripe_id(service, id_)
        await worker.gateway.client.v1.subscriptions.cancel_async(stripe_id)
    await service.pool.execute(
        "UPDATE subscriptions AS s SET customer_id = left_behind.customer_id"
        " FROM subscriptions AS left_behind WHERE left_behind.id::text = $1 AND s.id::text = $2",
        left,
        new,
    )
    await service.stripe.wait_idle()
    await worker.catch_up()
    await service.pool.execute(
        "UPDATE provisioning_work SET inputs = inputs || $2 WHERE subscription_id::text = $1",
        left,
        {"paidAfterEnd": [{"invoice": "in_late", "amount": 799, "currency": "usd"}]},
    )
    tenant: str = await service.pool.fetchval(
        "SELECT tenant_id::text FROM subscriptions WHERE id::text = $1", left
    )
    return tenant


async def _open_invoice(service: Service, worker: InlineWorker, id_: str) -> str:
    """Send a subscription's customer an invoice that is not due yet, and return our id of it."""
    customer = await service.pool.fetchval(
        "SELECT stripe_customer_id FROM subscriptions WHERE id::text = $1", id_
    )
    v1 = worker.gateway.client.v1
    await v1.invoice_items.create_async({"customer": customer, "amount": 500, "currency": "usd"})
    made = await v1.invoices.create_async(
        {
            "customer": customer,
            "collection_method": "send_invoice",
            "days_until_due": 14,
            "pending_invoice_items_behavior": "include",
        }
    )
    await v1.invoices.finalize_invoice_async(made.id)
    await worker.catch_up()
    found: str = await service.pool.fetchval(
        "SELECT id::text FROM invoices WHERE stripe_invoice_id = $1", made.id
    )
    return found


async def _draft_invoice(service: Service, worker: InlineWorker, customer: str) -> str:
    """Make the draft of an invoice by hand, and return our id of it."""
    mirror = Mirror(service.pool, worker.gateway, livemode=False)
    payer = PayerOf(CustomerRef(UUID(customer)), "usd")
    lines = [NewLine("Hours of support", 8000)]
    made = await draft_invoice(mirror, ManualInvoice(Actor("cli:grace@panel"), payer, lines))
    return str(made.invoice.id)


async def _dispute(service: Service, worker: InlineWorker, id_: str) -> str:
    """Let a bank dispute what was paid for a subscription, and return Stripe's id of that."""
    charge = await service.pool.fetchval(
        "SELECT c.stripe_charge_id FROM stripe_charges AS c JOIN subscriptions AS s"
        " USING (stripe_customer_id) WHERE s.id::text = $1 LIMIT 1",
        id_,
    )
    dispute = await service.stripe.dispute(charge)
    await worker.catch_up()
    return dispute


async def _charge(service: Service, worker: InlineWorker, id_: str) -> str:
    mirror = Mirror(service.pool, worker.gateway, livemode=False)
    request = ChangeRequest(Actor("cli:grace@panel"), UUID(id_), CustomerRef())
    return (await add_charge(mirror, request, NewLine("Work", 100), reason=None)).id


@dataclass(frozen=True)
class _Others:
    """Subscriptions of their own for what would be in the way of other examples."""

    planned: str
    ending: str
    pausing: str
    trials: tuple[str, str]


async def _change_others(service: Service, worker: InlineWorker, order: dict[str, Any]) -> _Others:
    """Sell them; one waits for a change at the end of its term, two are in a trial.

    The first trial has a coupon.
    """
    planned, ending, pausing = [
        (await _buy(service, order, name))["subscriptionId"] for name in ("vera", "ines", "olaf")
    ]
    trial = order | {"trialActive": True}
    reduced = trial | {"couponCode": "WELCOME10"}
    first, second = [
        (await _buy(service, body, name))["subscriptionId"]
        for name, body in (("jean", reduced), ("nora", trial))
    ]
    await worker.catch_up()
    mirror = Mirror(service.pool, worker.gateway, livemode=False)
    request = ChangeRequest(Actor("cli:grace@panel"), UUID(planned), CustomerRef())
    wanted = PlanRequest("premium", "monthly", when="period_end")
    await change_plan(mirror, worker.provisioning.drivers, request, wanted)
    return _Others(planned, ending, pausing, (first, second))


async def _offer_to_stay(service: Service, worker: InlineWorker) -> None:
    coupon: Any = {"id": "STAY", "percent_off": 10, "duration": "once"}
    await worker.gateway.client.v1.coupons.create_async(coupon)
    await service.pool.execute(
        "INSERT INTO coupons (code, name, percent_off, duration, retention, stripe_coupon_id,"
        " livemode) VALUES ('STAY', 'Stay', 10, 'once', TRUE, 'STAY', FALSE)"
    )


async def _stripe_id(service: Service, id_: str) -> str:
    stripe_id: str = await service.pool.fetchval(
        "SELECT stripe_subscription_id FROM subscriptions WHERE id::text = $1", id_
    )
    return stripe_id


@pytest.fixture
async def inhabited(service: Service, worker: InlineWorker, order_a: dict[str, Any]) -> Inhabited:
    """Subscriptions to look at, change, delete, collect, revive and adopt, and a failed event."""
    drafted = await _leave_a_draft(service, worker, order_a)
    orders = [await _buy(service, order_a, name) for name in _BUYERS]
    ids = [order["subscriptionId"] for order in orders]
    await worker.catch_up()
    await service.pool.execute("DELETE FROM subscriptions WHERE id::text = ANY($1)", ids[3:5])
    revived, left, new = ids[5:]
    tenant = await _end_two(service, worker, revived=revived, left=left, new=new)
    await service.pool.execute(
        "UPDATE stripe_events SET status = 'failed', last_error = 'fault', applied_at = NULL"
        " WHERE id = (SELECT min(id) FROM stripe_events)"
    )
    failed = await service.pool.fetchval("SELECT min(id) FROM stripe_events")
    invoice = await service.pool.fetchval(
        "SELECT id::text FROM invoices WHERE subscription_id::text = $1", ids[0]
    )
    customer = await service.pool.fetchval(
        "SELECT customer_id::text FROM subscriptions WHERE id::text = $1", ids[0]
    )
    tenant_of_first = await service.pool.fetchval(
        "SELECT tenant_id::text FROM subscriptions WHERE id::text = $1", ids[0]
    )
    attempt = await service.pool.fetchval(
        "INSERT INTO billing_audit_entries (actor, action, outcome, began_at) VALUES ('panel',"
        " 'customer.portal', 'attempted', now() - interval '1 hour') RETURNING id::text"
    )
    await service.pool.execute(
        "INSERT INTO billing_ignored_prices (stripe_price_id, reason, set_by)"
        " VALUES ('price_made_in_the_dashboard', 'no hosting', 'cli:grace@panel')"
    )
    await service.pool.execute(
        "INSERT INTO billing_leniency (subscription_id, grace_days, reason, set_by)"
        " SELECT unnest($1::uuid[]), 30, 'pays by cheque', 'cli:grace@panel'",
        [ids[0]],
    )
    await service.pool.execute(
        "INSERT INTO billing_servers (product_type, name, driver, weight)"
        " VALUES ('hosting', 'web1', 'log', 1)"
    )
    others = await _change_others(service, worker, order_a)
    await _offer_to_stay(service, worker)
    opened = [await _open_invoice(service, worker, ids[0]) for _ in range(2)]
    payer = {"customerId": customer, "currency": "usd"}
    new_invoice = {**payer, "lines": [{"description": "Migration", "unitAmount": 4900}]}
    credit = {**payer, "move": "add", "amount": 1, "reason": "For the outage of Monday."}
    draft = await _draft_invoice(service, worker, customer)
    dispute = await _dispute(service, worker, ids[2])
    disputing = await service.pool.fetchval(
        "SELECT customer_id::text FROM subscriptions WHERE id::text = $1", ids[2]
    )
    one_off = {"description": "Migration", "unitAmount": 4900}
    charge = await _charge(service, worker, ids[1])
    plan = {"planId": "premium", "billingCycle": "monthly"}
    domains = [
        await keep_domain(service.pool, customer, f"kept{number}.com") for number in range(3)
    ]
    lost = await lose_domain(service.pool, ids[0], "lost.com")
    choice = {"domain": {"mode": "register", "value": "lovelace.com"}, "firstYear": 1299}
    used = {"id": "web3-7f0c", "subscriptionId": ids[0], "meter": "traffic_gb", "quantity": 12}
    used |= {"timestamp": datetime.now(UTC).isoformat()}
    domain = "/api/billing/domains/{id}"
    billing = "/api/billing/subscriptions/{id}"
    admin = "/api/admin/subscriptions/{id}"
    deleted = "/api/admin/deleted-subscriptions/{id}"
    examples: dict[str, dict[str, Any]] = {
        "/api/checkout/create-session": {"body": order_a},
        "/api/checkout/quote": {"body": order_a},
        "/api/public/domains/check": {"name": "lovelace.org"},
        "/api/checkout/session/{session_id}": {"session_id": orders[0]["sessionId"]},
        "/api/public/checkout": {
            "body": {"planId": "starter", "term": "annually", "email": "kay@example.com"}
        },
        "/api/marketing-api/products/{id}": {"id": "starter"},
        "/api/billing/subscriptions": {"customerId": customer},
        billing: {"id": ids[0], "customerId": customer},
        f"{billing}/preview-change": {"id": ids[1], "body": plan},
        f"{billing}/change-plan": {"id": ids[1], "body": plan},
        f"{billing}/undo-change": {"id": others.planned, "body": {}},
        f"{billing}/preview-end": {"id": ids[1], "body": {"unusedTime": "refund"}},
        f"{billing}/end": {"id": others.ending, "body": {"feedback": "too_expensive"}},
        f"{billing}/preview-trial": {"id": others.trials[0], "body": {}},
        f"{billing}/trial": {"id": others.trials[1], "body": {"reason": "it was agreed"}},
        f"{billing}/preview-pause": {"id": ids[1], "body": {}},
        f"{billing}/pause": {"id": others.pausing, "body": {"reason": "a season without guests"}},
        f"{billing}/retention-offer": {"id": others.planned},
        f"{billing}/take-offer": {"id": ids[1], "body": {"reason": "stays for less"}},
        f"{billing}/preview-apply-coupon": {"id": ids[1], "body": {"couponCode": "WELCOME10"}},
        f"{billing}/apply-coupon": {"id": ids[1], "body": {"couponCode": "WELCOME10"}},
        f"{billing}/preview-remove-coupon": {
            "id": others.trials[0],
            "body": {"coupon": "WELCOME10"},
        },
        f"{billing}/remove-coupon": {"id": others.trials[0], "body": {"coupon": "WELCOME10"}},
        "/api/billing/customers/{id}/redemptions": {"id": customer, "customerId": customer},
        f"{billing}/cancel": {"id": ids[2], "body": {"reason": "too dear"}},
        f"{billing}/preview-resume": {"id": ids[2], "body": {}},
        f"{billing}/resume": {"id": ids[2], "body": {}},
        "/api/billing/tenants/{id}/entitlements": {"id": tenant_of_first},
        "/api/billing/customers/{id}/entitlements": {"id": customer, "customerId": customer},
        "/api/billing/invoices": {"customerId": customer, "body": new_invoice},
        "/api/billing/invoices/{id}": {"id": invoice, "customerId": customer},
        "/api/billing/invoices/{id}/refunds": {"id": invoice, "customerId": customer},
        "/api/billing/invoices/{id}/preview-refund": {"id": invoice, "body": {"amount": 1}},
        "/api/billing/invoices/{id}/refund": {"id": invoice, "body": {"amount": 1}},
        "/api/billing/invoices/{id}/credit-notes": {
            "id": invoice,
            "customerId": customer,
            "body": {"amount": 1, "to": "balance"},
        },
        "/api/billing/invoices/{id}/preview-credit-note": {
            "id": invoice,
            "body": {"amount": 1, "to": "balance"},
        },
        "/api/billing/invoices/{id}/details": {"id": invoice, "customerId": customer},
        "/api/billing/invoices/{id}/finalize": {"id": invoice, "body": {"reason": "it is due"}},
        "/api/billing/invoices/{id}/pay": {"id": invoice, "body": {"reason": "asked by phone"}},
        "/api/billing/invoices/{id}/mark-paid": {"id": invoice, "body": {"reason": "by cheque"}},
        "/api/billing/invoices/{id}/void": {"id": opened[0], "body": {"reason": "billed twice"}},
        "/api/billing/invoices/{id}/mark-uncollectible": {
            "id": opened[1],
            "body": {"reason": "insolvent"},
        },
        "/api/billing/invoices/{id}/pdf": {"id": invoice, "customerId": customer},
        "/api/billing/invoices/{id}/delete": {"id": draft, "body": {"reason": "a mistake"}},
        f"{billing}/usage": {"id": ids[0], "customerId": customer},
        f"{billing}/lift-usage-limit": {"id": ids[0], "body": {"reason": "an upgrade follows"}},
        "/api/billing/usage": {"body": {"records": [used]}},
        f"{billing}/upcoming-invoice": {"id": ids[0], "customerId": customer},
        f"{billing}/preview-charge": {"id": ids[1], "body": one_off},
        f"{billing}/charges": {"id": ids[1], "body": one_off},
        f"{billing}/charges/{{charge_id}}/withdraw": {"id": ids[1], "charge_id": charge},
        "/api/billing/balance": {"customerId": customer, "body": credit},
        "/api/billing/preview-balance": {"body": credit},
        "/api/billing/disputes": {"customerId": customer},
        "/api/billing/disputes/{id}": {"id": dispute, "customerId": disputing},
        "/api/billing/disputes/{id}/evidence": {
            "id": dispute,
            "body": {"fields": {"service_date": "2026-11-01"}},
        },
        "/api/billing/domains": {"customerId": customer},
        domain: {"id": domains[0], "customerId": customer},
        f"{domain}/auto-renew": {"id": domains[0], "body": {"autoRenew": True}},
        f"{domain}/renew": {"id": domains[0], "body": {}},
        f"{domain}/transfer-out": {"id": domains[0], "body": {}},
        f"{domain}/preview-replacement": {"id": lost, "body": {"domain": choice["domain"]}},
        f"{domain}/replace": {"id": lost, "body": choice},
        f"{domain}/release": {"id": domains[1], "body": {}},
        f"{domain}/move": {"id": domains[2], "body": {"subscriptionId": ids[0]}},
        "/api/billing/portal-session": {"body": {"customerId": customer}},
        "/api/admin/audit": {"target": ids[1]},
        "/api/admin/audit/{id}/settle": {
            "id": attempt,
            "body": {"outcome": "done", "reason": "seen at Stripe"},
        },
        "/api/admin/find": {"q": "ada@example.com"},
        "/api/admin/customers/{id}/notes": {"id": customer, "body": {"body": "pays by invoice"}},
        "/api/admin/events": {"status": "failed"},
        "/api/admin/events/{id}": {"id": failed},
        "/api/admin/events/{id}/replay": {"id": failed},
        f"{admin}/timeline": {"id": ids[0]},
        f"{admin}/retry": {"id": ids[0]},
        f"{admin}/suspend": {"id": ids[0], "body": {"reason": "abuse"}},
        f"{admin}/lift": {"id": ids[0]},
        f"{admin}/strict": {"id": ids[0], "body": {}},
        **{
            f"/api/admin/servers/{{name}}/{verb}": {"name": "web1", "body": {}}
            for verb in ("drain", "drained", "fill")
        },
        f"{admin}/services/{{product_type}}/skip": {"id": ids[0], "product_type": "hosting"},
        f"{admin}/collect-draft": {"id": drafted},
        f"{admin}/revive": {"id": revived},
        f"{admin}/keep-payment": {"id": left, "body": {"reason": "refunded by bank transfer"}},
        f"{admin}/adopt": {"id": new, "body": {"tenantId": tenant}},
        f"{deleted}/restore": {"id": ids[3]},
        f"{deleted}/cancel": {"id": ids[4], "body": {"refund": True}},
        "/api/admin/prices/{id}/heed": {"id": "price_made_in_the_dashboard"},
        "/api/admin/reconcile": {"body": {"dryRun": True, "sinceDays": 1}},
    }
    return Inhabited(service, examples)
