"""Each switch changes what it says, and nothing if it is left alone."""

from pathlib import Path

import pytest

from stripe_sandbox import Choices, Dunning, SandboxConfig
from stripe_sandbox.app import make_world
from stripe_sandbox.choices import SWITCHES
from stripe_sandbox.store import Store
from tests.stripe_sandbox.desk import Desk
from tests.stripe_sandbox.switch_scenes import STORIES, stock

PAGE = Path(__file__).parents[2] / "docs" / "sandbox.md"
ELSEWHERE = {
    "bank_accounts": "test_microdeposits.py",
    "bank_debits": "test_bank_debits.py",
    "ended_flag": "test_discounts.py",
    "event_time": "conftest.py",
    "phase_defaults": "test_phase_settings.py",
    "replaced_discounts": "test_discounts.py",
    "scheduled_items": "test_subscription_schedules.py",
    "used_up_discounts": "test_discounts.py",
}
"""Switches whose ways other modules test."""


def desk_with(**ways: str) -> Desk:
    dunning = Dunning(retry_days=(3,), final="pause" if "failed_pause" in ways else "cancel")
    config = SandboxConfig(seed=1, choices=Choices(**ways), dunning=dunning)  # type: ignore[arg-type]
    desk = Desk(make_world(Store(), config))
    stock(desk)
    return desk


@pytest.mark.parametrize("name", STORIES)
def test_a_switch_decides_how_its_story_ends(name):
    story, default, other = STORIES[name]
    ways = next(switch.ways for switch in SWITCHES if switch.name == name)
    assert [story(desk_with(**{name: way})) for way in ways] == [default, other]


def test_every_switch_has_a_story():
    assert STORIES.keys() | ELSEWHERE.keys() == {switch.name for switch in SWITCHES}
    for name, module in ELSEWHERE.items():
        assert f"{name}=" in (Path(__file__).parent / module).read_text(), (name, module)


@pytest.mark.parametrize("switch", SWITCHES, ids=lambda one: one.name)
def test_the_page_names_each_switch(switch):
    others = " or ".join(f"{switch.option} {way}" for way in switch.ways[1:])
    assert any(f"`{switch.option} {way}`" in PAGE.read_text() for way in switch.ways[1:]), others
