"""The account's balance: a transaction for each movement of money, with Stripe's fees."""

from dataclasses import dataclass, field

from stripe_sandbox import shapes
from stripe_sandbox.billing.periods import DAY
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.money import percent_of
from stripe_sandbox.world import ACCOUNT_COUNTRY, World

KIND = "balance_transaction"
PENDING_DAYS = 2
CARD_FEE = (2.9, 30)
FOREIGN_CARD_PERCENT = 1.5
DEBIT_FEE = (0.8, 500)
DISPUTE_FEE = 1500
"""Stripe's fees in the United States: stripe.com/pricing. A percentage and minor units, which
for a bank debit are the most that it costs; a dispute costs a fixed sum.
"""


@dataclass(frozen=True)
class Movement:
    """Money that comes (positive) or goes, in minor units, with the fees taken from it."""

    kind: str
    amount: int
    currency: str
    source: str
    description: str | None = None
    category: str | None = None
    fees: tuple[tuple[str, int], ...] = field(default=())
    at_once: bool = False


def add_transaction(world: World, movement: Movement, at: int) -> Document:
    """Store a balance transaction of a movement at a Unix time; it is available two days later."""
    fee = sum(amount for _, amount in movement.fees)
    return world.add(
        {
            "id": world.ids.next("txn"),
            "object": KIND,
            "amount": movement.amount,
            "available_on": at if movement.at_once else at + PENDING_DAYS * DAY,
            "balance_type": "payments",
            "created": at,
            "currency": movement.currency,
            "description": movement.description,
            "fee": fee,
            "fee_details": [
                _fee_detail(name, amount, movement.currency) for name, amount in movement.fees
            ],
            "net": movement.amount - fee,
            "reporting_category": movement.category or movement.kind,
            "source": movement.source,
            "status": "available" if movement.at_once else "pending",
            "type": movement.kind,
        }
    )


def _fee_detail(description: str, amount: int, currency: str) -> Document:
    return {
        "amount": amount,
        "currency": currency,
        "description": description,
        "type": "stripe_fee",
    }


def add_charge(
    world: World, charge: ReadOnly, method_type: str, *, country: str, at_once: bool
) -> str:
    """Store the balance transaction of a charge; return its id."""
    amount = charge["amount_captured"]
    if method_type in {"sepa_debit", "us_bank_account"}:
        fee = min(percent_of(amount, DEBIT_FEE[0]), DEBIT_FEE[1])
    else:
        fee = percent_of(amount, CARD_FEE[0]) + CARD_FEE[1]
        fee += percent_of(amount, FOREIGN_CARD_PERCENT) if country != ACCOUNT_COUNTRY else 0
    movement = Movement(
        kind="charge" if method_type == "card" else "payment",
        amount=amount,
        currency=charge["currency"],
        source=charge["id"],
        description=charge["description"],
        fees=(("Stripe processing fees", fee),),
        at_once=at_once,
    )
    transaction = add_transaction(world, movement, world.time_of(charge))
    if at_once:
        world.announce("balance.available", balance_now(world))
    return str(transaction["id"])


def aged(world: World, transaction: ReadOnly) -> Document:
    """Return a transaction as it is now: available since its `available_on`."""
    is_there = transaction["available_on"] <= world.now()
    return {**transaction, "status": "available" if is_there else transaction["status"]}


def balance_now(world: World) -> Document:
    """Return the account's balance: available after the fees, and what is still pending."""
    sums: dict[str, dict[str, int]] = {"available": {}, "pending": {}}
    for transaction in world.store.all(KIND):
        part, currency = sums[aged(world, transaction)["status"]], transaction["currency"]
        part[currency] = part.get(currency, 0) + transaction["net"]
    balance: Document = {"object": "balance", "livemode": False}
    return shapes.complete(balance | {name: _amounts(part) for name, part in sums.items()})


def _amounts(part: ReadOnly) -> list[Document]:
    amounts = part or {"usd": 0}
    return [
        {"amount": amount, "currency": currency, "source_types": {"card": amount}}
        for currency, amount in amounts.items()
    ]
