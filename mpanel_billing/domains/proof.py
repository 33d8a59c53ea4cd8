"""What proves that a domain is the buyer's own, and what a check has found. Pure.

A TXT record with a token that only this order has been given; or, if the operator allows it, a
delegation to nameservers of ours that was made since. What stood there before proves nothing.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations
from random import SystemRandom
from typing import Literal
from uuid import UUID

from mpanel_billing.domains.authority import TextAnswer

ProvenBy = Literal["txt", "nameservers", "operator"]
"""The value of `billing_domain_proofs.proven_by`."""

_SHORTEST_WAIT = timedelta(minutes=1)
_LONGEST_WAIT = timedelta(hours=6)
_SHARE_OF_AGE = 5

_dice = SystemRandom()


@dataclass(frozen=True, slots=True)
class ProofRules:
    """Which proofs an operator wants: `nameservers` are ours, in ASCII and lower case.

    `by_delegation`: a delegation to them counts too. `wait`: how long the worker looks.
    """

    nameservers: tuple[str, ...] = ()
    by_delegation: bool = False
    wait: timedelta = timedelta(days=14)

    @property
    def is_shared(self) -> bool:
        """Whether all customers are given the same nameservers."""
        return len(self.nameservers) <= 2  # noqa: PLR2004

    def choose(self, given: Collection[frozenset[str]]) -> tuple[str, ...]:
        """Return two nameservers for a domain: a pair that nobody was `given` for its name.

        None if all have been given, or if a delegation is no proof.
        """
        if not self.by_delegation:
            return ()
        if self.is_shared:
            return self.nameservers
        left = [pair for pair in combinations(self.nameservers, 2) if frozenset(pair) not in given]
        return _dice.choice(left) if left else ()


@dataclass(frozen=True, slots=True)
class OpenProof:
    """A domain that its buyer has to prove, and what they were told.

    `was_elsewhere`: since then it has been seen to be delegated elsewhere. `has_rivals`: others
    want to prove it, too.
    """

    domain_id: UUID
    name: str
    registrable: str
    token: str
    record_name: str
    record_value: str
    nameservers: frozenset[str]
    was_elsewhere: bool
    has_rivals: bool
    age: timedelta


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has found: the proof, or what is missing, for the buyer.

    `is_elsewhere`: the name is delegated elsewhere now. `stood_there`: it is delegated to the
    nameservers that its buyer was given, and was before.
    """

    proven_by: Literal["txt", "nameservers"] | None = None
    missing: str = ""
    is_elsewhere: bool = False
    stood_there: bool = False


def judge_texts(proof: OpenProof, rules: ProofRules, answer: TextAnswer) -> Finding:
    """Say whether TXT records prove a name: every server of the zone that answers has the value."""
    name = proof.record_name
    if answer.is_alias:
        return Finding(
            missing=f"{name} is an alias (CNAME): the TXT record has to be there itself."
        )
    having = [proof.record_value in map(_bare, values) for values in answer.by_server]
    if not any(having):
        if any(answer.by_server):
            return Finding(missing=f"The TXT record at {name} has another value.")
        return Finding(missing=f"There is no TXT record at {name} yet.")
    if answer.nameservers & set(rules.nameservers):
        # our own servers say what our customers tell them
        return Finding(missing=f"{name} is on our own nameservers, where it proves nothing.")
    if not all(having):
        return Finding(missing=f"Not all nameservers have the TXT record at {name} yet.")
    return Finding("txt")


def _bare(text: str) -> str:
    """Return a value without what forms for DNS records add to it."""
    return text.strip().strip('"').strip()


def judge_delegation(
    proof: OpenProof, rules: ProofRules, by_server: Sequence[frozenset[str]]
) -> Finding:
    """Say whether a delegation proves a name, as the servers of the zone above name it."""
    wanted = proof.nameservers
    if any(each != wanted for each in by_server):
        is_elsewhere = all(
            each.isdisjoint(wanted) if rules.is_shared else each != wanted for each in by_server
        )
        shown = ", ".join(sorted(frozenset().union(*by_server))) or "none"
        expected = " and ".join(sorted(wanted))
        missing = f"The nameservers of {proof.registrable} are {shown}, not {expected}."
        return Finding(missing=missing, is_elsewhere=is_elsewhere)
    if not proof.was_elsewhere:
        return Finding(
            missing=f"{proof.registrable} had these nameservers before the order.",
            stood_there=True,
        )
    if rules.is_shared and proof.has_rivals:
        return Finding(missing=f"For {proof.name} only the TXT record is a proof.")
    return Finding("nameservers")


def next_wait(age: timedelta) -> timedelta:
    """Return how long after a failed check the next one comes: a fifth of the proof's age.

    At least a minute, at most six hours.
    """
    return min(max(age / _SHARE_OF_AGE, _SHORTEST_WAIT), _LONGEST_WAIT)
