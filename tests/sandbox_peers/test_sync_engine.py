"""@supabase/stripe-sync-engine mirrors twenty lives by webhooks and by the API, as we do."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg

from tests.ports import unused_port
from tests.sandbox_peers.conftest import RunningSandbox, run, run_sandbox
from tests.sandbox_peers.figures import Figures, hold
from tests.sandbox_peers.lives import live
from tests.sandbox_peers.packages import npm, script

VERSION = "0.48.5"

LISTS = {
    "charges": "/v1/charges",
    "credit_notes": "/v1/credit_notes",
    "customers": "/v1/customers",
    "invoices": "/v1/invoices",
    "payment_intents": "/v1/payment_intents",
    "payment_methods": "/v1/payment_methods",
    "prices": "/v1/prices",
    "products": "/v1/products",
    "refunds": "/v1/refunds",
    "subscription_schedules": "/v1/subscription_schedules",
    "subscriptions": "/v1/subscriptions?status=all",
}
"""Its tables, and where the sandbox lists the same objects."""

NOT_STRIPES = frozenset({"deleted", "id", "last_synced_at", "updated_at"})
"""Columns that are its own, not fields of the object."""

OURS = {
    "customers": ("stripe_customers", "id", {"email": "email", "name": "name"}),
    "invoices": (
        "invoices",
        "stripe_invoice_id",
        {
            "amount_due": "amount_due",
            "amount_paid": "amount_paid",
            "amount_remaining": "amount_remaining",
            "attempt_count": "attempt_count",
            "auto_advance": "auto_advance",
            "billing_reason": "billing_reason",
            "collection_method": "collection_method",
            "created": "stripe_created",
            "customer": "stripe_customer_id",
            "due_date": "due_at",
            "next_payment_attempt": "next_payment_attempt",
            "number": "stripe_number",
            "status": "stripe_status",
        },
    ),
    "refunds": (
        "stripe_refunds",
        "stripe_refund_id",
        {
            "amount": "amount",
            "charge": "stripe_charge_id",
            "created": "stripe_created",
            "currency": "currency",
            "payment_intent": "stripe_payment_intent_id",
            "reason": "reason",
            "status": "status",
        },
    ),
    "subscriptions": (
        "subscriptions",
        "stripe_subscription_id",
        {
            "cancel_at": "cancel_at",
            "cancel_at_period_end": "cancel_at_period_end",
            "canceled_at": "canceled_at",
            "customer": "stripe_customer_id",
            "ended_at": "ended_at",
            "status": "stripe_status",
            "trial_end": "trial_end",
        },
    ),
}
"""Their table, ours with its key, and which of their columns is which of ours."""


@dataclass
class Comparison:
    """How many fields agree, and which do not."""

    compared: int = 0
    different: list[str] = field(default_factory=list)

    def add(self, where: str, one: Any, other: Any) -> None:
        self.compared += 1
        if _plain(one) != _plain(other):
            self.different.append(f"{where}: {one!r} is not {other!r}")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return int(value.timestamp())
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, str) and value[:1] in {'"', "{"}:
        return _plain(json.loads(value))
    if isinstance(value, str) and value.isdigit():
        return int(value)
    return value


@contextmanager
def listening(installed: Any, database: str, stripe_port: int, port: int) -> Iterator[None]:
    """Run its webhook receiver."""
    command = ["node", script(installed, "sync_engine.cjs"), "webhooks", database]
    command += [str(stripe_port), str(port)]
    with subprocess.Popen(command, cwd=installed, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            assert process.stdout.readline().strip() == "ready"
            yield
        finally:
            process.terminate()


async def rows_of(database: str, table: str) -> dict[str, dict[str, Any]]:
    connection = await asyncpg.connect(database)
    try:
        found = await connection.fetch(f'SELECT to_jsonb(t) AS row FROM stripe."{table}" t')
    finally:
        await connection.close()
    rows = [json.loads(record["row"]) for record in found]
    return {row["id"]: row for row in rows}


async def compare_with_sandbox(database: str, sandbox: RunningSandbox, result: Comparison) -> None:
    """Compare each row of its mirror with the object, field by field."""
    customers = {one["id"] for one in sandbox.everything("/v1/customers")}
    for table, path in LISTS.items():
        listed = sandbox.everything(path)
        if table == "payment_methods":  # it asks for those of each customer
            listed = [one for one in listed if one["customer"] in customers]
        objects = {one["id"]: one for one in listed}
        rows = await rows_of(database, table)
        if table == "payment_methods":
            rows = {key: row for key, row in rows.items() if row["customer"] in customers}
        alive = {key for key, row in rows.items() if not row.get("deleted")}
        result.add(f"{table}: ids", sorted(alive & objects.keys()), sorted(objects))
        for key in objects.keys() & rows.keys():
            row, wanted = rows[key], objects[key]
            for name in row.keys() & wanted.keys() - NOT_STRIPES:
                result.add(f"{table}.{name} of {key}", row[name], wanted[name])


async def compare_with_ours(database: str, pool: Any, result: Comparison) -> None:
    """Compare its rows with those of our mirror, which has heard the same events."""
    for table, (ours, key, columns) in OURS.items():
        theirs = await rows_of(database, table)
        mine = {row[key]: row for row in await pool.fetch(f"SELECT * FROM {ours}")}
        known = {key for key, row in theirs.items() if not row.get("deleted")}
        for stripe_id in known & mine.keys():
            for name, column in columns.items():
                where = f"{table}.{name} of {stripe_id}"
                result.add(where, theirs[stripe_id][name], mine[stripe_id][column])


async def test_sync_engine_mirrors_twenty_lives(folder, databases, pool, inbox):
    installed = npm(
        folder, "sync-engine", f"@supabase/stripe-sync-engine@{VERSION}", "stripe@23.1.0"
    )
    port, result = unused_port(), Comparison()
    hook = f"http://127.0.0.1:{port}/"
    options = ("--webhook-url", hook, "--webhook-secret", "whsec_peers", "--event-time", "clock")
    with (
        databases.opened() as heard,
        databases.opened() as read,
        contextmanager(run_sandbox)(*options) as sandbox,
    ):
        with listening(installed, heard, sandbox.port, port):
            live(sandbox.url)
            sandbox.control("idle", timeout=120)
        command = ["node", script(installed, "sync_engine.cjs"), "backfill", read]
        run([*command, str(sandbox.port)], installed)
        await compare_with_sandbox(heard, sandbox, result)
        await compare_with_sandbox(read, sandbox, result)
        for event in reversed(sandbox.everything("/v1/events")):
            await inbox.receive(event)
        await compare_with_ours(heard, pool, result)
    passed = result.compared - len(result.different)
    client = "npm `@supabase/stripe-sync-engine`"
    hold(Figures(client, VERSION, passed, result.compared))
    assert not result.different, "\n".join(result.different)
