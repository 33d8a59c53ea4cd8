"""The body of a message: what was recorded, and its customer as they are now."""

from collections.abc import Mapping
from typing import Any

import asyncpg

from mpanel_billing.messages.types import PAYLOAD_VERSION


def payload_of(row: asyncpg.Record, links: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the payload for a row of `claim_deliveries`.

    `links` are addresses in mPanel by object, with `{id}`: of `subscription` and `invoice`.
    """
    data = {**row["data"], **_context_of(row)}
    return {
        "type": row["type"],
        "timestamp": row["occurred_at"],
        "version": PAYLOAD_VERSION,
        "livemode": row["livemode"],
        "sequence": row["sequence"],
        "data": {**data, "links": _links_of(data, links)},
    }


def _context_of(row: asyncpg.Record) -> Mapping[str, Any]:
    """Return what a message is about as it is now; what was recorded of it stays."""
    context: dict[str, Any] = {"customer": _customer_of(row)}
    for name in ("card", "domain", "invoice"):
        if row[name] is not None:
            context[name] = {**row[name], **row["data"].get(name, {})}
    if row["subscription_id"] is not None:
        recorded = row["data"].get("subscription", {})
        context["subscription"] = {**_subscription_of(row), **recorded}
    return context


def _customer_of(row: asyncpg.Record) -> Mapping[str, Any] | None:
    if row["customer_id"] is None:
        return None
    return {
        "id": row["customer_id"],
        "userId": row["user_id"],
        "stripeCustomerId": row["stripe_customer_id"],
        "name": row["customer_name"],
        "company": row["company_name"],
        "email": row["email"],
    }


def _subscription_of(row: asyncpg.Record) -> Mapping[str, Any]:
    plan = {"code": row["plan_code"], "name": row["plan_name"]} if row["plan_name"] else None
    return {
        "id": row["subscription_id"],
        "stripeSubscriptionId": row["stripe_subscription_id"],
        "plan": plan,
        "tenantId": row["tenant_id"],
        "domain": row["tenant_domain"] or row["ordered_domain"],
    }


def _links_of(data: Mapping[str, Any], links: Mapping[str, str]) -> Mapping[str, str]:
    """Return the links to the objects that the message has."""
    return {
        name: link.replace("{id}", str(data[name]["id"]))
        for name, link in links.items()
        if data.get(name)
    }
