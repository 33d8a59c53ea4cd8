"""Nothing is ordered at a registrar without money: not by the database, nor on any path to it."""

import ast
import itertools
import random
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

import mpanel_billing
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.domains.names import read_name
from mpanel_billing.domains.proof import ProofRules
from mpanel_billing.domains.repository import replacements
from mpanel_billing.domains.repository.replacements import FirstYear
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning.proofs import accept
from mpanel_billing.provisioning.registrar import repository
from mpanel_billing.resources import SQL
from mpanel_billing.subscriptions.domain_renewals import settle_renewals
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
    """A history of a subscription with a domain, and what was paid on it.

    `is_own`: the name is the buyer's own, and proven. `chosen`: a name that was chosen in place
    of a lost one, and `paid_choices` how many of these were paid; `paid_years`: of further years.
    """

    def __init__(self, shop: Shop, chance: random.Random) -> None:
        self.shop, self.chance = shop, chance
        self.status = "trialing"
        self.invoices = 0
        self.is_paid = False
        self.is_own = False
        self.chosen: list[str] = []
        self.paid_choices: set[str] = set()
        self.paid_years = 0

    @property
    def mirror(self) -> Mirror:
        return self.shop.system.provisioning.mirror

    async def walk(self) -> None:
        modes = ["register", "register", "transfer", "new-or-transfer", "existing"]
        mode = self.chance.choice(modes)
        self.is_own = mode == "existing"
        if self.is_own:
            rules = ProofRules(("ns1.host.test", "ns2.host.test"))
            provisioning = self.shop.system.provisioning
            self.shop.system.provisioning = replace(provisioning, proof_rules=rules)
        if mode != "existing" and self.chance.random() < 0.7:
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
                    self.charge_year,
                    self.pay_charged,
                    self.pay_charged,
                    self.choose,
                    self.prove,
                ]
            )
            await step()
            await self.shop.system.make_due()
            await self.shop.system.run()
            self.check()
        await self.look()

    async def charge_year(self) -> None:
        """Charge what is due at Stripe, as the worker stores it; a further year is due at once."""
        pool = self.shop.system.pool
        await pool.execute(
            """INSERT INTO billing_domain_renewals
                   (domain_id, expires_on, amount, currency, livemode, pay_by)
               SELECT id, expires_at::date, 1299, 'usd', FALSE, now() + interval '7 days'
               FROM billing_domains WHERE state = 'active' AND expires_at IS NOT NULL
               ON CONFLICT DO NOTHING"""
        )
        await pool.execute(
            """UPDATE billing_domain_renewals
               SET state = 'charged', params = '{"way": "own"}', next_attempt_at = NULL,
                   stripe_invoice_id = 'in_year_' || id
               WHERE state = 'due'"""
        )

    async def pay_charged(self) -> None:
        """Pay what was charged; what is given back is no order of the registrar's."""
        charged = await self.shop.system.pool.fetch(
            "SELECT r.stripe_invoice_id, r.expires_on, d.name FROM billing_domain_renewals AS r"
            " JOIN billing_domains AS d ON d.id = r.domain_id WHERE r.state = 'charged'"
        )
        for row in charged:
            await self.shop.system.deliver_invoice(
                "paid", row["stripe_invoice_id"], total=1299, billing_reason="manual"
            )
            self.paid_years += row["expires_on"] is not None
            self.paid_choices |= {row["name"]} if row["expires_on"] is None else set()
        await settle_renewals(self.mirror, datetime.now(UTC))

    async def choose(self) -> None:
        """Choose another name in place of one that could not be obtained, if there is such."""
        name = f"choice{len(self.chosen)}.com"
        async with transaction(self.shop.system.pool) as conn:
            lost = await conn.fetchval(
                "SELECT id FROM billing_domains WHERE billing_is_replaceable_v1(id)"
            )
            if lost is None:
                return
            self.chosen.append(name)
            pay_by = datetime.now(UTC) + timedelta(days=7)
            year = FirstYear(1299, "usd", 1299, livemode=False, pay_by=pay_by)
            mode = self.chance.choice(["register", "new-or-transfer"])
            assert await replacements.choose_name(conn, lost, read_name(name), mode, year)
        if self.chance.random() < 0.3:
            self.shop.registrar.taken[name] = "right"
        await self.charge_year()

    async def prove(self) -> None:
        """Accept what the buyer says is theirs, or let them lose it."""
        async with transaction(self.shop.system.pool) as conn:
            open_ = await conn.fetchval("SELECT id FROM billing_domains WHERE state = 'verifying'")
            if open_ is not None and self.chance.random() < 0.5:
                await accept(conn, open_)
            elif open_ is not None:
                await conn.execute(
                    "UPDATE billing_domains SET state = 'failed' WHERE id = $1", open_
                )
        self.check()

    def check(self) -> None:
        ledger = self.shop.registrar.ledger
        bought = [charge.name for charge in ledger if charge.action != "renew"]
        paid = {*self.paid_choices, *(["ada.com"] if self.is_paid and not self.is_own else [])}
        assert len(bought) == len(set(bought)), "a name was ordered twice"
        assert set(bought) <= paid, "more was ordered than was paid for"
        years = sum(charge.years for charge in ledger if charge.action == "renew")
        assert years <= self.paid_years, "nobody has paid for a further year"

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
        for row in await self.shop.system.pool.fetch("SELECT name FROM billing_domains"):
            await self.shop.look(row["name"])
        await settle_renewals(self.mirror, datetime.now(UTC))

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
