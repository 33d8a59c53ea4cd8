"""Which changes of a subscription are heard of."""

from uuid import UUID, uuid4

import pytest

from mpanel_billing.database.notifications import SubscriptionChanges

ID = uuid4()


@pytest.fixture
def changes() -> SubscriptionChanges:
    listening = SubscriptionChanges()
    listening.begin()
    return listening


def is_told(changes: SubscriptionChanges, since: int, id_: UUID = ID) -> bool:
    with changes.watch(id_, since) as changed:
        return changed.is_set()


def test_a_change_while_it_is_watched_is_told(changes: SubscriptionChanges) -> None:
    with changes.watch(ID, changes.mark()) as changed:
        changes.hear(str(uuid4()))
        assert not changed.is_set()
        changes.hear(str(ID))
        assert changed.is_set()


def test_a_change_between_the_mark_and_the_watch_is_told(changes: SubscriptionChanges) -> None:
    changes.hear(str(ID))
    mark = changes.mark()
    assert not is_told(changes, mark)
    changes.hear(str(uuid4()))
    assert not is_told(changes, mark)
    changes.hear(str(ID))
    assert is_told(changes, mark)


def test_what_may_have_been_missed_counts_as_a_change(changes: SubscriptionChanges) -> None:
    mark = changes.mark()
    assert is_told(SubscriptionChanges(), 0), "it has never listened"
    changes.end()
    assert is_told(changes, changes.mark())
    changes.begin()
    assert is_told(changes, mark)
    assert not is_told(changes, changes.mark())


def test_more_notifications_than_are_remembered_count_as_a_change(
    changes: SubscriptionChanges,
) -> None:
    mark = changes.mark()
    for _ in range(1001):
        changes.hear(str(uuid4()))
    assert is_told(changes, mark)
