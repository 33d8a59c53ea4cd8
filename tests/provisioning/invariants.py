"""What must hold once everything is idle: the outside world equals the model."""

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tests.provisioning.harness import GRACE, RETENTION, Harness, domain_of
from tests.provisioning.mirror_model import TYPES, Bought
from tests.provisioning.reference_server import NEED_HOSTING


@dataclass
class Invariants:
    """Compares the service's accounts with the model, each time everything is at rest."""

    harness: Harness
    _terminations: int = 0
    _refused: dict[tuple[UUID, str], tuple[int, object]] = field(default_factory=dict)
    """Of what was refused at a rest: which refusal it was, and what was desired then."""

    async def at_rest(self) -> None:
        """Check what there is, and what has happened since the rest before."""
        bought = self.harness.bought
        self._check_no_duplicates()
        assert self.harness.server.early == []
        self._check_terminations({await self.harness.id_of(id_): bought[id_] for id_ in bought})
        for id_, one in bought.items():
            one.note_rest(self.harness.clock())
            await self._check(id_, one)

    async def all_done(self) -> None:
        """Check that nothing is left to do, and nothing is wrong."""
        unfinished = await self.harness.pool.fetch(
            "SELECT w.* FROM provisioning_work AS w "
            "WHERE w.version <> w.done_version OR w.last_error IS NOT NULL"
        )
        assert unfinished == []

    def _check_no_duplicates(self) -> None:
        accounts = self.harness.server.world.accounts
        places = Counter((a.subscription_id, a.product_type) for a in accounts)
        assert all(count == 1 for count in places.values()), places

    def _check_terminations(self, owners: Mapping[UUID, Bought]) -> None:
        """None of the accounts that have gone since the latest rest went before its time."""
        terminated = self.harness.server.world.terminated
        for account in terminated[self._terminations :]:
            owner, at = owners[account.subscription_id], account.terminated_at
            assert at is not None
            assert owner.may_be_terminated(account.product_type, at, RETENTION), (account, owner)
        self._terminations = len(terminated)

    async def _check(self, id_: str, bought: Bought) -> None:
        """Compare every account of a subscription with what the model says of it.

        But for those that the service has refused to touch, or an operator does without, as
        long as the same is desired of them.
        """
        now, subscription = self.harness.clock(), await self.harness.id_of(id_)
        exempt = {type_ for type_ in TYPES if self._is_exempt(subscription, type_, bought)}
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
        self._check_domain(id_, subscription, bought, exempt)
        if not exempt:
            row = await self.harness.inbox.subscription(id_)
            assert row["status"] == bought.word(now, GRACE), (dict(row), bought)

    def _check_domain(self, id_: str, subscription: UUID, bought: Bought, exempt: Set[str]) -> None:
        """Its domain was ordered if it was paid for, and not before."""
        for account in self.harness.accounts_made():
            if (account.subscription_id, account.product_type) != (subscription, "hosting"):
                continue
            is_ordered = domain_of(id_) in account.domains
            assert bought.paid or not is_ordered, (account, bought)
            allowed = bought.allowed("hosting", self.harness.clock(), GRACE, RETENTION)
            if bought.paid and allowed == {"active"} and "hosting" not in exempt:
                assert is_ordered or account.terminated_at, (account, bought)

    def _is_exempt(self, subscription: UUID, product_type: str, bought: Bought) -> bool:
        place = (subscription, product_type)
        refusal = self.harness.server.refused.get(place)
        if refusal is None:
            self._refused.pop(place, None)
            return False
        allowed = bought.allowed(product_type, self.harness.clock(), GRACE, RETENTION)
        desired = (allowed, bought.included().get(product_type))
        known, desired_then = self._refused.get(place, (refusal, desired))
        if known != refusal:
            desired_then = desired
        self._refused[place] = (refusal, desired_then)
        return desired == desired_then


def _check_resources(resources: Mapping[str, Any], bought: Bought, product_type: str) -> None:
    """An item that cannot be placed takes away nothing; else the account has what is included."""
    included = bought.included()[product_type]
    if bought.has_unknown_item:
        assert all(resources[name] >= included[name] for name in included), (resources, bought)
    else:
        assert resources == included, (resources, bought)
