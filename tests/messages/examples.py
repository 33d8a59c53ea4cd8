"""docs/message-examples.json: a message of each type, as it was sent.

WRITE_MESSAGE_EXAMPLES=1 writes those that are no longer sent like that.
"""

import json
import os
import re
from collections.abc import Sequence
from typing import Any

from mpanel_billing.resources import ROOT

FILE = ROOT / "docs" / "message-examples.json"

_SANDBOX, _STRIPE = r"http://127\.0\.0\.1:\d+", "https://invoice.stripe.com"
_MADE_UP = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00", "TIME"),
    (r"\b(acct|ch|cn|cus|dp|du|in|pi|re|sub)_\w+", r"\1_ID"),
    (r"\b[0-9A-Z]{8}-\d{4}(-CN-\d\d)?\b", r"NUMBER\1"),
    (rf"{_SANDBOX}|{re.escape(_STRIPE)}", "STRIPE"),
    (r"^[\w-]+(?=\.panel\.test$)", "NAME"),
    (r"(?<=mpanel-verification=)\S+", "TOKEN"),
)
_COUNTED = frozenset({"sequence", "expMonth", "expYear"})


def read_examples() -> dict[str, Any]:
    examples: dict[str, Any] = json.loads(FILE.read_text())
    return examples


def likeness(value: Any, name: str = "") -> Any:
    """What each run has in common: without ids, times, and what the calendar decides."""
    if isinstance(value, dict):
        return {key: likeness(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [likeness(each) for each in value]
    if isinstance(value, str):
        for pattern, word in _MADE_UP:
            value = re.sub(pattern, word, value)
    return type(value).__name__ if name in _COUNTED else value


def hold(sent: Sequence[dict[str, Any]], types: Sequence[str]) -> None:
    """The first message of each type is the example in the document."""
    first = {message["type"]: message for message in reversed(sent)}
    assert set(types) <= first.keys()
    if os.environ.get("WRITE_MESSAGE_EXAMPLES"):
        _write({type_: first[type_] for type_ in types})
    examples = read_examples()
    for type_ in types:
        assert likeness(first[type_]) == likeness(examples.get(type_)), type_


def _write(sent: dict[str, Any]) -> None:
    examples = read_examples() if FILE.exists() else {}
    changed = {
        type_: message
        for type_, message in sent.items()
        if likeness(message) != likeness(examples.get(type_))
    }
    content = dict(sorted((examples | changed).items()))
    text = json.dumps(content, indent=2, ensure_ascii=False)
    FILE.write_text(re.sub(_SANDBOX, _STRIPE, text) + "\n")
