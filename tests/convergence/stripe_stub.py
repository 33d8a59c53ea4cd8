"""A stub of Stripe for refetches: serves the latest state of each object over HTTP."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

_FOLDERS = {
    "subscriptions": "subscription",
    "invoices": "invoice",
    "invoice_payments": "invoice_payment",
    "customers": "customer",
    "refunds": "refund",
}


def create_stripe_stub(objects: Mapping[str, Mapping[str, Any]]) -> web.Application:
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

    app = web.Application()
    for folder in _FOLDERS:
        app.router.add_get(f"/v1/{folder}/{{id}}", retrieve)
    app.router.add_get("/v1/checkout/sessions/{id}", retrieve)
    return app
