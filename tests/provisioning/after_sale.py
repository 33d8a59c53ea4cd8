"""What can happen after a sale: disputes, money back, pauses to a date, terms, planned changes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import transaction
from mpanel_billing.domains.names import read_name
from mpanel_billing.domains.repository import replacements
from mpanel_billing.domains.repository.replacements import FirstYear
from mpanel_billing.subscriptions import disputes
from mpanel_billing.subscriptions.domain_renewals import settle_renewals
from mpanel_billing.subscriptions.lifecycle import ChangeRequest, resume
from mpanel_billing.subscriptions.lookup import CustomerRef
from mpanel_billing.subscriptions.pauses import turn_pauses
from mpanel_billing.subscriptions.pausing import pause
from tests.provisioning.actions import Actions
from tests.provisioning.harness import PRICE, Harness, chosen_name_of, lost_name_of
from tests.provisioning.mirror_model import PLANS, TERM, Bought, Pause

Move: TypeAlias = Callable[[str], Awaitable[None]]

_BY = Actor("cli:grace@panel")
_NEXT = {
    "warning_needs_response": ("warning_under_review", "needs_response", "warning_closed"),
    "warning_under_review": ("needs_response", "warning_closed"),
    "needs_response": ("under_review", "lost"),
    "under_review": ("won", "lost"),
    "lost": ("won",),
}
"""What a dispute can become; a bank may change its mind."""


@dataclass(frozen=True, repr=False)
class AfterSale:
    """Applies each action to the model and to the service."""

    actions: Actions

    @property
    def harness(self) -> Harness:
        return self.actions.harness

    def moves(self, id_: str) -> list[Move]:
        """List what can happen to a subscription, which may have ended."""
        bought = self.harness.bought[id_]
        moves: list[Move] = []
        if any(bought.receipts.values()):
            moves += [self.credit, self.credit_part]
        if bought.receipts:
            moves += [self.dispute, self.inquire]
        moves += [self._step(status) for status in self._open_to(bought)]
        if bought.is_disputed:
            moves += [self.waive]
        if bought.settled and bought.ended_at is None:
            moves += self._moves_of_terms(bought)
        return moves

    def _moves_of_terms(self, bought: Bought) -> list[Move]:
        moves: list[Move] = [self.release, self.begin_phase] if bought.planned else [self.plan]
        if bought.status in {"active", "trialing"} and not bought.debts:
            moves += [self.begin_term, self.begin_term]
        if bought.status == "paused":
            return moves
        if bought.pause is not None and bought.collection_paused:
            moves += [self.resume, self.resume_at_stripe]
        elif not bought.collection_paused:
            moves += [self.pause, self.pause]
        return moves

    # Names.

    async def name(self, id_: str) -> None:
        """Choose another name in place of its lost one, or pay for that."""
        bought = self.harness.bought[id_]
        if bought.choice == "open":
            await self.pay_choice(id_)
        elif bought.choice is None and bought.settled and bought.ended_at is None:
            await self.choose_name(id_)

    async def choose_name(self, id_: str) -> None:
        """Choose another name in place of the one that was lost, once that is known."""
        async with transaction(self.harness.pool) as conn:
            lost = await conn.fetchval(
                "SELECT id FROM billing_domains WHERE name = $1 AND billing_is_replaceable_v1(id)",
                lost_name_of(id_),
            )
            if lost is None:
                return
            pay_by = self.harness.clock() + timedelta(days=7)
            year = FirstYear(PRICE, "usd", None, livemode=False, pay_by=pay_by)
            name = read_name(chosen_name_of(id_))
            assert await replacements.choose_name(conn, lost, name, "register", year)
            await conn.execute(
                "UPDATE billing_domain_renewals SET state = 'charged',"
                ' params = \'{"way": "own"}\', next_attempt_at = NULL, stripe_invoice_id = $1'
                " WHERE state = 'due'",
                _choice_of(id_),
            )
        self.harness.bought[id_].choice = "open"

    async def pay_choice(self, id_: str) -> None:
        await self.harness.deliver_own_invoice(id_, _choice_of(id_))
        await settle_renewals(self.harness.provisioning.mirror, self.harness.clock())
        rows = await self.harness.pool.fetch(
            "SELECT r.state FROM billing_domain_renewals AS r WHERE r.stripe_invoice_id = $1",
            _choice_of(id_),
        )
        paid = any(row["state"] in {"paid", "renewed"} for row in rows)
        self.harness.bought[id_].choice = "paid" if paid else "open"

    # Banks.

    async def dispute(self, id_: str) -> None:
        await self._open_dispute(id_, "needs_response")

    async def inquire(self, id_: str) -> None:
        """Let the bank only ask; every third is prevented."""
        asked = sum(len(each.disputes) for each in self.harness.bought.values())
        await self._open_dispute(id_, "warning_needs_response" if asked % 3 else "prevented")

    async def _open_dispute(self, id_: str, status: str) -> None:
        """Dispute the latest payment; every other time Stripe tells of the payment afterwards."""
        bought = self.harness.bought[id_]
        invoice = list(bought.receipts)[-1]
        name = f"du_{len(bought.disputes)}_{id_}"
        tells_late = len(bought.disputes) % 2
        if not tells_late:
            await self.harness.deliver_payment(invoice)
        bought.disputes[name] = (invoice, status)
        await self.harness.deliver_dispute(name, invoice, status)
        if tells_late:
            await self.harness.deliver_payment(invoice)

    def _open_to(self, bought: Bought) -> list[str]:
        """Return what the latest dispute can become."""
        if not bought.disputes:
            return []
        _, status = list(bought.disputes.values())[-1]
        return list(_NEXT.get(status, ()))

    def _step(self, status: str) -> Move:
        async def step(id_: str) -> None:
            bought = self.harness.bought[id_]
            name = list(bought.disputes)[-1]
            invoice, _ = bought.disputes[name]
            bought.disputes[name] = (invoice, status)
            await self.harness.deliver_dispute(name, invoice, status)

        return step

    async def waive(self, id_: str) -> None:
        """Let an operator waive the disputes that suspend it, and others that are open."""
        bought = self.harness.bought[id_]
        for name in bought.disputes.keys() - bought.waived:
            await disputes.waive(self.harness.pool, name, "agreed", _BY)
            bought.waived.add(name)

    async def end_disputed(self) -> None:
        """Do what the worker does under DISPUTE_POLICY=cancel: each is cancelled once."""
        if self.harness.dispute_policy != "cancel":
            return
        wanted = [
            id_
            for id_, bought in self.harness.bought.items()
            if bought.is_disputed and bought.ended_at is None and bought.status != "incomplete"
        ]
        ended = await disputes.end_disputed(self.harness.provisioning.mirror)
        assert ended == len(wanted), (ended, wanted)
        for id_ in wanted:
            self.harness.note_end(id_)

    # Money back.

    async def credit(self, id_: str) -> None:
        """Credit all that is left of the latest payment to the balance."""
        await self._credit(id_, share=1, out_of_band=False)

    async def credit_part(self, id_: str) -> None:
        """Note that a third of the latest payment was given back outside of Stripe."""
        await self._credit(id_, share=3, out_of_band=True)

    async def _credit(self, id_: str, *, share: int, out_of_band: bool) -> None:
        bought = self.harness.bought[id_]
        invoice = [each for each, left in bought.receipts.items() if left][-1]
        amount = max(bought.receipts[invoice] // share, 1)
        await self.harness.deliver_credit_note(invoice, amount, out_of_band=out_of_band)
        bought.give_back(invoice, amount)

    # Pauses and terms.

    async def _request(self, id_: str) -> ChangeRequest:
        return ChangeRequest(_BY, await self.harness.id_of(id_), CustomerRef())

    async def pause(self, id_: str) -> None:
        """Pause it to a date after the next term, as the customer asks."""
        bought = self.harness.bought[id_]
        await self.harness.deliver_subscription(id_)  # it is not set to end
        until = bought.term_end + timedelta(days=40)
        request = await self._request(id_)
        done = await pause(self.harness.provisioning.mirror, request, until=until, reason=None)
        assert done.changed
        bought.collection_paused = True
        if bought.pause is None:
            bought.pause = Pause(bought.term_end, until)
        else:
            bought.pause.until = until

    async def resume(self, id_: str) -> None:
        """Collect again: what is paid for is served, else the next term."""
        bought = self.harness.bought[id_]
        request = await self._request(id_)
        assert (await resume(self.harness.provisioning.mirror, request)).changed
        bought.collection_paused = False
        if bought.pause is not None:
            bought.pause.until = min(bought.pause.until, bought.term_end)
            bought.pause = bought.pause if bought.pause.begun else None

    async def resume_at_stripe(self, id_: str) -> None:
        """Collect again by Stripe's Dashboard; the worker notices it within minutes."""
        bought = self.harness.bought[id_]
        bought.collection_paused = False
        await self.harness.deliver_subscription(id_)
        await self.harness.pool.execute(
            "UPDATE billing_pauses SET created_at = created_at - interval '1 hour'"
            " WHERE subscription_id = $1",
            await self.harness.id_of(id_),
        )
        await turn_pauses(self.harness.pool, 100)
        assert bought.pause is not None
        end = max(bought.term_end, bought.pause.since)
        bought.pause.until = min(bought.pause.until, end)

    async def begin_term(self, id_: str) -> None:
        """Begin the next term, once its time has come; it is paid unless collection is paused.

        Stripe collects again at the date of a pause.
        """
        bought, clock = self.harness.bought[id_], self.harness.clock
        clock.moment = start = max(clock(), bought.term_end).replace(microsecond=0)
        if bought.pause is not None and start >= bought.pause.until:
            bought.collection_paused = False
        bought.begin_term(start, start + TERM)
        if bought.collection_paused:
            await self.harness.deliver_subscription(id_)
        else:
            await self.actions.pay_the_next_only(id_)

    # Planned changes.

    async def plan(self, id_: str) -> None:
        """Plan another plan for the end of the term: nothing changes yet."""
        bought = self.harness.bought[id_]
        bought.planned = PLANS[PLANS.index(bought.plan) - 1]
        await self.harness.deliver_subscription(id_)

    async def release(self, id_: str) -> None:
        self.harness.bought[id_].planned = None
        await self.harness.deliver_subscription(id_)

    async def begin_phase(self, id_: str) -> None:
        """Let the schedule change the plan, and be over."""
        bought = self.harness.bought[id_]
        assert bought.planned is not None
        plan, bought.planned = bought.planned, None
        await self.actions.change(id_, plan, bought.addons)


def _choice_of(id_: str) -> str:
    """Return the invoice of the name that was chosen for a subscription."""
    return f"in_choice_{id_}"
