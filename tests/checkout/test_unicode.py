"""What a buyer writes in any script arrives as it was written: here, at Stripe, at the tenant's."""

from typing import Any

import pytest

from tests.inline_worker import InlineWorker
from tests.service import Service

BUYERS = {
    "emoji": {
        "name": "Žofie 👩‍💻 Ó Néill",
        "company": "Bücher & Söhne ✨",
        "email": "zofie@bücher.de",
        "city": "Plzeň 🏭",
    },
    "CJK": {
        "name": "山田 太郎",
        "company": "株式会社〇〇",
        "email": "山田@例え.jp",
        "city": "東京都",
    },
    "right to left": {
        "name": "עדה لوفلايس",
        "company": "شركة الحوسبة",
        "email": "ada@example.com",
        "city": "ירושלים",
    },
}


@pytest.mark.parametrize("script", BUYERS)
async def test_names_survive_the_whole_path(
    service: Service, worker: InlineWorker, order_a: dict[str, Any], script: str
) -> None:
    buyer = BUYERS[script] | {"country": "CZ", "address1": "č. 1 — «A»"}
    domain = {"mode": "existing", "value": "BÜCHER.de"}
    await service.buy(order_a | {"customer": buyer, "domain": domain})
    await worker.catch_up()

    row = await service.row(
        "SELECT s.stripe_customer_id, s.metadata, c.name, c.company_name, c.email, c.city,"
        " t.name AS tenant, t.domain FROM subscriptions AS s"
        " JOIN customers AS c ON c.id = s.customer_id JOIN tenants AS t ON t.id = s.tenant_id"
    )
    assert (row["name"], row["company_name"], row["email"], row["city"]) == (
        buyer["name"],
        buyer["company"],
        buyer["email"],
        buyer["city"],
    )
    assert (row["tenant"], row["domain"]) == (buyer["company"], "xn--bcher-kva.de")
    assert row["metadata"]["domainUnicode"] == "bücher.de"

    stripe = worker.gateway.client.v1
    customer = await stripe.customers.retrieve_async(row["stripe_customer_id"])
    assert (customer.name, customer.email) == (buyer["company"], buyer["email"])
    assert (customer.metadata or {})["contact"] == buyer["name"]
    assert customer.address is not None
    assert (customer.address.city, customer.address.line1) == (buyer["city"], buyer["address1"])
