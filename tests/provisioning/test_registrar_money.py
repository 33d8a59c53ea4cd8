"""Nothing is ordered at a registrar without money: not by the database, nor on any path to it."""

import ast
import itertools
import random
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

import mpanel_billing
from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.domains.names import read_name
from mpanel_billing.provisioning.registrar import repository
from mpanel_billing.resources import SQL
from tests.provisioning.conftest import ProvisioningSystem
from tests.provisioning.domain_shop import ADA, Shop, hand_in, open_shop
from tests.provisioning.test_domain_life import STATES, add

COSTLY = ("register", "transfer", "renew")
PATHS, STEPS = 16, 9


@pytest.fixture
async def shop(system: ProvisioningSystem) -> AsyncIterator[Shop]:
    async with open_shop(system) as opened:
        yield opened


async def test_the_database_takes_no_costly_command_without_money_in_any_state(pool: Pool) -> None:
    """A command is stored before the registrar is called: what cannot be stored is not sent."""
    for place, (state, action) in enumerate(itertools.product(STATES, COSTLY)):
        with pytest.raises(asyncpg.CheckViolationError):
            await add(
                pool,
                state,
                name=f"{place}.com",
                driver="http",
                pending_action=action,
                pending_request={},
                **({"paid_until": None} if action == "renew" else {"paid_at": None}),
            )


def test_a_registrar_is_sent_commands_in_one_place_and_paid_for_in_three() -> None:
    """The places where an order can come about: whoever adds one has to look here."""
    called = set()
    root = Path(mpanel_billing.__file__).parent
    for file in root.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in {"register", "transfer", "renew"}:
                name = node.value.id if isinstance(node.value, ast.Name) else "?"
                if name in {"registrar", "driver"}:
                    called.add(str(file.relative_to(root)))
    assert called == {"provisioning/registrar/run.py"}

    statements = {file.stem: file.read_text() for file in sorted((SQL / "queries").glob("*.sql"))}
    assert [
        (stem, column)
        for stem, text in statements.items()
        for column in re.findall(r"^ +(?:SET )?(paid_at|paid_until) = .+$", text, re.MULTILINE)
    ] == [
        ("owned_domains", "paid_at"),  # order_year: null again, of what was given back
        ("provisioning", "paid_at"),  # write_desired: of the hosting service
        ("provisioning", "paid_at"),  # write_desired: of the registrar
        ("registrar", "paid_until"),  # order_renewal: of note_paid, or for what was paid by hand
        (
            "renewals",
            "paid_at",
        ),  # note_paid: its invoice is paid, or it costs nothing
        ("renewals", "paid_until"),  # note_settled: takes it back
        ("replacements", "paid_at"),  # put_in_place: of note_paid, or null for the buyer's own
    ]


@pytest.mark.parametrize("seed", range(PATHS))
async def test_on_every_path_the_ledger_has_only_what_was_paid_for(shop: Shop, seed: int) -> None:
    await _Path(shop, random.Random(seed)).walk()


class _Path:
    """A history of a subscription with a domain, and what was paid on it."""

    def __init__(self, shop: Shop, chance: random.Random) -> None:
        self.shop, self.chance = shop, chance
        self.status = "trialing"
        self.invoices = 0
        self.is_paid = False
        self.renewals = 0

    async def walk(self) -> None:
        mode = self.chance.choice(["register", "transfer", "new-or-transfer"])
        if mode != "register" and self.chance.random() < 0.7:
            self.shop.registrar.taken["ada.com"] = "right"
        await self.shop.order(mode)
        for _ in range(STEPS):
            step = self.chance.choice(
                [
                    self.change_status,
                    self.bill_nothing,
                    self.bill_by_hand,
                    self.owe,
                    self.pay,
                    self.look,
                    self.look,
                    self.misbehave,
                    self.insist,
                    self.renew_unpaid,
                ]
            )
            await step()
            await self.shop.system.make_due()
            await self.shop.system.run()
            self.check()
        await self.look()
        self.check()

    def check(self) -> None:
        ordered = [charge.action for charge in self.shop.registrar.ledger]
        bought = [action for action in ordered if action != "renew"]
        assert len(bought) <= int(self.is_paid), "more was ordered than was paid for"
        assert ordered.count("renew") == 0, "nobody has paid for a further year"

    async def change_status(self) -> None:
        self.status = self.chance.choice(["trialing", "active", "past_due", "paused", "canceled"])
        more = {}
        if self.status == "canceled":
            now = int(datetime.now(UTC).timestamp())
            more = {"ended_at": now, "canceled_at": now}
        await self.shop.system.deliver_subscription(self.status, **more)

    async def _bill(self, status: str, total: int, **more: object) -> None:
        self.invoices += 1
        await self.shop.system.deliver_invoice(status, f"in_{self.invoices}", total=total, **more)

    async def bill_nothing(self) -> None:
        await self._bill("paid", 0)

    async def bill_by_hand(self) -> None:
        await self._bill("paid", 3899, billing_reason="manual")

    async def owe(self) -> None:
        await self._bill("open", 3899, attempt_count=1)

    async def pay(self) -> None:
        if self.status in {"trialing", "active"} and self.chance.random() < 0.5:
            await self._bill("paid", 3899)
            self.is_paid = True

    async def look(self) -> None:
        rows = await self.shop.system.pool.fetch("SELECT name FROM billing_domains")
        if rows:
            await self.shop.look()

    async def misbehave(self) -> None:
        habit = self.chance.choice(["503", "422", "429", "cut", "503_after", "cut_after", "forget"])
        self.shop.registrar.habits.append(habit)  # type: ignore[arg-type]

    async def insist(self) -> None:
        """Do what customers and support do when something does not get on."""
        await self.shop.system.pool.execute(f"UPDATE customers SET city = '{ADA['city']}'")
        rows = await self.shop.system.pool.fetch("SELECT name FROM billing_domains")
        if rows:
            await hand_in(self.shop, self.chance.choice(["right", "wrong"]))
            async with acquired(self.shop.system.pool) as conn:
                await repository.look_again(conn, read_name("ada.com"))

    async def renew_unpaid(self) -> None:
        """Let the year end without anybody paying for the next one."""
        for domain in self.shop.registrar.held.values():
            domain.expires_at = datetime.now(UTC)
        await self.look()
