"""What must hold once everything is idle: the outside world equals the model."""

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from mpanel_billing.money import format_money
from tests.provisioning.harness import (
    GRACE,
    RETENTION,
    Harness,
    chosen_name_of,
    domain_of,
    lost_name_of,
)
from tests.provisioning.mirror_model import TYPES, Bought
from tests.provisioning.reference_server import NEED_HOSTING

Place: TypeAlias = tuple[UUID, str]
"""An account: the subscription that it was created for, and its product type."""

_TAKEOVERS = """
    SELECT s.stripe_subscription_id AS successor, p.stripe_subscription_id AS predecessor,
        t.reason, t.done_at IS NOT NULL AS done
    FROM billing_takeovers AS t
    JOIN subscriptions AS s ON s.id = t.subscription_id
    JOIN subscriptions AS p ON p.id = t.predecessor_id"""
_HOMES = """
    SELECT t.domain, s.stripe_subscription_id FROM tenants AS t
    JOIN subscriptions AS s ON s.id = t.billing_subscription_id AND s.tenant_id = t.id"""


@dataclass
class Invariants:
    """Compares the service's accounts with the model, each time everything is at rest."""

    harness: Harness
    _terminations: int = 0
    _refused: dict[tuple[str, Place], tuple[int, object]] = field(default_factory=dict)
    """Of what was refused at a rest: which refusal it was, and what was desired then."""
    _owners: dict[Place, str] = field(default_factory=dict)
    """Which subscription had each account at the latest rest."""
    _came: dict[Place, datetime] = field(default_factory=dict)
    """The earliest time at which an account may have come from another subscription."""
    _taken: set[str] = field(default_factory=set)
    """The subscriptions that have taken over another's accounts."""
    _excused: set[str] = field(default_factory=set)
    """Those that could not, for a time: an operator held the ended one."""

    async def at_rest(self) -> None:
        """Check what there is, and what has happened since the rest before."""
        bought, owners = self.harness.bought, await self.harness.owners()
        came = dict(self._came)
        self._check_no_duplicates(owners)
        assert self.harness.server.early == []
        await self._check_takeovers(owners)
        self._check_terminations(owners, came)
        self._owners = owners
        for id_, one in bought.items():
            one.note_rest(self.harness.clock())
            await self._check(id_, one)
        await self._check_late_payments()

    async def all_done(self) -> None:
        """Check that nothing is left to do, and nothing is wrong."""
        unfinished = await self.harness.pool.fetch(
            "SELECT w.* FROM provisioning_work AS w "
            "WHERE w.version <> w.done_version OR w.last_error IS DISTINCT FROM w.trouble"
        )
        assert unfinished == []

    def _check_no_duplicates(self, owners: Mapping[Place, str]) -> None:
        """No account was created twice, and each belongs to one subscription."""
        places = Counter(self._alive())
        assert all(count == 1 for count in places.values()), places
        assert places.keys() <= owners.keys(), (places, owners)

    def _alive(self) -> list[Place]:
        accounts = self.harness.server.world.accounts
        return [(account.subscription_id, account.product_type) for account in accounts]

    async def _check_takeovers(self, owners: Mapping[Place, str]) -> None:
        """Accounts change hands as operators and customers asked for, all of them, and are kept."""
        bought, now = self.harness.bought, self.harness.clock()
        rows = await self.harness.pool.fetch(_TAKEOVERS)
        done = {row["successor"]: row["predecessor"] for row in rows if row["done"]}
        for successor in done.keys() - self._taken:
            self._note_takeover(successor, done[successor])
        for place, owner in owners.items():
            before = self._owners.get(place, owner)
            if before == owner:
                continue
            assert owner in _heirs(done, before) or before in _heirs(done, owner), place
            asked = [bought[s].returned_at for s in (owner, before) if s in done]
            self._came[place] = max(at for at in asked if at is not None)
            bought[owner].take_over([place[1]], now)
        for id_, one in bought.items():
            if one.returned_from is not None and one.ended_at is None:
                assert id_ in done, (id_, one, rows)
        for place in self._owners.keys() & set(self._alive()):
            owner = self._owners[place]
            heirs = [heir for heir in _heirs(done, owner) if heir not in self._taken]
            assert owners[place] in (heirs or [owner, *done, *done.values()]), (place, owners)
        self._taken |= done.keys()
        await self._check_homes()

    def _note_takeover(self, successor: str, predecessor: str) -> None:
        one, ended = self.harness.bought[successor], self.harness.bought[predecessor]
        one.returned_at = one.returned_at or self.harness.clock()
        one.settled = True
        for invoice in one.makes_up_for:
            ended.paid_late.pop(invoice, None)
        ended.paid_late_throughout &= bool(ended.paid_late)

    async def _check_homes(self) -> None:
        """Whoever was vouched for has the customer's domain, if they could have it back."""
        bought, alive = self.harness.bought, set(self._alive())
        rows = await self.harness.pool.fetch(_HOMES)
        homes = {row["domain"]: row["stripe_subscription_id"] for row in rows}
        kept = {owner for place, owner in self._owners.items() if place in alive}
        for id_, one in bought.items():
            holder = homes.get(domain_of(id_), id_)
            if bought[holder].held:
                self._excused |= set(self.harness.line(id_))
            vouched = one.returned_at is not None and one.returned_from is None and one.settled
            if one.returned_at and self._had_rivals(id_, one.returned_at):
                self._excused.add(id_)
            if vouched and one.entitled(self.harness.clock(), GRACE) and id_ not in self._excused:
                assert bought[holder].ended_at is None or holder not in kept, (id_, holder)

    def _had_rivals(self, id_: str, since: datetime) -> bool:
        """Whether the customer had another subscription too, which may have had the domain."""
        others = [self.harness.bought[each] for each in self.harness.line(id_) if each != id_]
        return any(each.ended_at is None or each.ended_at > since for each in others)

    def _check_terminations(
        self, owners: Mapping[Place, str], came: Mapping[Place, datetime]
    ) -> None:
        """None of the accounts that have gone since the latest rest went before its time."""
        terminated = self.harness.server.world.terminated
        for account in terminated[self._terminations :]:
            place, at = (account.subscription_id, account.product_type), account.terminated_at
            assert at is not None
            had = {(self._owners.get(place), came.get(place))}
            had |= {(owners.get(place), self._came.get(place))}
            assert any(
                self.harness.bought[owner].may_be_terminated(place[1], at, RETENTION, since)
                for owner, since in had
                if owner is not None
            ), (account, [self.harness.bought[owner] for owner, _ in had if owner is not None])
        self._terminations = len(terminated)

    async def _check_late_payments(self) -> None:
        """Trouble is what the host has been paid after the end and has not settled."""
        rows = await self.harness.pool.fetch(
            "SELECT s.stripe_subscription_id AS id, t.detail FROM billing_trouble AS t"
            " JOIN subscriptions AS s ON s.id = t.subscription_id"
            " WHERE t.trouble = 'paid_after_end'"
        )
        late = {id_: one.paid_late for id_, one in self.harness.bought.items() if one.paid_late}
        said = {row["detail"].partition("; refund it")[0] for row in rows}
        sentence = "invoice {} was paid after the subscription had ended: {}"
        assert said == {
            sentence.format(invoice, format_money(amount, "usd"))
            for one in late.values()
            for invoice, amount in one.items()
        }
        assert {row["id"] for row in rows} == late.keys(), (rows, late)

    async def _check(self, id_: str, bought: Bought) -> None:
        """Compare every account of a subscription with what the model says of it.

        But for those that the service has refused to touch, or an operator does without, as
        long as the same is desired of them.
        """
        now = self.harness.clock()
        made_for = {type_: await self.harness.made_for(id_, type_) for type_ in TYPES}
        exempt = {
            type_ for type_ in TYPES if self._is_exempt(id_, (made_for[type_], type_), bought)
        }
        if "hosting" in exempt:
            exempt |= NEED_HOSTING
        for product_type in sorted(set(TYPES) - exempt):
            account = await self.harness.account(id_, product_type)
            state = "gone" if account is None else account["state"]
            allowed = bought.allowed(product_type, now, GRACE, RETENTION)
            assert state in allowed, (id_, product_type, state, allowed, bought)
            if allowed == {"active"}:
                assert account is not None
                _check_resources(account["resources"], bought, product_type)
        self._check_domain(id_, made_for["hosting"], bought, exempt)
        if not exempt:
            row = await self.harness.inbox.subscription(id_)
            assert row["status"] == bought.word(now, GRACE), (dict(row), bought)

    def _check_domain(self, id_: str, made_for: UUID, bought: Bought, exempt: Set[str]) -> None:
        """The customer's domain was ordered if it was paid for, and not before.

        A customer who has come back may have it with another account.
        """
        line = self.harness.line(id_)
        paid = any(self.harness.bought[each].paid for each in line)
        for account in self.harness.accounts_made():
            if (account.subscription_id, account.product_type) != (made_for, "hosting"):
                continue
            is_ordered = domain_of(id_) in account.domains
            assert paid or not is_ordered, (account, bought)
            assert lost_name_of(id_) not in account.domains, account
            is_chosen = any(self.harness.bought[each].choice == "paid" for each in line)
            has_chosen = chosen_name_of(id_) in account.domains
            assert is_chosen or not has_chosen, (account, bought)
            allowed = bought.allowed("hosting", self.harness.clock(), GRACE, RETENTION)
            kept = any(bought.receipts.values())
            if kept and len(line) == 1 and allowed == {"active"} and "hosting" not in exempt:
                assert is_ordered or account.terminated_at, (account, bought)
            if is_chosen and len(line) == 1 and allowed == {"active"} and "hosting" not in exempt:
                assert has_chosen or account.terminated_at, (account, bought)

    def _is_exempt(self, id_: str, place: Place, bought: Bought) -> bool:
        """Whether it was refused or skipped, and the same is still desired of it.

        An account that was taken over counts for the one that has it, and for the one it was made
        for.
        """
        product_type = place[1]
        refusal = self.harness.server.refused.get(place)
        if refusal is None:
            self._refused.pop((id_, place), None)
            return False
        allowed = bought.allowed(product_type, self.harness.clock(), GRACE, RETENTION)
        desired = (allowed, bought.included().get(product_type))
        known, desired_then = self._refused.get((id_, place), (refusal, desired))
        if known != refusal:
            desired_then = desired
        self._refused[id_, place] = (refusal, desired_then)
        return desired == desired_then


def _heirs(done: Mapping[str, str], ended: str) -> list[str]:
    """Return the successors of a subscription, and theirs."""
    heirs = [successor for successor, predecessor in done.items() if predecessor == ended]
    return [*heirs, *(later for heir in heirs for later in _heirs(done, heir))]


def _check_resources(resources: Mapping[str, Any], bought: Bought, product_type: str) -> None:
    """An item that cannot be placed takes away nothing; else the account has what is included."""
    included = bought.included()[product_type]
    if bought.has_unknown_item:
        assert all(resources[name] >= included[name] for name in included), (resources, bought)
    else:
        assert resources == included, (resources, bought)
