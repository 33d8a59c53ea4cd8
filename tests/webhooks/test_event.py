"""Signed bodies: which are events, which are kept, which are applied."""

import copy
import json
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpanel_billing.webhooks.event import (
    Event,
    NotAnEventError,
    WrongModeError,
    parse_body,
    parse_event,
)
from mpanel_billing.webhooks.prepared import prepare_event
from tests import stripe_objects as made

EXAMPLES = int(os.environ.get("CONVERGENCE_EXAMPLES", "100"))


def parse(payload: object) -> Event:
    body = payload if isinstance(payload, bytes) else made.encoded(payload)
    return parse_event(parse_body(body), livemode=False)


def test_an_event_of_a_mirrored_type_carries_a_snapshot() -> None:
    event = parse(made.event("customer.subscription.updated", made.subscription()))
    assert event.snapshot is not None
    assert event.object_id == "sub_1"
    assert event.reason is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b'"evt_1"',
        b"12",
        b"null",
        b"{}",
        b'{"id": 7}',
        b'{"id": ""}',
        b'{"id": null}',
        b'{"id": ["evt_1"]}',
        b'{"id": "evt_\xff"}',
        json.dumps({"id": "e" * 10_000}).encode(),
        b'{"id": "evt_1", "x": ' + b"[" * 501 + b"]" * 501 + b"}",
        b"[" * 200_000,
    ],
)
def test_a_body_that_is_not_an_event_is_refused(body: bytes) -> None:
    with pytest.raises(NotAnEventError) as caught:
        parse(body)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"type": "unicorn.created"}, "its type is not mirrored"),
        ({"type": None}, "its type is not mirrored"),
        ({"type": 7}, "its type is not mirrored"),
        ({"type": ["customer.subscription.updated"]}, "its type is not mirrored"),
        ({"type": {}}, "its type is not mirrored"),
        ({"object": "v2.core.event"}, "is a v2.core.event, not an event"),
        ({"object": None}, "nameless object"),
        ({"account": "acct_1"}, "connected account"),
    ],
)
def test_an_odd_event_is_kept_with_the_reason(change: dict[str, Any], reason: str) -> None:
    event = parse(made.event("customer.subscription.updated", made.subscription()) | change)
    assert (event.snapshot, event.error) == (None, None)
    assert reason in (event.reason or "")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"data": None}, "it has no object"),
        ({"data": {}}, "it has no object"),
        ({"data": {"object": "sub_1"}}, "it has no object"),
        ({"created": None}, "created is missing"),
        ({"created": "yesterday"}, "created is not a 64-bit integer"),
        ({"created": 10**30}, "created is not a 64-bit integer"),
        ({"data": {"object": {"object": "subscription"}}}, "id is not a Stripe id"),
        ({"data": {"object": {"object": ["subscription"]}}}, "object is not a string"),
    ],
)
def test_an_event_of_a_mirrored_type_that_cannot_be_read_has_an_error(
    change: dict[str, Any], error: str
) -> None:
    event = parse(made.event("customer.subscription.updated", made.subscription()) | change)
    assert (event.snapshot, event.reason) == (None, None)
    assert event.error == f"cannot be read: {error}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
PAYLOADS = [
    made.event(type_, about)
    for type_, about in {
        "customer.subscription.updated": made.subscription(),
        "invoice.paid": made.invoice(total_taxes=[{"amount": 5}]),
        "invoice_payment.paid": made.invoice_payment(),
        "checkout.session.completed": made.session(order="0190d2f0-0000-7000-8000-000000000001"),
    }.items()
]


def places(value: Any) -> list[tuple[Any, ...]]:
    """Return the path of each value in a JSON value."""
    if not isinstance(value, dict | list):
        return []
    keys = value if isinstance(value, dict) else range(len(value))
    return [path for key in keys for path in [(key,), *((key, *p) for p in places(value[key]))]]


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_a_signed_event_with_any_value_replaced_is_kept_or_refused_and_never_breaks(
    data: st.DataObject,
) -> None:
    payload = copy.deepcopy(data.draw(st.sampled_from(PAYLOADS)))
    *path, last = data.draw(st.sampled_from(places(payload)))
    inner = payload
    for key in path:
        inner = inner[key]
    inner[last] = data.draw(JSON)
    try:
        event = parse(payload)
    except (NotAnEventError, WrongModeError):
        return
    assert [event.snapshot, event.reason, event.error].count(None) == 2
    assert "Traceback" not in (event.error or "")
    prepare_event(event)


def test_an_upcoming_invoice_has_no_id_and_is_kept_without_effect() -> None:
    upcoming = made.invoice()
    del upcoming["id"]
    event = parse(made.event("invoice.upcoming", upcoming))
    assert event.object_id is None
    assert event.reason == "its object does not exist yet"


def test_an_event_of_the_other_mode_is_refused_and_says_which_disagree() -> None:
    payload = made.event("customer.subscription.updated", made.subscription()) | {"livemode": True}
    with pytest.raises(
        WrongModeError, match="a live mode event, but the configured Stripe key is a test"
    ):
        parse(payload)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (r'"a\u0000b"', "a\N{REPLACEMENT CHARACTER}b"),
        (r'"a\ud800b"', "a\N{REPLACEMENT CHARACTER}b"),
        (r'"\uD83D\uDE00"', "\N{GRINNING FACE}"),
        ("1e999", None),
        ("NaN", None),
        ("-Infinity", None),
        ("1" * 5000, None),
        ('"first", "x": "last"', "last"),
    ],
)
def test_what_jsonb_cannot_hold_is_replaced(written: str, kept: object) -> None:
    body = parse_body(f'{{"id": "evt_1", "x": {written}}}'.encode())
    assert body.values["x"] == kept
    assert json.loads(body.text)["x"] == kept


def test_a_number_beyond_64_bits_is_kept_as_it_was_sent() -> None:
    body = parse_body(b'{"id": "evt_1", "x": ' + b"1" * 30 + b"}")
    assert "1" * 30 in body.text
