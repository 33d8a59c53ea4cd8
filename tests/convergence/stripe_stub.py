"""A stub of Stripe: serves the latest state of each object over HTTP, voids invoices, pauses the
collection of subscriptions and cancels them."""

from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

_FOLDERS = {
    "subscriptions": "subscription",
    "invoices": "invoice",
    "invoice_payments": "invoice_payment",
    "customers": "customer",
    "refunds": "refund",
    "credit_notes": "credit_note",
    "disputes": "dispute",
}


def _now() -> datetime:
    return datetime.now(UTC)


def _subscription_of(invoice: Mapping[str, Any]) -> str | None:
    details = (invoice.get("parent") or {}).get("subscription_details") or {}
    found: str | None = details.get("subscription")
    return found


async def _list_invoice_items(_: web.Request) -> web.Response:
    """List nothing: here no story charges a subscription once."""
    page = {"object": "list", "data": [], "has_more": False, "url": "/v1/invoiceitems"}
    return web.json_response(page)


def create_stripe_stub(
    objects: MutableMapping[str, Mapping[str, Any]], clock: Callable[[], datetime] = _now
) -> web.Application:
    """Serve the objects under their API's addresses; a customer nobody made is a plain one."""

    async def retrieve(request: web.Request) -> web.Response:
        id_ = request.match_info["id"]
        if id_.startswith("cus_"):
            customer = {"id": id_, "object": "customer", "livemode": False, "email": None}
            return web.json_response({**customer, "name": None})
        if id_ not in objects:
            error = {"type": "invalid_request_error", "code": "resource_missing", "message": id_}
            return web.json_response({"error": error}, status=404)
        return web.json_response(objects[id_])

    async def list_invoices(request: web.Request) -> web.Response:
        """List what a subscription was billed, without lines: they are asked for the terms paid."""
        listed = [
            {**one, "lines": {"object": "list", "data": [], "has_more": False, "url": "/v1/lines"}}
            for one in objects.values()
            if one.get("object") == "invoice"
            and _subscription_of(one) == request.query["subscription"]
        ]
        page = {"object": "list", "data": listed, "has_more": False, "url": "/v1/invoices"}
        return web.json_response(page)

    async def void(request: web.Request) -> web.Response:
        invoice = objects[request.match_info["id"]]
        if invoice["status"] not in {"open", "uncollectible"}:
            error = {"type": "invalid_request_error", "message": "It cannot be voided."}
            return web.json_response({"error": error}, status=400)
        objects[invoice["id"]] = {**invoice, "status": "void"}
        return web.json_response(objects[invoice["id"]])

    async def update(request: web.Request) -> web.Response:
        subscription, sent = objects[request.match_info["id"]], await request.post()
        behavior = sent.get("pause_collection[behavior]")
        assert behavior or sent.get("pause_collection") == "", dict(sent)
        paused = {"behavior": behavior} if behavior else None
        objects[subscription["id"]] = {**subscription, "pause_collection": paused}
        return web.json_response(objects[subscription["id"]])

    async def cancel(request: web.Request) -> web.Response:
        subscription, now = objects[request.match_info["id"]], int(clock().timestamp())
        ended = {"status": "canceled", "ended_at": now, "canceled_at": now}
        objects[subscription["id"]] = {**subscription, **ended}
        return web.json_response(objects[subscription["id"]])

    app = web.Application()
    app.router.add_post("/v1/subscriptions/{id}", update)
    app.router.add_delete("/v1/subscriptions/{id}", cancel)
    app.router.add_post("/v1/invoices/{id}/void", void)
    app.router.add_get("/v1/invoices", list_invoices)
    app.router.add_get("/v1/invoiceitems", _list_invoice_items)
    for folder in _FOLDERS:
        app.router.add_get(f"/v1/{folder}/{{id}}", retrieve)
    app.router.add_get("/v1/checkout/sessions/{id}", retrieve)
    return app
