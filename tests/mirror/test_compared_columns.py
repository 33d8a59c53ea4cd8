"""Reconcile finds and repairs a wrong value in every mirrored column, but those listed here."""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from mpanel_billing.database.pool import Pool
from mpanel_billing.database.queries import load_queries
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.mirror.mirrored_type import MirroredType
from mpanel_billing.mirror.repository import list_compared
from mpanel_billing.mirror.types import MIRRORED, normalise
from mpanel_billing.reconciliation.compare import ReconcileContext, compare_object, differences
from mpanel_billing.resources import SQL
from mpanel_billing.stripe_gateway.objects import Fetched, Resource
from tests import stripe_objects as made
from tests.inbox import Inbox
from tests.mirror.test_types import TAX_ID, TAX_RATE
from tests.provisioning.latest_stripe import LatestStripe
from tests.provisioning.world import World

NOW = 1_790_000_000

COUPON = {
    "id": "WELCOME",
    "object": "coupon",
    "name": "Welcome",
    "amount_off": 100,
    "currency": "usd",
    "duration": "repeating",
    "applies_to": {"products": ["prod_web"]},
}
PERCENT = {"id": "TEN", "object": "coupon", "name": "Ten", "percent_off": 10, "duration": "forever"}


def discount(id_: str, coupon: Mapping[str, Any], end: int | None) -> dict[str, Any]:
    source = {"type": "coupon", "coupon": coupon}
    return {"id": id_, "object": "discount", "source": source, "start": NOW, "end": end}


def priced(subscription: dict[str, Any]) -> dict[str, Any]:
    for item in subscription["items"]["data"]:
        item["price"]["product"] = "prod_web"
    return subscription


SAMPLES: Mapping[str, Mapping[str, Any]] = {
    "customer": {
        "id": "cus_1",
        "object": "customer",
        "email": "ada@example.com",
        "name": "Ada",
        "currency": "usd",
        "balance": -500,
        "invoice_credit_balance": {"usd": 500},
    },
    "subscription": priced(
        made.subscription(
            status="paused",
            status_details={
                "paused": {
                    "subscription": {"type": "pause_requested"},
                    "transitioned_at": NOW + 60,
                }
            },
            pause_collection={"behavior": "void"},
            schedule="sub_sched_1",
            pending_update={"expires_at": NOW + 5},
            start_date=NOW - 1,
            trial_end=NOW + 1,
            cancel_at=NOW + 2,
            canceled_at=NOW + 3,
            ended_at=NOW + 4,
            cancellation_details={"reason": "payment_failed", "feedback": "unused"},
            discounts=[
                discount("di_1", COUPON, NOW + 86_400),
                discount("di_2", PERCENT, None),
            ],
        )
    ),
    "invoice": made.invoice(
        collection_method="send_invoice",
        auto_advance=True,
        last_finalization_error={"message": "no address"},
        next_payment_attempt=NOW + 1,
        due_date=NOW + 2,
        total_taxes=[{"amount": 99}],
        status_transitions={"finalized_at": NOW + 3, "paid_at": NOW + 4, "voided_at": NOW + 5},
    ),
    "invoice_payment": made.invoice_payment() | {"currency": "usd"},
    "refund": {
        "id": "re_1",
        "object": "refund",
        "amount": 500,
        "currency": "usd",
        "status": "succeeded",
        "reason": "duplicate",
        "failure_reason": "lost_or_stolen_card",
        "payment_intent": "pi_1",
        "charge": "ch_1",
        "created": NOW,
    },
    "charge": {
        "id": "ch_1",
        "object": "charge",
        "amount": 500,
        "amount_captured": 500,
        "amount_refunded": 100,
        "currency": "usd",
        "customer": "cus_1",
        "failure_code": "card_declined",
        "outcome": {"reason": "insufficient_funds"},
        "payment_intent": "pi_1",
        "payment_method_details": {
            "card": {"brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2030}
        },
        "status": "succeeded",
        "created": NOW,
    },
    "credit_note": {
        "id": "cn_1",
        "object": "credit_note",
        "total": 500,
        "post_payment_amount": 400,
        "out_of_band_amount": 50,
        "refunds": [{"amount_refunded": 150, "refund": "re_1"}],
        "currency": "usd",
        "customer": "cus_1",
        "invoice": "in_1",
        "memo": "Sorry.",
        "number": "A-1-CN-01",
        "pdf": "https://stripe.test/cn_1/pdf",
        "reason": "duplicate",
        "status": "issued",
        "total_taxes": [{"amount": 80}],
        "voided_at": NOW + 5,
        "created": NOW,
    },
    "dispute": {
        "id": "du_1",
        "object": "dispute",
        "amount": 500,
        "balance_transactions": [{"fee": 1500, "currency": "usd"}],
        "charge": "ch_1",
        "currency": "usd",
        "evidence_details": {"due_by": NOW + 1, "has_evidence": True, "submission_count": 1},
        "is_charge_refundable": True,
        "payment_intent": "pi_1",
        "reason": "fraudulent",
        "status": "needs_response",
        "created": NOW,
    },
    "radar.early_fraud_warning": {
        "id": "issfr_1",
        "object": "radar.early_fraud_warning",
        "actionable": True,
        "charge": "ch_1",
        "payment_intent": "pi_1",
        "fraud_type": "made_with_stolen_card",
        "created": NOW,
    },
    "tax_id": {
        **TAX_ID,
        "verification": {
            "status": "verified",
            "verified_name": "Ada GmbH",
            "verified_address": "Berlin",
        },
    },
    "tax_rate": TAX_RATE,
}
"""An object of each compared type that has a value for every column."""

TABLES: Mapping[str, tuple[str, ...]] = {
    "subscription": ("subscriptions", "subscription_items", "subscription_discounts"),
    "customer": ("stripe_customers", "stripe_customer_balances"),
    "invoice": ("invoices",),
    "invoice_payment": ("invoice_payments",),
    "refund": ("stripe_refunds",),
    "charge": ("stripe_charges",),
    "credit_note": ("stripe_credit_notes",),
    "dispute": ("stripe_disputes",),
    "radar.early_fraud_warning": ("stripe_fraud_warnings",),
    "tax_id": ("stripe_tax_ids",),
    "tax_rate": ("stripe_tax_rates",),
}

FACTS = {
    ("invoices", "due_at"): "due_date",
    ("invoices", "paid_date"): "paid_at",
}
"""Columns whose facts have another name."""

OUR_OWN = {
    "id": "the row's own id, or Stripe's where that is the key",
    "subscription_id": "which of our rows it belongs to",
    "customer_id": "which of our rows it belongs to",
    "tenant_id": "which of our rows it belongs to",
    "billing_provider": "the same for all that Stripe bills",
    "stripe_as_of_since": "how old what is known is",
    "stripe_as_of": "how old what is known is",
    "stripe_event_id": "where what is known comes from",
    "created_at": "when the row was made",
    "fetched": "whether Stripe was asked",
}

LEFT_OUT = {
    "subscriptions.status": "derived from all that is mirrored, and moved by the worker",
    "subscriptions.stripe_subscription_id": "the key of the object",
    "subscriptions.initial_payment_settled": "derived from invoices and sessions",
    "subscriptions.price": "written with the amount that it is made of",
    "subscriptions.next_due_date": "written with the end of the term that it is made of",
    "subscriptions.auto_renew": "a constraint holds it",
    "subscriptions.entitlement": "written with the columns that it is made of; pauses are below",
    "subscription_items.price_id": "a link to the catalogue, which may be later than the item",
    "subscription_items.stripe_subscription_item_id": "the key: another is an item too many",
    "subscription_discounts.stripe_discount_id": "the key: another is a discount too many",
    "subscription_discounts.stripe_subscription_item_id": "part of the key",
    "stripe_customer_balances.stripe_customer_id": "part of the key",
    "stripe_customer_balances.currency": "the key: another is a balance too many",
    "invoices.invoice_number": "made of the id, once",
    "invoices.due_date": "written with due_at, which has it to the second",
    "invoices.stripe_invoice_id": "the key of the object",
    "invoice_payments.stripe_invoice_payment_id": "the key of the object",
    "invoices.amount_refunded": "a sum of mirrored refunds",
    "invoices.amount_credited": "a sum of mirrored credit notes",
    "invoices.amount_disputed": "a sum of mirrored disputes",
    "invoices.disputed_since": "of mirrored disputes",
    "stripe_refunds.stripe_refund_id": "the key of the object",
    "stripe_charges.stripe_charge_id": "the key of the object",
    "stripe_credit_notes.stripe_credit_note_id": "the key of the object",
    "stripe_disputes.stripe_dispute_id": "the key of the object",
    "stripe_fraud_warnings.stripe_fraud_warning_id": "the key of the object",
    "stripe_tax_ids.stripe_tax_id_id": "the key of the object",
    "stripe_tax_rates.stripe_tax_rate_id": "the key of the object",
}
"""Columns that a snapshot writes and reconcile does not compare, with the reason."""

WRONG: Mapping[str, str] = {
    "text": "'wrong'",
    "character varying": "'wrong'",
    "bigint": "7",
    "integer": "7",
    "smallint": "7",
    "numeric": "3",
    "boolean": "NOT coalesce({column}, FALSE)",
    "date": "'2001-01-01'",
    "timestamp with time zone": "'2001-01-01'",
    "timestamp without time zone": "'2001-01-01'",
    "ARRAY": "'{{wrong}}'",
    "jsonb": "'{{}}'",
}
ALLOWED = {
    ("subscriptions", "stripe_status"): "'active'",
    ("subscriptions", "currency"): "'eur'",
    ("subscription_items", "currency"): "'eur'",
    ("subscription_items", "recurring_interval"): "'year'",
    ("subscription_discounts", "currency"): "'eur'",
    ("invoices", "stripe_status"): "'open'",
    ("invoices", "currency"): "'EUR'",
    ("invoice_payments", "status"): "'canceled'",
    ("invoice_payments", "currency"): "'eur'",
    ("stripe_refunds", "status"): "'pending'",
    ("stripe_refunds", "currency"): "'eur'",
    ("stripe_charges", "currency"): "'eur'",
    ("stripe_charges", "status"): "'failed'",
    ("stripe_credit_notes", "currency"): "'eur'",
    ("stripe_credit_notes", "status"): "'void'",
    ("stripe_disputes", "currency"): "'eur'",
    ("stripe_disputes", "fee_currency"): "'eur'",
    ("stripe_disputes", "status"): "'won'",
    ("stripe_tax_ids", "verification"): "'unverified'",
}
"""Wrong values that the constraints of a column allow."""


class Samples(LatestStripe):
    """A Stripe that has the samples."""

    async def fetch(self, resource: Resource, object_id: str) -> Fetched:
        at = datetime.fromtimestamp(self.next_second(), UTC)
        return Fetched(next(o for o in SAMPLES.values() if o["id"] == object_id), at, at)


@pytest.fixture
async def context(pool: Pool) -> AsyncIterator[ReconcileContext]:
    async with Samples(lambda: datetime.now(UTC)) as stripe:
        yield ReconcileContext(Mirror(pool, stripe, livemode=False), World().drivers())


def written_columns(mirrored: MirroredType[Any]) -> Iterator[tuple[str, str]]:
    """Yield table and column of what a snapshot of the type writes in its tables."""
    query = load_queries(mirrored.query_file).by_name["write_snapshots"]
    routine = re.search(r"billing_write_\w+", query.sql)
    assert routine
    text = (SQL / "routines" / f"{routine[0]}.sql").read_text()
    for table, columns in re.findall(r"INSERT INTO (\w+)(?: AS \w+)? \(([^)]*)\)", text):
        if table in TABLES[mirrored.object_type]:
            yield from ((table, column.strip()) for column in columns.split(","))


COMPARED = [mirrored for mirrored in MIRRORED if mirrored.comparison]
each_type = pytest.mark.parametrize("mirrored", COMPARED, ids=lambda each: each.object_type)


@each_type
def test_a_fact_that_is_not_compared_has_a_reason(mirrored: MirroredType[Any]) -> None:
    assert mirrored.comparison
    facts = normalise(SAMPLES[mirrored.object_type], livemode=False)
    for name, reason in mirrored.comparison.left_out.items():
        assert hasattr(facts, name), name
        assert reason, name


@each_type
async def test_a_wrong_value_in_any_column_is_found_and_repaired(
    inbox: Inbox, context: ReconcileContext, mirrored: MirroredType[Any]
) -> None:
    assert mirrored.comparison
    sample = SAMPLES[mirrored.object_type]
    id_ = sample["id"]
    await inbox.deliver(max(mirrored.event_types), sample, created=NOW)
    await context.mirror.refresh(mirrored.object_type, id_)
    assert await found(inbox.pool, mirrored, id_) == []
    known = set(mirrored.comparison.left_out)
    for table, column in sorted(set(written_columns(mirrored))):
        place = f"{table}.{column}"
        if FACTS.get((table, column), column) in known | OUR_OWN.keys() or place in LEFT_OUT:
            continue
        await spoil(inbox.pool, table, column)
        assert await found(inbox.pool, mirrored, id_), f"{place} is neither compared nor listed"
        drift = await compare_object(context, mirrored.object_type, id_)
        assert [each.repaired for each in drift], place
        assert await found(inbox.pool, mirrored, id_) == [], f"{place} is not repaired"


@pytest.mark.parametrize("key", ["pausedBy", "termStart"])
async def test_what_only_the_entitlement_has_of_a_pause_is_compared(
    inbox: Inbox, context: ReconcileContext, key: str
) -> None:
    await context.mirror.refresh("subscription", "sub_1")
    await inbox.pool.execute(
        "UPDATE subscriptions SET entitlement = entitlement || jsonb_build_object($1::text, NULL)",
        key,
    )
    (drift,) = await compare_object(context, "subscription", "sub_1")
    assert (drift.ours, drift.repaired) == (None, True)
    assert await compare_object(context, "subscription", "sub_1") == []


def test_what_is_listed_is_written() -> None:
    written = {f"{t}.{column}" for each in COMPARED for t, column in written_columns(each)}
    assert LEFT_OUT.keys() <= written


async def found(pool: Pool, mirrored: MirroredType[Any], id_: str) -> list[Any]:
    async with pool.acquire() as conn:
        rows = await list_compared(conn, mirrored.object_type, [id_])
    facts = normalise(SAMPLES[mirrored.object_type], livemode=False)
    return list(differences(mirrored.object_type, facts, rows[id_]))


async def spoil(pool: Pool, table: str, column: str) -> None:
    """Write a wrong value into a column of every row; constraints across columns are not meant."""
    type_ = await pool.fetchval(
        "SELECT data_type FROM information_schema.columns"
        " WHERE table_schema = current_schema() AND table_name = $1 AND column_name = $2",
        table,
        column,
    )
    wrong = ALLOWED.get((table, column)) or WRONG[type_].format(column=column)
    try:
        await pool.execute(f"UPDATE {table} SET {column} = {wrong}")
    except asyncpg.CheckViolationError as error:
        pytest.fail(f"{table}.{column}: {error}")
