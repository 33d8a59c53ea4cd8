"""Objects in memory and on disk: nothing shows which of them are where."""

import random

import pytest

from stripe_sandbox.store import Store

CUSTOMERS = ("cus_a", "cus_b", "cus_c")


class FailedError(Exception):
    """What ends a transaction of these tests."""


class Model:
    """The same operations on a plain dictionary."""

    def __init__(self) -> None:
        self.charges: dict[str, dict] = {}

    def of(self, customer: str) -> list[str]:
        return [one["id"] for one in self.charges.values() if one["customer"] == customer]


def act(store: Store, model: Model, chance: random.Random, number: int) -> None:
    """Make, change or delete an object in both."""
    action = chance.choice(("make", "make", "change", "delete", "get"))
    chosen = chance.choice([*model.charges]) if model.charges else None
    if action == "make" or chosen is None:
        document = {"id": f"ch_{number}", "customer": chance.choice(CUSTOMERS), "amounts": [number]}
    elif action == "get":
        assert store.get("charge", chosen) == model.charges[chosen]
        return
    elif action == "delete":
        store.delete("charge", chosen)
        del model.charges[chosen]
        return
    else:
        document = store.get("charge", chosen)
        document["customer"] = chance.choice(CUSTOMERS)
        document["amounts"].append(number)
    store.put("charge", document)
    model.charges[document["id"]] = document


def fail_sometimes(chance: random.Random) -> None:
    if chance.random() < 0.2:
        raise FailedError


def check(store: Store, model: Model) -> None:
    assert list(store.all("charge")) == [*model.charges.values()]
    newest = [one["id"] for one in store.newest_first("charge")]
    assert newest == [*reversed(model.charges)]
    assert store.count("charge") == len(model.charges)
    for customer in CUSTOMERS:
        assert [one["id"] for one in store.where("charge", "customer", customer)] == model.of(
            customer
        )
        found = store.newest_first("charge", having=("customer", customer))
        assert [one["id"] for one in found] == model.of(customer)[::-1]
    for place, object_id in enumerate(newest):
        after = [one["id"] for one in store.newest_first("charge", object_id)]
        assert after == newest[place + 1 :]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kept", [False, True], ids=["temporary", "kept"])
def test_histories_with_failed_transactions_snapshots_and_restarts(tmp_path, seed, kept):
    chance, model, kept_model = random.Random(seed), Model(), None
    file = tmp_path / "state.sqlite"
    store = Store(warm=4)
    if kept:
        store.open(file)
    for number in range(60):
        before = dict(model.charges)
        try:
            with store.transaction():
                for step in range(chance.randrange(1, 5)):
                    act(store, model, chance, number * 10 + step)
                with store.rehearsal():
                    act(store, Model(), chance, 9999)
                fail_sometimes(chance)
        except FailedError:
            model.charges = before
        check(store, model)
        if number % 20 == 10:
            store.keep_snapshot("one", 0)
            kept_model = dict(model.charges)
        if kept_model is not None and number % 20 == 19:
            store.restore_snapshot("one")
            model.charges = dict(kept_model)
            check(store, model)
        if kept and number % 15 == 14:
            store.close()
            store = Store(warm=4)
            store.open(file)
            check(store, model)
    store.close()


def test_few_objects_are_in_memory():
    store = Store(warm=100)
    for number in range(1000):
        with store.transaction():
            store.put("event", {"id": f"evt_{number}", "created": number})
    assert len(store._warm) <= 100
    assert store.get("event", "evt_3") == {"id": "evt_3", "created": 3}
    list(store.all("event"))
    assert len(store._warm) <= 100
    store.close()


def test_a_change_of_a_copy_changes_nothing():
    store = Store()
    given = {"id": "evt_1", "data": {"object": {}}}
    with store.transaction():
        store.put("event", given)
    given["data"]["object"]["id"] = "x"
    store.get("event", "evt_1")["data"]["object"]["id"] = "x"
    assert store.peek("event", "evt_1") == {"id": "evt_1", "data": {"object": {}}}
    with pytest.raises(RuntimeError, match="outside a transaction"):
        store.put("event", given)


def test_an_unknown_field_is_not_looked_up():
    with pytest.raises(KeyError):
        Store().where("charge", "amount", "1")
