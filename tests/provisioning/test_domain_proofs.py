"""The buyer's own name is theirs once it is proven; until then the tenant has one in our zone."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from dns.rdatatype import TXT

from mpanel_billing.database.pool import transaction
from mpanel_billing.domains.proof import ProofRules
from mpanel_billing.provisioning.converge import provision_tenant_for_subscription
from mpanel_billing.provisioning.proofs import ProofChecks, check_due, settle
from mpanel_billing.provisioning.repository import proofs
from tests.commands import Ended, run_command
from tests.nameservers import ADDRESSES, OURS, NameServers
from tests.provisioning.conftest import ProvisioningSystem

HOME = "127.0.0.3"
BY_TEXT = ProofRules(OURS)
SHARED = ProofRules(OURS[:2], by_delegation=True)
OWN = ProofRules(OURS, by_delegation=True)


async def sell(
    system: ProvisioningSystem,
    name: str = "ada.com",
    mode: str = "existing",
    *,
    number: int = 1,
    rules: ProofRules | None = BY_TEXT,
    vouched: bool = False,
    keys: tuple[str, ...] = ("premium_monthly_usd",),
    customer: UUID | None = None,
) -> UUID:
    """Sell a plan with a name to a customer; returns the subscription."""
    system.provisioning = replace(system.provisioning, proof_rules=rules)
    id_ = f"sub_{number}"
    await system.deliver_subscription("active", *keys, id_=id_)
    await system.deliver_invoice("paid", f"in_{number}", subscription=id_, total=799)
    subscription_id = await system.id_of(id_)
    owner = customer or await system.pool.fetchval(
        "INSERT INTO customers (email) VALUES (NULL) RETURNING id"
    )
    await system.pool.execute(
        "UPDATE subscriptions SET metadata = $1, customer_id = $2 WHERE id = $3",
        {"domainMode": mode, "domainValue": name},
        owner,
        subscription_id,
    )
    if vouched:
        await system.pool.execute(
            "INSERT INTO orders (subscription_id, customer_id, fingerprint, vouched)"
            " VALUES ($1, $2, 'of the test', TRUE)",
            subscription_id,
            owner,
        )
    assert (await system.run(id_)).done
    return subscription_id


async def row_of(system: ProvisioningSystem, subscription_id: UUID) -> asyncpg.Record:
    return await system.inbox.row(
        "SELECT d.*, p.token, p.check_at, p.nameservers AS given, p.last_error AS missing,"
        " p.proven_by, p.checked_at, billing_proof_asked_v1(d.id) AS proof, t.domain AS tenant"
        " FROM billing_domains AS d LEFT JOIN billing_domain_proofs AS p ON p.domain_id = d.id"
        " JOIN subscriptions AS s ON s.id = d.subscription_id"
        " LEFT JOIN tenants AS t ON t.id = s.tenant_id WHERE d.subscription_id = $1",
        subscription_id,
    )


async def check(
    system: ProvisioningSystem, nameservers: NameServers, rules: ProofRules = BY_TEXT
) -> int:
    """Check every open proof, as the worker does when it is due, and provision what follows."""
    await system.pool.execute(
        "UPDATE billing_domain_proofs SET check_at = now() WHERE token IS NOT NULL"
    )
    proven = await check_due(ProofChecks(system.pool, nameservers.access, rules))
    for row in await system.pool.fetch(
        "SELECT subscription_id FROM provisioning_work WHERE version > done_version"
    ):
        await provision_tenant_for_subscription(system.provisioning, row["subscription_id"])
    return proven


def told(system: ProvisioningSystem, product_type: str) -> list[tuple[str, Mapping[str, Any]]]:
    return [
        (call.action, {k: v for k, v in call.details.items() if "omain" in k})
        for call in system.world.calls
        if call.product_type == product_type
    ]


async def test_the_name_is_served_only_once_the_record_is_there(
    system: ProvisioningSystem, nameservers: NameServers
) -> None:
    nameservers.host("ada.com", HOME)
    id_ = await sell(system)
    row = await row_of(system, id_)
    temporary = row["tenant"]
    assert (row["state"], row["held_at"]) == ("verifying", None)
    assert temporary.endswith(".panel.test")
    assert await system.troubles() == []
    first = {
        "domain": temporary,
        "domainMode": "later",
        "furtherDomains": [],
        "unprovenDomain": "ada.com",
    }
    assert told(system, "hosting") == [("create", first)]
    assert told(system, "email") == [("create", {"mailDomain": temporary})]

    assert await check(system, nameservers) == 0
    row = await row_of(system, id_)
    assert row["missing"] == "There is no TXT record at _mpanel-verification.ada.com yet."
    assert (row["tenant"], row["check_at"] > row["checked_at"]) == (temporary, True)

    nameservers.prove(row["proof"], "ada.com", HOME)
    assert await check(system, nameservers) == 1
    row = await row_of(system, id_)
    assert (row["state"], row["held_at"] is None, row["proven_by"]) == ("active", False, "txt")
    assert (row["tenant"], row["token"], row["proof"]) == ("ada.com", None, None)
    assert told(system, "hosting")[1:] == [
        ("change", {"domain": "ada.com", "domainMode": "existing"})
    ]
    assert told(system, "email")[1:] == [("change", {"mailDomain": "ada.com"})]


async def test_it_is_not_asked_again_while_it_serves(
    system: ProvisioningSystem, nameservers: NameServers
) -> None:
    nameservers.host("ada.com", HOME)
    id_ = await sell(system)
    nameservers.prove((await row_of(system, id_))["proof"], "ada.com", HOME)
    await check(system, nameservers)
    nameservers.drop(HOME, "ada.com", "_mpanel-verification.ada.com", TXT)
    asked, calls = len(nameservers.asked), len(system.world.calls)
    assert await check(system, nameservers) == 0
    await system.deliver_subscription("active", "business_monthly_usd")
    assert (await system.run()).done
    row = await row_of(system, id_)
    assert (row["state"], row["tenant"]) == ("active", "ada.com")
    assert len(nameservers.asked) == asked
    assert all("domain" not in call.details for call in system.world.calls[calls:])


async def test_a_lost_answer_to_the_change_of_name_is_repeated(
    system: ProvisioningSystem, nameservers: NameServers
) -> None:
    nameservers.host("ada.com", HOME)
    id_ = await sell(system)
    nameservers.prove((await row_of(system, id_))["proof"], "ada.com", HOME)
    system.world.misbehave("hosting", "fail_after", "fail_before")
    await check(system, nameservers)
    for _ in range(2):
        await system.make_due()
        await system.run()
    changes = [details for action, details in told(system, "hosting") if action == "change"]
    assert changes == [{"domain": "ada.com", "domainMode": "existing"}] * 3
    assert "ada.com" in (await system.service())["ordered_domains"]
    assert await system.troubles() == []


async def test_several_may_want_to_prove_a_name_and_the_first_who_does_has_it(
    system: ProvisioningSystem, nameservers: NameServers
) -> None:
    nameservers.host("ada.com", HOME)
    mallory = await sell(system, number=1)
    ada = await sell(system, number=2)
    assert [(await row_of(system, id_))["state"] for id_ in (mallory, ada)] == ["verifying"] * 2
    tokens = [(await row_of(system, id_))["token"] for id_ in (mallory, ada)]
    assert tokens[0] != tokens[1]
    nameservers.prove((await row_of(system, ada))["proof"], "ada.com", HOME)
    assert await check(system, nameservers) == 1
    lost, won = await row_of(system, mallory), await row_of(system, ada)
    assert (won["state"], won["tenant"]) == ("active", "ada.com")
    assert (lost["state"], lost["token"], lost["check_at"]) == ("failed", None, None)
    assert lost["tenant"].endswith(".panel.test")
    assert await system.troubles() == ["paid_twice"]


async def test_of_two_who_prove_a_name_in_one_instant_one_has_it(
    system: ProvisioningSystem, nameservers: NameServers
) -> None:
    nameservers.host("ada.com", HOME)
    both = [await sell(system, number=number) for number in (1, 2)]
    values = [(await row_of(system, id_))["proof"]["recordValue"] for id_ in both]
    name = "_mpanel-verification.ada.com"
    nameservers.put(HOME, "ada.com", name, TXT, *(f'"{value}"' for value in values))
    await system.pool.execute("UPDATE billing_domain_proofs SET check_at = now()")
    checks = ProofChecks(system.pool, nameservers.access, BY_TEXT)
    await asyncio.gather(*(check_due(checks) for _ in range(3)))
    states = sorted([(await row_of(system, id_))["state"] for id_ in both])
    assert states == ["active", "failed"]


async def test_a_proof_that_was_closed_while_nameservers_were_asked_counts_for_nothing(
    system: ProvisioningSystem, nameservers: NameServers
) -> None:
    nameservers.host("ada.com", HOME)
    id_ = await sell(system)
    row = await row_of(system, id_)
    async with transaction(system.pool) as conn:
        found = await proofs.get_open(conn, row["id"])
    assert found is not None
    await system.pool.execute("UPDATE billing_domains SET state = 'released'")
    async with transaction(system.pool) as conn:
        await settle(conn, found, "txt")
    row = await row_of(system, id_)
    assert (row["state"], row["token"], row["proven_by"]) == ("released", None, None)


async def test_a_name_that_another_got_meanwhile_cannot_be_proven(
    system: ProvisioningSystem, nameservers: NameServers
) -> None:
    """It lapsed, and was registered by somebody else through us."""
    nameservers.host("ada.com", HOME)
    late = await sell(system, number=1)
    await sell(system, number=2, mode="register")
    nameservers.prove((await row_of(system, late))["proof"], "ada.com", HOME)
    await check(system, nameservers)
    row = await row_of(system, late)
    assert (row["state"], row["proven_by"], row["token"]) == ("failed", None, None)
    assert row["tenant"].endswith(".panel.test")


async def test_the_token_of_another_row_proves_nothing(
    system: ProvisioningSystem, nameservers: NameServers
) -> None:
    """Neither another customer's, nor one's own of another name or an earlier order."""
    for name in ("ada.com", "bob.com"):
        nameservers.host(name, HOME)
    first = await sell(system, number=1)
    second = await sell(system, "bob.com", number=2)
    values = [(await row_of(system, id_))["proof"] for id_ in (second, first)]
    for name, other in zip(("ada.com", "bob.com"), values, strict=True):
        record = {**other, "recordName": f"_mpanel-verification.{name}"}
        nameservers.prove(record, name, HOME)
    assert await check(system, nameservers) == 0
    assert "has another value" in (await row_of(system, first))["missing"]


async def test_a_new_order_for_a_released_name_needs_a_proof_of_its_own(
    system: ProvisioningSystem, nameservers: NameServers
) -> None:
    nameservers.host("ada.com", HOME)
    first = await sell(system, number=1)
    nameservers.prove((await row_of(system, first))["proof"], "ada.com", HOME)
    await check(system, nameservers)
    await system.deliver_subscription(
        "canceled", id_="sub_1", ended_at=1_700_000_000, canceled_at=1_700_000_000
    )
    await system.run("sub_1")
    assert (await row_of(system, first))["state"] == "released"
    second = await sell(system, number=2)
    assert await check(system, nameservers) == 0
    assert (await row_of(system, second))["state"] == "verifying"


async def test_names_in_other_letters_are_proven_under_their_ascii_form(
    system: ProvisioningSystem, nameservers: NameServers
) -> None:
    name = "xn--bcher-kva.com"
    nameservers.host(name, HOME)
    id_ = await sell(system, name)
    proof = (await row_of(system, id_))["proof"]
    assert proof["recordName"] == f"_mpanel-verification.{name}"
    nameservers.prove(proof, name, HOME)
    assert await check(system, nameservers) == 1


async def test_a_subdomain_is_proven_by_itself_not_by_what_lies_above(
    system: ProvisioningSystem, nameservers: NameServers
) -> None:
    nameservers.host("ada.com", HOME)
    id_ = await sell(system, "shop.ada.com", "subdomain")
    proof = (await row_of(system, id_))["proof"]
    above = {**proof, "recordName": "_mpanel-verification.ada.com"}
    nameservers.prove(above, "ada.com", HOME)
    assert await check(system, nameservers) == 0
    nameservers.prove(proof, "ada.com", HOME)
    assert await check(system, nameservers) == 1


async def test_a_customer_who_has_proven_a_name_need_not_prove_what_lies_in_it(
    system: ProvisioningSystem, nameservers: NameServers
) -> None:
    nameservers.host("ada.com", HOME)
    first = await sell(system, number=1)
    nameservers.prove((await row_of(system, first))["proof"], "ada.com", HOME)
    await check(system, nameservers)
    owner = (await row_of(system, first))["customer_id"]
    vouched = await sell(
        system, "shop.ada.com", "subdomain", number=2, vouched=True, customer=owner
    )
    row = await row_of(system, vouched)
    assert (row["state"], row["token"], row["tenant"]) == ("active", None, "shop.ada.com")
    # to be known is not to have the name
    other = await sell(system, "bob.com", number=3, vouched=True, customer=owner)
    assert (await row_of(system, other))["state"] == "verifying"


async def test_without_the_setting_the_buyers_word_counts(system: ProvisioningSystem) -> None:
    row = await row_of(system, await sell(system, rules=None))
    assert (row["state"], row["token"], row["tenant"]) == ("active", None, "ada.com")


async def test_what_is_registered_by_us_needs_no_proof(system: ProvisioningSystem) -> None:
    row = await row_of(system, await sell(system, mode="register"))
    assert (row["state"], row["token"]) == ("active", None)


@pytest.mark.parametrize("rules", [SHARED, OWN])
async def test_nameservers_prove_a_name_if_they_were_changed_since(
    system: ProvisioningSystem, nameservers: NameServers, rules: ProofRules
) -> None:
    nameservers.host("ada.com", HOME)
    id_ = await sell(system, rules=rules)
    assert await check(system, nameservers, rules) == 0
    given = (await row_of(system, id_))["given"]
    assert len(given) == 2
    nameservers.delegate("ada.com", dict.fromkeys(given, ""))
    assert await check(system, nameservers, rules) == 1
    row = await row_of(system, id_)
    assert (row["state"], row["proven_by"], row["tenant"]) == ("active", "nameservers", "ada.com")


async def test_a_delegation_to_us_that_a_former_customer_left_proves_nothing(
    system: ProvisioningSystem, nameservers: NameServers
) -> None:
    nameservers.delegate("ada.com", dict.fromkeys(OURS[:2], ""))
    # and who is let into our panel has the record on our own nameservers
    id_ = await sell(system, rules=SHARED)
    nameservers.prove((await row_of(system, id_))["proof"], "ada.com", ADDRESSES[-1])
    for _ in range(2):
        assert await check(system, nameservers, SHARED) == 0
    missing = (await row_of(system, id_))["missing"]
    assert "on our own nameservers" in missing
    assert "before the order" in missing


async def test_a_pair_that_stood_there_is_exchanged_for_one_that_did_not(
    system: ProvisioningSystem, nameservers: NameServers
) -> None:
    id_ = await sell(system, rules=OWN)
    stale = (await row_of(system, id_))["given"]
    nameservers.delegate("ada.com", dict.fromkeys(stale, ""))
    assert await check(system, nameservers, OWN) == 0
    given = (await row_of(system, id_))["given"]
    assert set(given) != set(stale)
    assert await check(system, nameservers, OWN) == 0
    nameservers.delegate("ada.com", dict.fromkeys(given, ""))
    assert await check(system, nameservers, OWN) == 1


async def test_who_waits_for_anothers_change_of_shared_nameservers_gets_nothing(
    system: ProvisioningSystem, nameservers: NameServers
) -> None:
    nameservers.host("ada.com", HOME)
    mallory = await sell(system, number=1, rules=SHARED)
    await check(system, nameservers, SHARED)
    ada = await sell(system, number=2, rules=SHARED)
    await check(system, nameservers, SHARED)
    nameservers.delegate("ada.com", dict.fromkeys(OURS[:2], ""))
    assert await check(system, nameservers, SHARED) == 0
    assert {(await row_of(system, id_))["state"] for id_ in (mallory, ada)} == {"verifying"}


async def test_after_its_time_it_is_trouble_and_can_still_be_proven(
    system: ProvisioningSystem, nameservers: NameServers
) -> None:
    nameservers.host("ada.com", HOME)
    id_ = await sell(system, rules=replace(BY_TEXT, wait=timedelta(0)))
    assert await check(system, nameservers) == 0
    assert (await row_of(system, id_))["check_at"] is None
    [trouble] = await system.trouble()
    assert trouble["trouble"] == "domain_unproven"
    assert "There is no TXT record" in trouble["detail"]
    overview = await system.inbox.row("SELECT to_be_proven FROM billing_overview")
    assert overview["to_be_proven"].startswith("ada.com: There is no TXT record")
    nameservers.prove((await row_of(system, id_))["proof"], "ada.com", HOME)
    assert await check(system, nameservers) == 1
    assert await system.troubles() == []


async def test_an_answer_that_cannot_be_used_proves_nothing_and_is_tried_again(
    system: ProvisioningSystem, nameservers: NameServers
) -> None:
    nameservers.host("ada.com", HOME)
    id_ = await sell(system)
    nameservers.prove((await row_of(system, id_))["proof"], "ada.com", HOME)
    nameservers.manners[HOME] = "servfail"
    assert await check(system, nameservers) == 0
    row = await row_of(system, id_)
    assert row["missing"] == "No nameserver of ada.com gives an answer that can be used."
    assert row["check_at"] is not None
    del nameservers.manners[HOME]
    assert await check(system, nameservers) == 1


async def test_a_check_that_died_is_due_again(system: ProvisioningSystem) -> None:
    await sell(system)
    async with transaction(system.pool) as conn:
        assert len(await proofs.claim_due(conn, 10)) == 1
        assert await proofs.claim_due(conn, 10) == []
    await system.pool.execute("UPDATE billing_domain_proofs SET check_at = now()")
    async with transaction(system.pool) as conn:
        assert len(await proofs.claim_due(conn, 10)) == 1


async def test_the_end_of_the_subscription_closes_the_proof(system: ProvisioningSystem) -> None:
    id_ = await sell(system)
    await system.deliver_subscription("canceled", ended_at=1_700_000_000, canceled_at=1_700_000_000)
    await system.run()
    row = await row_of(system, id_)
    assert (row["state"], row["token"], row["check_at"]) == ("released", None, None)


async def test_an_operator_sees_and_accepts(system: ProvisioningSystem, database_url: str) -> None:
    id_ = await sell(system)
    row = await row_of(system, id_)
    shown = await run_command(database_url, "domains", "show", "ada.com")
    assert f"_mpanel-verification.ada.com TXT {row['proof']['recordValue']}" in shown.out
    customer = str(row["customer_id"])
    accept = ("domains", "accept", "ada.com", "--customer", customer, "--reason", "a paper")
    done = await run_command(database_url, *accept)
    assert done.status == 0, done.err
    assert (await system.run()).done
    row = await row_of(system, id_)
    assert (row["state"], row["proven_by"], row["tenant"]) == ("active", "operator", "ada.com")
    assert (await run_command(database_url, *accept)).status != 0
    [noted] = await system.pool.fetch("SELECT action, actor FROM billing_audit_log")
    assert noted["action"] == "domain.accept"


async def test_what_is_rejected_leaves_the_tenant_its_name(
    system: ProvisioningSystem, database_url: str
) -> None:
    id_ = await sell(system)
    customer = str((await row_of(system, id_))["customer_id"])
    reject = ("domains", "reject", "ada.com", "--customer", customer, "--reason", "asked to")
    assert (await run_command(database_url, *reject)).status == 0
    assert (await system.run()).done
    row = await row_of(system, id_)
    assert (row["state"], row["token"]) == ("failed", None)
    assert row["tenant"].endswith(".panel.test")
    assert await system.troubles() == []


async def lose(system: ProvisioningSystem, rules: ProofRules | None) -> UUID:
    """Sell a name that another tenant has."""
    await system.pool.execute("INSERT INTO tenants (name, domain) VALUES ('Other', 'ada.com')")
    id_ = await sell(system, rules=rules)
    assert await system.troubles() == ["work_failed"]
    return id_


async def names_of(system: ProvisioningSystem) -> list[tuple[str, str]]:
    rows = await system.pool.fetch("SELECT name, state FROM billing_domains ORDER BY name")
    return [(row["name"], row["state"]) for row in rows]


async def test_a_tenant_gets_another_name_of_its_customer_in_place_of_a_lost_one(
    system: ProvisioningSystem, database_url: str
) -> None:
    id_ = await lose(system, None)

    async def replace_by(name: str, lost: str = "ada.com") -> Ended:
        words = ("domains", "replace", str(id_), lost, "--with", name)
        return await run_command(database_url, *words)

    for name in ("www.ada.com", "com", "gmail.com", "\u0430da.com"):
        assert (await replace_by(name)).status != 0, name
    assert (await replace_by("lovelace.org", lost="bob.com")).status == 1
    assert (await replace_by("Lovelace.org.")).status == 0
    assert (await replace_by("other.org")).status == 1, "it is replaced already"
    assert (await system.run("sub_1")).done
    assert await names_of(system) == [("ada.com", "failed"), ("lovelace.org", "active")]
    assert await system.troubles() == []
    tenant = "SELECT domain FROM tenants WHERE billing_subscription_id = $1"
    assert await system.pool.fetchval(tenant, id_) == "lovelace.org"
    [_, (action, change)] = told(system, "hosting")
    assert (action, change) == ("change", {"domain": "lovelace.org", "domainMode": "existing"})
    assert told(system, "email")[1:] == [("change", {"mailDomain": "lovelace.org"})]


async def test_a_name_in_place_of_a_lost_one_has_to_be_proven_as_any(
    system: ProvisioningSystem, nameservers: NameServers, database_url: str
) -> None:
    id_ = await lose(system, BY_TEXT)
    words = ("domains", "replace", str(id_), "ada.com", "--with", "lovelace.org")
    assert (await run_command(database_url, *words)).status == 0
    assert (await system.run("sub_1")).done
    assert await names_of(system) == [("ada.com", "failed"), ("lovelace.org", "verifying")]
    tenant = "SELECT domain FROM tenants WHERE billing_subscription_id = $1"
    assert (await system.pool.fetchval(tenant, id_)).endswith(".panel.test")
    assert len(told(system, "hosting")) == 1
