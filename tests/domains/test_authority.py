"""Nameservers are asked themselves, and what they do to us has limits."""

import pytest
from dns.rdatatype import CNAME, NS, TXT, A

from mpanel_billing.domains import authority
from mpanel_billing.domains.authority import (
    MOST_QUESTIONS,
    DnsAccess,
    NoAnswerError,
    find_delegation,
    find_texts,
)
from tests.nameservers import OURS, REGISTRY, ROOT, Manner, NameServers

FIRST, SECOND, OTHER = "127.0.0.3", "127.0.0.4", "127.0.0.5"
RECORD = "_proof.ada.com"


async def test_records_come_from_every_server_of_the_zone(nameservers: NameServers) -> None:
    nameservers.host("ada.com", FIRST, SECOND)
    nameservers.put(FIRST, "ada.com", RECORD, TXT, '"one" "two"', '"three"')
    nameservers.put(SECOND, "ada.com", RECORD, TXT, '"onetwo"')
    answer = await find_texts(nameservers.access, RECORD)
    assert sorted(answer.by_server, key=len) == [{"onetwo"}, {"onetwo", "three"}]
    assert (answer.is_alias, answer.nameservers) == (
        False,
        {"a.registry.net", "ns1.ada.com", "ns2.ada.com"},
    )


async def test_case_and_a_dot_at_the_end_make_no_difference(nameservers: NameServers) -> None:
    nameservers.host("ada.com", FIRST)
    nameservers.put(FIRST, "ada.com", RECORD, TXT, '"Value"')
    for name in ("_PROOF.Ada.COM", f"{RECORD}."):
        assert (await find_texts(nameservers.access, name)).by_server == ({"Value"},)


async def test_an_alias_is_not_followed(nameservers: NameServers) -> None:
    nameservers.host("ada.com", FIRST)
    nameservers.host("mallory.com", SECOND)
    nameservers.put(FIRST, "ada.com", "*.ada.com", CNAME, "everything.mallory.com.")
    nameservers.put(SECOND, "mallory.com", "everything.mallory.com", TXT, '"value"')
    answer = await find_texts(nameservers.access, RECORD)
    assert (answer.by_server, answer.is_alias) == ((frozenset(),), True)


async def test_a_wildcard_answers_for_the_name(nameservers: NameServers) -> None:
    nameservers.host("ada.com", FIRST)
    nameservers.put(FIRST, "ada.com", "*.ada.com", TXT, '"v=spf1 -all"')
    assert (await find_texts(nameservers.access, RECORD)).by_server == ({"v=spf1 -all"},)


async def test_records_of_other_names_in_an_answer_are_left_out(nameservers: NameServers) -> None:
    nameservers.host("ada.com", FIRST)
    nameservers.put(FIRST, "ada.com", "ada.com", TXT, '"value"')
    assert (await find_texts(nameservers.access, RECORD)).by_server == (frozenset(),)


async def test_a_domain_that_nobody_has_registered_has_no_records(
    nameservers: NameServers,
) -> None:
    answer = await find_texts(nameservers.access, RECORD)
    assert answer.by_server == (frozenset(),)
    assert await find_delegation(nameservers.access, "ada.com") == (frozenset(),)


@pytest.mark.parametrize("manner", ["refuse", "servfail", "garbage", "lame", "hang up"])
async def test_one_server_that_misbehaves_is_left_out(
    nameservers: NameServers, manner: Manner
) -> None:
    nameservers.host("ada.com", FIRST, SECOND)
    nameservers.put(SECOND, "ada.com", RECORD, TXT, '"value"')
    nameservers.manners[FIRST] = manner
    assert (await find_texts(nameservers.access, RECORD)).by_server == ({"value"},)
    nameservers.manners[SECOND] = manner
    with pytest.raises(NoAnswerError, match=r"No nameserver of ada\.com"):
        await find_texts(nameservers.access, RECORD)


async def test_a_silent_server_is_waited_for_only_so_long(
    nameservers: NameServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    nameservers.host("ada.com", FIRST, SECOND)
    nameservers.put(SECOND, "ada.com", RECORD, TXT, '"value"')
    nameservers.manners[FIRST] = "silent"
    monkeypatch.setattr(authority, "ANSWER_SECONDS", 0.2)
    assert (await find_texts(nameservers.access, RECORD)).by_server == ({"value"},)
    monkeypatch.setattr(authority, "ANSWER_SECONDS", 60)
    monkeypatch.setattr(authority, "WALK_SECONDS", 0.2)
    with pytest.raises(NoAnswerError, match="too slow"):
        await find_texts(nameservers.access, RECORD)


async def test_an_answer_of_60_kilobytes_is_read(nameservers: NameServers) -> None:
    nameservers.host("ada.com", FIRST)
    many = [f'"{number:0200}"' for number in range(250)]
    nameservers.put(FIRST, "ada.com", RECORD, TXT, *many, '"value"')
    [values] = (await find_texts(nameservers.access, RECORD)).by_server
    assert (len(values), "value" in values) == (251, True)


async def test_nameservers_in_other_zones_are_found(nameservers: NameServers) -> None:
    nameservers.delegate("ada.com", {"ns1.other.org": "", OURS[0]: ""})
    nameservers.host("other.org", OTHER)
    nameservers.put(OTHER, "other.org", "ns1.other.org", A, FIRST)
    nameservers.put(FIRST, "ada.com", RECORD, TXT, '"value"')
    answer = await find_texts(nameservers.access, RECORD)
    assert answer.by_server == ({"value"},)
    assert {"ns1.other.org", OURS[0]} < answer.nameservers


async def test_an_address_counts_only_from_the_zone_that_it_lies_in(
    nameservers: NameServers,
) -> None:
    """The registry of com does not say where a host in org is."""
    nameservers.delegate("ada.com", {"ns1.other.org": ""})
    nameservers.host("other.org", OTHER)
    nameservers.put(OTHER, "other.org", "ns1.other.org", A, FIRST)
    nameservers.put(REGISTRY, "com", "ns1.other.org", A, SECOND)
    nameservers.put(FIRST, "ada.com", RECORD, TXT, '"true"')
    nameservers.put(SECOND, "ada.com", RECORD, TXT, '"forged"')
    assert (await find_texts(nameservers.access, RECORD)).by_server == ({"true"},)


async def test_nameservers_that_need_each_other_end(nameservers: NameServers) -> None:
    nameservers.delegate("ada.com", {"ns.bob.org": ""})
    nameservers.delegate("bob.org", {"ns.ada.com": ""})
    with pytest.raises(NoAnswerError):
        await find_texts(nameservers.access, RECORD)


async def test_however_many_nameservers_are_named_few_questions_are_asked(
    nameservers: NameServers,
) -> None:
    nameservers.delegate("ada.com", {f"ns{n}.victim{n}.org": "" for n in range(200)})
    for n in range(200):
        nameservers.delegate(f"victim{n}.org", {f"ns{m}.deep{n}.com": "" for m in range(50)})
    with pytest.raises(NoAnswerError):
        await find_texts(nameservers.access, RECORD)
    assert len(nameservers.asked) <= MOST_QUESTIONS


async def test_a_referral_upwards_or_aside_is_no_answer(nameservers: NameServers) -> None:
    nameservers.host("ada.com", FIRST)
    nameservers.put(FIRST, "com", "com", NS, "ns1.ada.com.")
    del nameservers.zones[FIRST][authority.from_text("ada.com")]
    nameservers.put(FIRST, ".", "com", NS, "ns1.ada.com.")
    answer = await find_texts(nameservers.access, RECORD)
    assert answer.by_server == (frozenset(),)


async def test_the_delegation_is_what_the_zone_above_says(nameservers: NameServers) -> None:
    nameservers.host("ada.com", FIRST)
    nameservers.put(FIRST, "ada.com", "ada.com", NS, *(f"{host}." for host in OURS))
    assert await find_delegation(nameservers.access, "ada.com") == ({"ns1.ada.com"},)
    nameservers.delegate("ada.com", {"NS1.Host.NET": "", OURS[1]: ""})
    assert await find_delegation(nameservers.access, "ada.com") == ({OURS[0], OURS[1]},)


async def test_an_owner_cannot_have_us_call_private_addresses(
    nameservers: NameServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    nameservers.host("ada.com", FIRST)
    monkeypatch.setattr(authority, "ROOT_SERVERS", (ROOT,))
    access = DnsAccess(authority.ROOT_SERVERS, nameservers.port)
    assert not access.may_ask(FIRST)
    assert access.may_ask("192.0.32.8")
    with pytest.raises(NoAnswerError):
        await find_texts(access, RECORD)
    assert not any(asked.startswith(FIRST) for asked in nameservers.asked)


async def test_a_name_that_is_too_long_says_so(nameservers: NameServers) -> None:
    with pytest.raises(NoAnswerError, match="too long"):
        await find_texts(nameservers.access, f"{'a' * 63}." * 4 + "ada.com")
