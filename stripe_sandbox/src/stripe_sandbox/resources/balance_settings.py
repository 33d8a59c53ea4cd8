"""`/v1/balance_settings`: how the account is paid out, which moves no money in the sandbox."""

from stripe.params import BalanceSettingsRetrieveParams, BalanceSettingsUpdateParams

from stripe_sandbox import shapes
from stripe_sandbox.billing.balance import PENDING_DAYS
from stripe_sandbox.documents import Document
from stripe_sandbox.operations import Call, Operation
from stripe_sandbox.resources.records import merged
from stripe_sandbox.supported import supports
from stripe_sandbox.world import World, differences

KEPT = "_balance_settings"
INITIAL: Document = {
    "debit_negative_balances": True,
    "payouts": {"schedule": {"interval": "daily"}, "status": "enabled"},
    "settlement_timing": {"delay_days": PENDING_DAYS},
}


def fetch(call: Call) -> Document:
    """Return the settings."""
    return _settings(call.world)


def update(call: Call) -> Document:
    """Change the settings, and announce them."""
    world = call.world
    before = _settings(world)
    payments = merged(before["payments"], call.get("payments", {}))
    timing = payments["settlement_timing"]
    delay = timing["delay_days_override"]
    timing["delay_days"] = PENDING_DAYS if delay is None else delay
    world.store.put(KEPT, {"id": KEPT, "payments": payments})
    settings = _settings(world)
    previous = differences(before, settings)
    world.announce("balance_settings.updated", settings, previous=previous)
    return settings


def _settings(world: World) -> Document:
    kept = world.store.get(KEPT, KEPT) or {"payments": INITIAL}
    return shapes.complete({"object": "balance_settings", "payments": kept["payments"]})


SCHEDULE = supports("interval", "monthly_payout_days", "weekly_payout_days")
PAYMENTS = supports(
    "debit_negative_balances",
    payouts=supports("statement_descriptor", schedule=SCHEDULE),
    settlement_timing=supports("delay_days_override"),
)

OPERATIONS = (
    Operation("GET", "/balance_settings", BalanceSettingsRetrieveParams, fetch),
    Operation(
        "POST",
        "/balance_settings",
        BalanceSettingsUpdateParams,
        update,
        supports(payments=PAYMENTS),
    ),
)
