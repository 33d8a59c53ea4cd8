"""What is sent when something happens, in its order, as docs/sandbox.md has it."""

import os

from tests.stripe_sandbox import event_table
from tests.stripe_sandbox.test_switches import desk_with


def test_the_page_has_the_events_of_each_step_in_their_order():
    """WRITE_SANDBOX_TABLE=1 writes the table."""
    table = event_table.render(desk_with)
    if os.environ.get("WRITE_SANDBOX_TABLE"):
        event_table.write(table)
    assert event_table.written() == table, "make sandbox-table writes it"


def test_nothing_changes_without_saying_what_it_was_before():
    """An event of a change has `previous_attributes`; those of a beginning or an end have none."""
    for _, before, step, _ in event_table.STEPS:
        desk = desk_with()
        event_table.sent_by(desk, before, step)
        for event in desk.world.store.all("event"):
            _, _, what = event["type"].rpartition(".")
            told = "previous_attributes" in event["data"]
            assert told or what != "updated", event["type"]
            assert not told or what not in {"created", "deleted"}, event["type"]
