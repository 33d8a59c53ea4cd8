"""What the buyer sees of a proof, and what mPanel's backend can ask for."""

from dataclasses import replace
from typing import Any

import pytest

from mpanel_billing.domains.proof import ProofRules
from tests.inline_worker import InlineWorker
from tests.nameservers import NameServers
from tests.service import Service, make_settings

HOME = "127.0.0.3"
KEY = "a key of the panel's backend"


@pytest.fixture
def settings(database_url: str, sandbox: Any, nameservers: NameServers) -> Any:
    return make_settings(
        database_url=database_url,
        stripe_api_base=sandbox.url,
        billing_api_keys=KEY,
        domain_proof="txt",
        domain_dns_roots=",".join(nameservers.access.roots),
        domain_dns_port=nameservers.port,
    )


async def test_buyer_and_backend_see_what_is_to_be_done_and_have_it_checked(
    service: Service, worker: InlineWorker, nameservers: NameServers, order_a: dict[str, Any]
) -> None:
    nameservers.host("ada.com", HOME)
    proving = replace(worker, provisioning=replace(worker.provisioning, proof_rules=ProofRules()))
    domain = {"domain": {"mode": "existing", "value": "ADA.com."}}
    bought = await service.buy(order_a | domain)
    await proving.catch_up()
    page = await service.client.get(f"/api/checkout/session/{bought['sessionId']}?wait=5")
    progress = await page.json()
    [shown] = progress["domains"]
    assert (progress["status"], shown["state"]) == ("active", "verifying")
    assert progress["tenant"]["domain"].endswith(".panel.test")
    proof = shown["proof"]
    assert proof["recordName"] == "_mpanel-verification.ada.com"
    assert proof["recordType"] == "TXT"

    # of no other customer's, and not before a moment has passed
    row = await service.row("SELECT id, customer_id FROM billing_domains")
    headers = {"Authorization": f"Bearer {KEY}"}
    verify, own = f"/api/billing/domains/{row['id']}/verify", f"?customerId={row['customer_id']}"
    stranger = "?customerId=00000000-0000-4000-8000-000000000000"
    refused = await service.client.post(verify + stranger, headers=headers)
    assert refused.status == 404
    first = await service.client.post(verify + own, headers=headers)
    content = await first.json()
    assert first.status == 200, content
    assert "There is no TXT record" in content["domain"]["proof"]["missing"]
    again = await service.client.post(verify + own, headers=headers)
    assert (again.status, (await again.json())["code"]) == (429, "checked_just_now")
    assert again.headers["Retry-After"] == "20"

    nameservers.prove(proof, "ada.com", HOME)
    await service.pool.execute("UPDATE billing_domain_proofs SET checked_at = NULL")
    proven = await (await service.client.post(verify + own, headers=headers)).json()
    assert (proven["domain"]["state"], proven["domain"]["provenBy"]) == ("active", "txt")
    assert proven["domain"]["proof"] is None
    await proving.catch_up()
    progress = await (
        await service.client.get(f"/api/checkout/session/{bought['sessionId']}")
    ).json()
    assert progress["tenant"]["domain"] == "ada.com"
    done = await service.client.post(verify, headers=headers)
    assert (done.status, (await done.json())["code"]) == (409, "nothing_to_prove")
