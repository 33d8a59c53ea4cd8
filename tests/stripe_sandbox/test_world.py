"""What the world keeps of an object: versions share what is the same, and nobody can change it."""

import pytest

from stripe_sandbox import SandboxConfig
from stripe_sandbox.app import make_world
from stripe_sandbox.store import Store


@pytest.fixture
def world():
    made = make_world(Store(), SandboxConfig(seed=1))
    with made.store.transaction():
        yield made


def product(**more):
    return {"id": "prod_1", "object": "product", "name": "A", "images": ["a"], **more}


def test_a_version_shares_with_the_earlier_one_what_is_the_same(world):
    first = world.keep(product(metadata={"a": "1"}))
    second = world.keep(product(metadata={"a": "2"}))
    assert (first["metadata"], second["metadata"]) == ({"a": "1"}, {"a": "2"})
    assert second["images"] is first["images"]


def test_whoever_made_an_object_cannot_change_what_is_kept(world):
    given = product(metadata={"a": "1"})
    made = world.add(given)
    given["metadata"]["a"] = given["images"][0] = "changed"
    made["metadata"]["a"] = made["images"][0] = "changed"
    found = world.find("product", "prod_1")
    found["metadata"]["a"] = found["images"][0] = "changed"
    kept = world.view("product", "prod_1")
    assert (kept["metadata"], kept["images"]) == ({"a": "1"}, ["a"])


def test_an_event_has_the_object_as_it_was(world):
    world.announce("product.created", world.add(product(metadata={"a": "1"})))
    changed = world.find("product", "prod_1")
    changed["metadata"]["a"] = "2"
    world.change(changed)
    made, updated = world.store.all("event")
    assert made["data"]["object"]["metadata"] == {"a": "1"}
    assert updated["data"]["previous_attributes"] == {"metadata": {"a": "1"}}
    assert updated["data"]["object"] is world.view("product", "prod_1")


def test_an_event_about_what_is_not_kept_has_a_copy(world):
    upcoming = product(metadata={"a": "1"})
    world.announce("product.updated", upcoming)
    upcoming["metadata"]["a"] = "2"
    [event] = world.store.all("event")
    assert event["data"]["object"]["metadata"] == {"a": "1"}


def test_ids_are_letters_and_digits_and_repeatable(world):
    again = make_world(Store(), SandboxConfig(seed=1))
    ids = [world.ids.next(prefix) for prefix in ("cus", "evt", "pi")]
    assert ids == [again.ids.next(prefix) for prefix in ("cus", "evt", "pi")]
    assert [len(one.split("_")[1]) for one in ids] == [14, 24, 24]
    assert all(one.split("_")[1].isalnum() for one in ids)
