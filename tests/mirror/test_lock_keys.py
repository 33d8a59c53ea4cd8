"""What is locked to apply a snapshot, and in which order."""

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest

from mpanel_billing.mirror.locks import lock_keys
from mpanel_billing.mirror.snapshot import Snapshot, snapshot_of_event
from tests import stripe_objects as made
from tests.mirror.test_types import (
    CHARGE,
    CREDIT_NOTE,
    DISPUTE,
    FRAUD_WARNING,
    TAX_ID,
    TAX_RATE,
)

ORDER = "0190d2f0-0000-7000-8000-000000000001"


def snapshot(about: Mapping[str, Any]) -> Snapshot:
    return snapshot_of_event(
        about,
        event_id="evt_1",
        event_type=f"{about['object']}.updated",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        livemode=False,
        previous=None,
    )


REFUND: dict[str, Any] = {"id": "re_1", "object": "refund", "status": "succeeded", "created": 1}
REFUND |= {"amount": 500, "currency": "usd", "payment_intent": "pi_1"}

LOCKED = {
    "subscription": (made.subscription(), ["cus:cus_1", "sub:sub_1"]),
    "invoice": (made.invoice(), ["in:in_1", "sub:sub_1"]),
    "invoice without a subscription": (made.invoice(subscription=None), ["in:in_1"]),
    "payment": (made.invoice_payment(), ["pi:pi_1", "in:in_1"]),
    "refund": (REFUND, ["pi:pi_1", "re:re_1"]),
    "charge": (CHARGE, ["ch:ch_1"]),
    "credit note": (CREDIT_NOTE, ["cn:cn_1", "in:in_1"]),
    "dispute": (DISPUTE | {"payment_intent": "pi_1"}, ["du:du_1", "pi:pi_1"]),
    "early fraud warning": (FRAUD_WARNING, ["issfr:issfr_1"]),
    "tax id": (TAX_ID, ["txi:txi_1", "cus:cus_1"]),
    "tax rate": (TAX_RATE, ["txr:txr_1"]),
    "session of an order": (made.session(order=ORDER), [f"order:{ORDER}", "sub:sub_1"]),
    "session without an order": (made.session(subscription=None), ["order:cs_test_1"]),
    "customer": ({"id": "cus_1", "object": "customer"}, ["cus:cus_1"]),
}


@pytest.mark.parametrize(("about", "keys"), LOCKED.values(), ids=LOCKED)
def test_a_snapshot_locks_everything_written_or_derived_with_it(
    about: Mapping[str, Any], keys: list[str]
) -> None:
    assert lock_keys([snapshot(about)]) == keys


def test_all_transactions_lock_in_one_order() -> None:
    objects = [made.subscription(), made.invoice("in_2", subscription="sub_2"), made.session()]
    snapshots = [snapshot(about) for about in (*objects, made.subscription("sub_0"))]
    assert len({tuple(lock_keys(some)) for some in permutations(snapshots)}) == 1
