"""A fake of Stripe's lists, for accounts of any size: objects are made from their number.

Each subscription has a customer, a paid invoice and its payment; other lists are empty. Nothing is
kept, so that a million objects cost no memory and a page hardly any time. Objects have the size of
Stripe's. Runs as its own process: `python -m benchmarks.stripe_lists PORT SUBSCRIPTIONS`.
"""

import sys
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from tests import stripe_objects as made

FIRST, LAST = 1_760_000_000, 1_791_000_000
"""When the oldest object was created, and the newest at the latest: a year's worth."""
BYTES = 4000

_NAME = "00000000000000"
_CREATED = 1_111_111_111
"""Stand in a template for the object's number and time."""


def _customer() -> dict[str, Any]:
    return {
        "id": f"cus_{_NAME}",
        "object": "customer",
        "livemode": False,
        "email": f"c{_NAME}@example.com",
        "name": "Ada Lovelace",
        "balance": 0,
        "currency": "usd",
        "created": _CREATED,
        "metadata": {},
    }


_MADE: Mapping[str, dict[str, Any]] = {
    "customers": _customer(),
    "subscriptions": made.subscription(f"sub_{_NAME}", customer=f"cus_{_NAME}", start=_CREATED),
    "invoices": made.invoice(
        f"in_{_NAME}", subscription=f"sub_{_NAME}", customer=f"cus_{_NAME}", created=_CREATED
    ),
    "invoice_payments": made.invoice_payment(
        f"inpay_{_NAME}", invoice=f"in_{_NAME}", payment_intent=f"pi_{_NAME}", created=_CREATED
    ),
}


def _template(stripe_object: dict[str, Any]) -> str:
    rest = BYTES - len(orjson.dumps(stripe_object))
    unread = {f"key_{n:03}": "value of a key" for n in range(rest // 29)}
    return orjson.dumps(stripe_object | {"unread": unread}).decode()


class Account:
    """The lists of an account with so many subscriptions, evenly spread over the time."""

    def __init__(self, subscriptions: int) -> None:
        """Number the subscriptions from 0, the oldest."""
        self._count = subscriptions
        self._seconds = max(1, (LAST - FIRST) // max(subscriptions, 1))
        self._templates = {name: _template(about) for name, about in _MADE.items()}

    def page(self, name: str, query: Mapping[str, str]) -> bytes:
        """Return a page of a list, newest first, with Stripe's filters of `created`."""
        template = self._templates.get(name)
        if template is None:
            return b'{"object":"list","data":[],"has_more":false}'
        lowest = self._number_at(query.get("created[gte]"), 0)
        end = self._number_at(query.get("created[lt]"), self._count)
        if after := query.get("starting_after"):
            end = min(end, int(after.rpartition("_")[2]))
        start = max(lowest, end - int(query["limit"]))
        objects = ",".join(
            self._object(template, number) for number in range(end - 1, start - 1, -1)
        )
        more = "true" if start > lowest else "false"
        return f'{{"object":"list","data":[{objects}],"has_more":{more}}}'.encode()

    def _number_at(self, moment: str | None, otherwise: int) -> int:
        """Return the number of the first object created at that time or later."""
        if moment is None:
            return otherwise
        number = -((FIRST - int(moment)) // self._seconds)
        return max(0, min(self._count, number))

    def _object(self, template: str, number: int) -> str:
        created = FIRST + number * self._seconds
        return template.replace(_NAME, f"{number:014}").replace(str(_CREATED), str(created))


def create_app(subscriptions: int) -> web.Application:
    account = Account(subscriptions)

    async def list_objects(request: web.Request) -> web.Response:
        page = account.page(request.match_info["name"], request.query)
        return web.Response(body=page, content_type="application/json")

    app = web.Application()
    app.router.add_get("/v1/{name:.+}", list_objects)
    return app


if __name__ == "__main__":
    port, count = map(int, sys.argv[1:])
    web.run_app(
        create_app(count),
        host="127.0.0.1",
        port=port,
        access_log=None,
        print=lambda *_: None,
    )
