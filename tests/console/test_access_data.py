"""What a new account's owner logs in with is shown once, to who may see it."""

import json
from base64 import urlsafe_b64encode
from uuid import UUID

import pytest
from pydantic import SecretStr

from mpanel_billing.encryption import Vault
from mpanel_billing.settings import Settings
from stripe_sandbox import Sandbox
from tests.console.conftest import KEY, Console, Ids, signed_in
from tests.console.test_pages import audited
from tests.service import make_settings

SEALING = urlsafe_b64encode(b"c" * 32).decode()


@pytest.fixture
def settings(database_url: str, sandbox: Sandbox) -> Settings:
    return make_settings(
        database_url=database_url,
        stripe_api_base=sandbox.url,
        admin_api_keys=KEY,
        billing_api_keys=KEY,
        encryption_keys=SEALING,
    )


async def test_access_data_is_shown_once_and_forgotten(console: Console, ids: Ids) -> None:
    service, page = console.service, f"/console/subscriptions/{ids.subscription}"
    path = f"{page}/access-data"
    data = {"user_name": "ada", "server": "web1.example.com", "link": "https://panel/once"}
    sealed = Vault((SecretStr(SEALING),)).encrypt(json.dumps(data))
    await service.pool.execute(
        "INSERT INTO billing_access_data (subscription_id, product_type, generation, sealed)"
        " VALUES ($1, 'hosting', 1, $2)",
        UUID(ids.subscription),
        sealed,
    )
    desk = await signed_in(service, "admin", "billing:read", "billing:any-customer")
    assert path not in (await desk.open(page)).links
    assert path in (await console.open(page)).links
    shown = await console.open(f"{path}?service=hosting")
    assert "It is shown once, and forgotten." in shown.text
    assert "https://panel/once" not in shown.html
    told = await console.post(path, shown, service="hosting")
    assert told.status == 200
    for part in data.values():
        assert part in told.text
    assert told.headers["Cache-Control"] == "no-store"
    row = await service.row("SELECT sealed, handed_out_at FROM billing_access_data")
    assert row["sealed"] is None
    assert row["handed_out_at"] is not None
    assert await audited(service, "subscription.access_data") == [
        ("ada.lovelace", ids.subscription, "done")
    ]
    details = await service.pool.fetchval(
        "SELECT details::text FROM billing_audit_log WHERE action = 'subscription.access_data'"
    )
    assert "panel" not in details
    assert path not in (await console.open(page)).links
    gone = await console.open(f"{path}?service=hosting", **{"Accept-Language": "de"})
    assert (gone.status, "keine Zugangsdaten" in gone.text) == (404, True)
    again = await console.post(path, shown, service="hosting")
    assert (again.status, "https://panel/once" in again.html) == (404, False)
