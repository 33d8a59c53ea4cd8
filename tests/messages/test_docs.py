"""docs/messages.md lists every type, and its example is what is sent."""

import json
import re
from typing import Any

from mpanel_billing.messages.types import TYPES
from mpanel_billing.resources import ROOT
from tests.messages.conftest import Life, Panel, send_due

TEXT = (ROOT / "docs" / "messages.md").read_text()


def test_each_type_is_in_the_document_with_its_meaning() -> None:
    rows = dict(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \| (.+) \|$", TEXT, re.MULTILINE))
    assert rows == dict(TYPES)


def shape(value: Any) -> Any:
    """The names in an object, and in those within it."""
    return {name: shape(each) for name, each in value.items()} if isinstance(value, dict) else ""


async def test_the_example_has_the_fields_that_are_sent(life: Life, panel: Panel) -> None:
    await panel.add(life.pool)
    await life.buy()
    await send_due(life.sender)
    [example] = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]
    paid = next(message for message in panel.got if message["type"] == "invoice.paid")
    assert shape(paid) == shape(example)
