"""`billing_tax` is what Stripe's documents say, to the minor unit, over random histories."""

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from mpanel_billing.database.queries import load_queries
from tests import stripe_objects as made
from tests.commands import run_command
from tests.inbox import Inbox
from tests.revenue.examples import examples, running_pool
from tests.stripe_objects import credit_note, tax

T = 1_790_000_000
DAY = 86_400
RATES = {
    "txr_de": ("DE", "DE", "VAT", 19),
    "txr_fr": ("FR", "FR", "VAT", 20),
    "txr_tx": ("US", "TX", "Sales Tax", 8.25),
    "txr_unknown": (None, None, None, None),
}
REASONS = ("standard_rated", "reverse_charge")

Key = tuple[object, ...]
Sums = Mapping[Key, tuple[int, int]]

TAXED = some.lists(
    some.tuples(
        some.sampled_from(sorted(RATES)), some.sampled_from(REASONS), some.integers(0, 2_000)
    ),
    max_size=3,
    unique_by=lambda each: each[:2],
)
BACK = some.lists(
    some.tuples(
        some.sampled_from(["refund", "noted refund", "note", "voided note", "failed refund"]),
        some.integers(1, 700),
        some.integers(0, 60),
    ),
    max_size=4,
)
SALES = some.lists(
    some.tuples(
        TAXED,
        some.sampled_from(["usd", "eur", "jpy"]),
        some.sampled_from(["paid", "paid", "paid", "open", "void", "draft"]),
        some.integers(0, 60),
        BACK,
    ),
    min_size=1,
    max_size=3,
)


@dataclass(frozen=True)
class Told:
    """An event: its type, and the object in it."""

    type_: str
    about: Mapping[str, Any]


def month_of(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m}"


def taxes_of(taxed: Sequence[tuple[str, str, int]], part: Fraction) -> list[dict[str, Any]]:
    """The taxes of a part of what is taxed; a reverse charge taxes nothing."""
    return [
        tax(
            0 if reason == "reverse_charge" else int(net * part * Fraction(1, 5)),
            0 if reason == "reverse_charge" else int(net * part),
            tax_rate_details={"tax_rate": rate},
            taxability_reason=reason,
        )
        for rate, reason, net in taxed
    ]


def lines_of(taxed: Sequence[tuple[str, str, int]], part: Fraction) -> dict[str, Any]:
    listed = [
        {"amount": int(net * part), "taxes": [one], "period": {"start": T, "end": T + DAY}}
        for (_, _, net), one in zip(taxed, taxes_of(taxed, part), strict=True)
    ]
    return {"object": "list", "has_more": False, "data": listed}


class History:
    """Sales with what is given back of them: as Stripe tells it, and what is to be declared."""

    def __init__(self) -> None:
        self.events: list[Told] = []
        self.expected: defaultdict[Key, list[int]] = defaultdict(lambda: [0, 0])

    def sell(self, name: str, sale: Any) -> None:
        taxed, currency, status, day, back = sale
        at = T + day * DAY
        whole = taxes_of(taxed, Fraction(1))
        net = sum(amount for _, _, amount in taxed)
        total = net + sum(one["amount"] for one in whole)
        moments = {"finalized_at": None if status == "draft" else at}
        if status == "void":
            moments["voided_at"] = at + 40 * DAY
        bill = made.invoice(
            f"in_{name}", subscription=None, status=status, total=total, created=at,
            currency=currency, total_taxes=whole, lines=lines_of(taxed, Fraction(1)),
            status_transitions=moments,
        )  # fmt: skip
        self.events.append(Told("invoice.updated", bill))
        if status == "draft":
            return
        self._declare(at, currency, taxed, whole, sign=1)
        if status == "void":
            self._declare(at + 40 * DAY, currency, taxed, whole, sign=-1)
        if status == "paid" and total:
            paid = made.invoice_payment(
                f"inpay_{name}", invoice=f"in_{name}", payment_intent=f"pi_{name}", amount=total
            )
            self.events.append(Told("invoice_payment.paid", paid))
            self._give_back(name, sale, total, at, back)

    def _give_back(self, name: str, sale: Any, total: int, sold_at: int, back: Any) -> None:
        left, refunded = total, 0
        for number, (how, amount, days) in enumerate(sorted(back, key=lambda each: each[2])):
            given = min(amount, left)
            if not given:
                continue
            id_, at = f"{name}_{number}", sold_at + days * DAY + number
            if how == "failed refund":
                self._refund(id_, name, sale[1], amount=given, at=at, status="failed")
                continue
            left -= given
            if how == "refund":
                self._refund(id_, name, sale[1], amount=given, at=at)
                self._declare_refund(sale, total, refunded, refunded + given, at)
                refunded += given
            else:
                part = Fraction(given, total)
                self._note(id_, name, sale, how, part=part, given=given, at=at)

    def _refund(
        self, id_: str, name: str, currency: str, *, amount: int, at: int, status: str = "succeeded"
    ) -> None:
        refund = made.refund(
            f"re_{id_}", payment_intent=f"pi_{name}", amount=amount, status=status
        ) | {"created": at, "currency": currency}
        self.events.append(Told("refund.updated", refund))

    def _declare_refund(self, sale: Any, total: int, before: int, now: int, at: int) -> None:
        for (rate, reason, net), one in zip(sale[0], taxes_of(sale[0], Fraction(1)), strict=True):
            shares = [
                share(whole, now, total) - share(whole, before, total)
                for whole in (net, one["amount"])
            ]
            self._add((month_of(at), rate, reason, sale[1]), -shares[0], -shares[1])

    def _note(
        self, id_: str, name: str, sale: Any, how: str, *, part: Fraction, given: int, at: int
    ) -> None:
        taxed, currency = sale[0], sale[1]
        taxes = taxes_of(taxed, part)
        refunds = []
        if how == "noted refund":
            self._refund(id_, name, currency, amount=given, at=at)
            refunds = [{"refund": f"re_{id_}", "amount_refunded": given}]
        note = credit_note(
            f"cn_{id_}", f"in_{name}", currency=currency, total=given, refunds=refunds,
            post_payment_amount=given, total_taxes=taxes, lines=lines_of(taxed, part), created=at,
        )  # fmt: skip
        self._declare(at, currency, taxed, taxes, sign=-1, part=part)
        if how == "voided note":
            note |= {"status": "void", "voided_at": at + 31 * DAY}
            self._declare(at + 31 * DAY, currency, taxed, taxes, sign=1, part=part)
        self.events.append(Told("credit_note.updated", note))

    def _declare(
        self,
        at: int,
        currency: str,
        taxed: Any,
        taxes: Any,
        *,
        sign: int,
        part: Fraction = Fraction(1),
    ) -> None:
        for (rate, reason, net), one in zip(taxed, taxes, strict=True):
            self._add(
                (month_of(at), rate, reason, currency), sign * int(net * part), sign * one["amount"]
            )

    def _add(self, key: Key, net: int, amount: int) -> None:
        sums = self.expected[key]
        sums[0] += net
        sums[1] += amount


def share(whole: int, given: int, total: int) -> int:
    exact = Decimal(whole * given) / Decimal(total)
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def rates() -> Iterator[Mapping[str, Any]]:
    for id_, (country, state, name, percentage) in RATES.items():
        if country is not None:
            yield {
                "id": id_, "object": "tax_rate", "active": False, "country": country,
                "created": T, "display_name": name, "inclusive": False, "percentage": percentage,
                "jurisdiction": state,
            }  # fmt: skip


def described(expected: Mapping[Key, Sequence[int]]) -> Sums:
    """The sums by what billing_tax has of a rate; of an unknown one nothing is known."""
    found: defaultdict[Key, list[int]] = defaultdict(lambda: [0, 0])
    for (month, rate, reason, currency), (net, amount) in expected.items():
        country, jurisdiction, name, percentage = RATES[str(rate)]
        exact = None if percentage is None else Decimal(str(percentage))
        sums = found[month, country, jurisdiction, name, exact, reason, currency]
        sums[0] += net
        sums[1] += amount
    return {key: (net, amount) for key, (net, amount) in found.items() if net or amount}


SELECTED = """
SELECT to_char(period, 'YYYY-MM'), country, jurisdiction, tax_name, rate, reason, currency,
    net, tax
FROM billing_tax WHERE NOT livemode
"""


CLEARED = (
    "DELETE FROM invoices; DELETE FROM invoice_payments; DELETE FROM stripe_refunds;"
    " DELETE FROM stripe_credit_notes; DELETE FROM stripe_tax_rates; DELETE FROM stripe_refetches"
)


async def compare(inbox: Inbox, sales: Any, order: Any) -> None:
    """Tell a history in any order; the view and the lines are what it says."""
    history = History()
    for number, sale in enumerate(sales):
        history.sell(str(number), sale)
    events = [*history.events, *history.events[:2], *(Told("tax_rate.updated", r) for r in rates())]
    order.shuffle(events)
    await inbox.pool.execute(CLEARED)
    for told in events:
        assert await inbox.deliver(told.type_, told.about, created=T) in {"applied", "stale"}
    rows = [tuple(row) for row in await inbox.pool.fetch(SELECTED)]
    found = {row[:7]: row[7:] for row in rows if row[7] or row[8]}
    assert found == described(history.expected)
    sums = await inbox.row(
        "SELECT (SELECT sum((line ->> 'amount')::bigint) FROM invoices,"
        " jsonb_array_elements(taxes) AS line WHERE finalized_at IS NOT NULL),"
        " (SELECT sum(tax) FROM billing_tax_lines WHERE kind = 'invoice')"
    )
    assert sums[0] == sums[1]


def test_billing_tax_is_what_the_documents_say(database_url: str) -> None:
    with running_pool(database_url) as (runner, pool):

        @examples(10)
        @given(sales=SALES, order=some.randoms(use_true_random=False))
        def it_is(sales: Any, order: Any) -> None:
            runner.run(compare(Inbox(pool), sales, order))

        it_is()


async def test_refunds_of_all_give_all_taxes_back(inbox: Inbox) -> None:
    bill = made.invoice(
        total=1000, subscription=None, total_taxes=[tax(66, 333), tax(1, 7, taxability_reason="x")],
        status_transitions={"finalized_at": T, "paid_at": T},
    )  # fmt: skip
    await inbox.deliver("invoice.paid", bill, created=T)
    await inbox.deliver("invoice_payment.paid", made.invoice_payment(amount=1000), created=T)
    for number, amount in enumerate((333, 333, 333, 1)):
        refund = made.refund(f"re_{number}", payment_intent="pi_1", amount=amount)
        await inbox.deliver("refund.created", refund | {"created": T + number}, created=T)
    found = await inbox.row(
        "SELECT sum(net)::int, sum(tax)::int, count(*), count(*) FILTER (WHERE kind = 'refund')"
        " FROM billing_tax_lines"
    )
    assert tuple(found) == (0, 0, 10, 8)


async def test_the_command_prints_a_csv(inbox: Inbox, database_url: str) -> None:
    bill = made.invoice(
        total=1190, subscription=None, total_taxes=[tax(190, 1000)],
        status_transitions={"finalized_at": T, "paid_at": T},
    )  # fmt: skip
    await inbox.deliver("invoice.paid", bill, created=T)
    await inbox.deliver(
        "tax_rate.updated",
        {
            "id": "txr_1", "object": "tax_rate", "active": False, "country": "DE", "created": T,
            "display_name": "=1+1", "inclusive": False, "percentage": 19, "jurisdiction": "DE, all",
        },
        created=T,
    )  # fmt: skip
    month = month_of(T)
    ended = await run_command(database_url, "tax", "report", "--from", month)
    assert ended.status == 0, ended.err
    (row,) = csv.DictReader(ended.out.splitlines())
    assert row == {
        "period": f"{month}-01", "country": "DE", "jurisdiction": "DE, all", "tax_name": "'=1+1",
        "rate": "19", "reason": "standard_rated", "net": "10.00", "tax": "1.90",
        "currency": "usd", "documents": "1",
    }  # fmt: skip
    ended = await run_command(database_url, "tax", "report", "--from", month, "--lines")
    (line,) = csv.DictReader(ended.out.splitlines())
    assert (line["document_id"], line["invoice"], line["tax"]) == ("in_1", "TEST-in_1", "1.90")
    ended = await run_command(database_url, "tax", "report", "--from", month, "--to", "2020-01")
    assert ended.status == 2
    assert "must not be before" in ended.err


async def test_a_month_is_read_by_index(inbox: Inbox) -> None:
    text = load_queries("taxes").by_name["sum_taxes"].sql
    async with inbox.pool.acquire() as conn, conn.transaction():
        await conn.execute("SET LOCAL enable_seqscan = off")
        moments = (datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
        lines = await conn.fetch(f"EXPLAIN (FORMAT TEXT) {text}", False, *moments)
    plan = "\n".join(row[0] for row in lines)
    for index in (
        "billing_invoices_taxed_idx",
        "billing_invoices_voided_idx",
        "stripe_credit_notes_taxed_idx",
        "stripe_credit_notes_voided_idx",
        "stripe_refunds_created_idx",
    ):
        assert index in plan
    assert "Seq Scan" not in plan.replace("Seq Scan on stripe_tax_rates", "")
