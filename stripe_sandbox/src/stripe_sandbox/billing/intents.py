"""What payment intents and setup intents share: how they begin, and their payment method."""

from typing import Any

from stripe_sandbox.bank_accounts import Instrument
from stripe_sandbox.billing.account_checks import BLANK_OPTIONS
from stripe_sandbox.billing.customers import instrument_behind
from stripe_sandbox.billing.method_shapes import type_of
from stripe_sandbox.documents import Document
from stripe_sandbox.world import World


def new_intent(world: World, kind: str, prefix: str, values: dict[str, Any]) -> Document:
    """Return an intent that has not been confirmed; `prefix` is that of its id."""
    intent_id = world.ids.next(prefix)
    has_method = values.get("payment_method")
    return {
        "id": intent_id,
        "object": kind,
        "client_secret": f"{intent_id}_secret_{world.ids.letters(25)}",
        "created": world.time_of(values),
        "livemode": False,
        "metadata": {},
        "payment_method_options": BLANK_OPTIONS,
        "payment_method_types": ["card"],
        "status": "requires_confirmation" if has_method else "requires_payment_method",
        **values,
    }


def use_method(world: World, intent: Document, method_id: str) -> Instrument:
    """Give an intent its payment method; return the test card or bank account behind it."""
    intent["payment_method"] = method_id
    instrument = instrument_behind(world, method_id)
    kinds = intent["payment_method_types"]
    intent["payment_method_types"] = list(dict.fromkeys([*kinds, type_of(instrument)]))
    return instrument
