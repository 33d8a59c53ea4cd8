"""What proves that a domain is the buyer's, decided by values alone."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from mpanel_billing.domains.authority import TextAnswer
from mpanel_billing.domains.proof import (
    OpenProof,
    ProofRules,
    judge_delegation,
    judge_texts,
    next_wait,
)

TOKEN = "0123456789abcdef0123456789abcdef"
VALUE = f"mpanel-verification={TOKEN}"
OURS = ("ns1.host.net", "ns2.host.net")
MANY = (*OURS, "ns3.host.net", "ns4.host.net")
SHARED = ProofRules(OURS, by_delegation=True)
OWN = ProofRules(MANY, by_delegation=True)
GIVEN = frozenset(OURS)
ELSEWHERE = frozenset({"ns1.other.org", "ns2.other.org"})


def proof(**values: Any) -> OpenProof:
    return OpenProof(
        **{
            "domain_id": UUID(int=1),
            "name": "ada.com",
            "registrable": "ada.com",
            "token": TOKEN,
            "record_name": "_mpanel-verification.ada.com",
            "record_value": VALUE,
            "nameservers": GIVEN,
            "was_elsewhere": True,
            "has_rivals": False,
            "age": timedelta(0),
            **values,
        }
    )


def texts(*by_server: set[str], alias: bool = False, at: frozenset[str] = ELSEWHERE) -> TextAnswer:
    return TextAnswer(tuple(map(frozenset, by_server)), alias, at)


@pytest.mark.parametrize(
    "values",
    [{VALUE}, {"v=spf1 -all", VALUE, "other"}, {f'"{VALUE}"'}, {f"  {VALUE} "}],
)
def test_the_value_among_others_is_a_proof(values: set[str]) -> None:
    assert judge_texts(proof(), SHARED, texts(values, values)).proven_by == "txt"


@pytest.mark.parametrize(
    ("answer", "missing"),
    [
        (texts(set()), "There is no TXT record"),
        (texts({"v=spf1 -all"}), "has another value"),
        (texts({VALUE.upper()}), "has another value"),
        (texts({f"{VALUE}0"}), "has another value"),
        (texts({VALUE[:-1]}), "has another value"),
        (texts({TOKEN}), "has another value"),
        (texts({VALUE.replace("0", "1")}), "has another value"),
        (texts({VALUE}, alias=True), "is an alias"),
        (texts({VALUE}, set()), "Not all nameservers"),
        (texts({VALUE}, at=frozenset({"ns2.host.net", "a.org"})), "on our own nameservers"),
    ],
)
def test_nothing_else_is(answer: TextAnswer, missing: str) -> None:
    finding = judge_texts(proof(), SHARED, answer)
    assert (finding.proven_by, missing in finding.missing) == (None, True)


def test_a_delegation_counts_if_it_was_made_since() -> None:
    assert judge_delegation(proof(), SHARED, [GIVEN, GIVEN]).proven_by == "nameservers"
    before = judge_delegation(proof(was_elsewhere=False), SHARED, [GIVEN])
    assert (before.proven_by, before.stood_there) == (None, True)


def test_all_servers_of_the_zone_above_must_agree() -> None:
    finding = judge_delegation(proof(), SHARED, [GIVEN, ELSEWHERE])
    assert (finding.proven_by, finding.is_elsewhere) == (None, False)


@pytest.mark.parametrize("more", ["ns1.other.org", "ns3.host.net"])
def test_only_those_that_were_given_count_and_no_more(more: str) -> None:
    assert judge_delegation(proof(), OWN, [GIVEN | {more}]).proven_by is None
    assert judge_delegation(proof(), OWN, [frozenset({OURS[0]})]).proven_by is None


def test_shared_nameservers_prove_nothing_if_another_customer_wants_the_name() -> None:
    """The delegation does not say which of them made it."""
    assert judge_delegation(proof(has_rivals=True), SHARED, [GIVEN]).proven_by is None
    assert judge_delegation(proof(has_rivals=True), OWN, [GIVEN]).proven_by == "nameservers"


def test_what_is_partly_ours_is_not_elsewhere() -> None:
    """One of ours was left there by a former customer: the others may only have been removed."""
    mixed = frozenset({OURS[0], "ns1.other.org"})
    assert not judge_delegation(proof(was_elsewhere=False), SHARED, [mixed]).is_elsewhere
    assert judge_delegation(proof(was_elsewhere=False), SHARED, [ELSEWHERE]).is_elsewhere
    assert judge_delegation(proof(was_elsewhere=False), SHARED, [frozenset()]).is_elsewhere


def test_nobody_is_given_the_nameservers_of_another_for_a_name() -> None:
    given: set[frozenset[str]] = set()
    for _ in range(6):
        chosen = OWN.choose(given)
        assert len(chosen) == 2
        assert frozenset(chosen) not in given
        given.add(frozenset(chosen))
    assert OWN.choose(given) == ()
    assert SHARED.choose({GIVEN}) == OURS
    assert ProofRules(MANY).choose(()) == ()


def test_checks_become_rarer_from_a_minute_to_six_hours() -> None:
    ages = [timedelta(minutes=minutes) for minutes in (0, 5, 60, 600, 60_000)]
    minutes = [next_wait(age).total_seconds() / 60 for age in ages]
    assert minutes == [1, 1, 12, 120, 360]
