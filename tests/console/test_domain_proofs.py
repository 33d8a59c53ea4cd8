"""Domains that their buyers have still to prove: looked for now, accepted, or given up."""

from uuid import UUID

import pytest

from mpanel_billing.settings import Settings
from stripe_sandbox import Sandbox
from tests.console.conftest import KEY, Console, Ids, signed_in
from tests.console.test_pages import audited
from tests.nameservers import NameServers
from tests.service import Pool, make_settings

_UNPROVEN = """
WITH ordered AS (
    INSERT INTO billing_domains (name, unicode_name, skeleton, registrable, mode, state, customer_id, subscription_id)
    SELECT $2, $2, $2, $2, 'existing', 'verifying', s.customer_id, s.id FROM subscriptions AS s WHERE s.id = $1
    RETURNING id
)
INSERT INTO billing_domain_proofs (domain_id, token, check_at, expires_at, last_error)
SELECT id, repeat('a', 32), now() + interval '1 hour', now() + interval '14 days', 'There is no TXT record.' FROM ordered
RETURNING domain_id
"""  # noqa: E501


@pytest.fixture
def settings(database_url: str, sandbox: Sandbox, nameservers: NameServers) -> Settings:
    return make_settings(
        database_url=database_url,
        stripe_api_base=sandbox.url,
        admin_api_keys=KEY,
        billing_api_keys=KEY,
        domain_dns_roots=",".join(nameservers.access.roots),
        domain_dns_port=nameservers.port,
    )


@pytest.fixture
async def domain(console: Console, ids: Ids) -> str:
    """The page of a domain that is to be proven."""
    return f"/console/domains/{await unproven(console.service.pool, ids)}"


async def unproven(pool: Pool, ids: Ids, name: str = "ada.com") -> UUID:
    id_: UUID = await pool.fetchval(_UNPROVEN, UUID(ids.subscription), name)
    return id_


async def state_of(console: Console) -> tuple[str, str | None]:
    row = await console.service.row(
        "SELECT d.state, p.proven_by FROM billing_domains AS d"
        " JOIN billing_domain_proofs AS p ON p.domain_id = d.id"
    )
    return row["state"], row["proven_by"]


async def test_a_proof_is_looked_for_now_and_counts_once_it_is_there(
    console: Console, domain: str, nameservers: NameServers
) -> None:
    home = "127.0.0.3"
    nameservers.host("ada.com", home)
    listed = await console.open("/console/domains?list=unproven")
    assert "ada.com Ada Lovelace to be proven" in listed.text
    assert "There is no TXT record." in listed.text
    assert {f"{domain}/{word}" for word in ("verify", "accept", "reject")} <= listed.links
    shown = await console.open(f"{domain}/verify")
    assert f"_mpanel-verification.ada.com TXT mpanel-verification={'a' * 32}" in shown.text
    missing = await console.post(f"{domain}/verify", shown)
    assert missing.headers["Location"] == f"{domain}/verify?done=domain_unproven"
    looked = await console.open(f"{domain}/verify?done=domain_unproven")
    assert "no TXT record at _mpanel-verification.ada.com yet" in looked.text
    again = await console.post(f"{domain}/verify", shown)
    assert (again.status, "checked just now" in again.text) == (429, True)
    record = {
        "recordName": "_mpanel-verification.ada.com",
        "recordValue": f"mpanel-verification={'a' * 32}",
    }
    nameservers.prove(record, "ada.com", home)
    await console.service.pool.execute("UPDATE billing_domain_proofs SET checked_at = NULL")
    found = await console.post(f"{domain}/verify", shown)
    assert found.headers["Location"] == f"{domain}/verify?done=domain_proven"
    assert await state_of(console) == ("active", "txt")
    assert "Proven by txt" in (await console.open(f"{domain}/verify")).text
    late = await console.post(f"{domain}/accept", shown, reason="a letter")
    assert (late.status, "no longer has to be proven" in late.text) == (409, True)


async def test_another_proof_is_accepted_with_its_reason(
    console: Console, domain: str, ids: Ids
) -> None:
    shown = await console.open(f"{domain}/accept")
    assert "The domain counts as the customer's" in shown.text
    assert (await console.post(f"{domain}/accept", shown)).status == 422  # no reason
    done = await console.post(f"{domain}/accept", shown, reason="a letter of the registrar")
    assert done.headers["Location"] == "/console/domains?done=domain_accepted"
    assert await state_of(console) == ("active", "operator")
    assert await audited(console.service, "domain.accept") == [
        ("ada.lovelace", ids.customer, "done")
    ]


async def test_the_wait_is_ended_by_who_may_operate(
    console: Console, domain: str, ids: Ids
) -> None:
    desk = await signed_in(console.service, "admin:read", "billing", name="desk")
    links = (await desk.open("/console/domains?list=unproven")).links
    assert f"{domain}/verify" in links
    assert f"{domain}/reject" not in links
    done = await console.confirm(f"{domain}/reject", reason="they have left")
    assert done.headers["Location"] == "/console/domains?done=domain_rejected"
    assert (await state_of(console))[0] == "failed"
    assert "ada.com" not in (await console.open("/console/domains?list=unproven")).text
    assert await audited(console.service, "domain.reject") == [
        ("ada.lovelace", ids.customer, "done")
    ]
