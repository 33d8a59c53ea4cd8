"""Locks of mirrored objects by Stripe id, in one order for all transactions."""

from collections.abc import Iterable

from mpanel_billing.database.queries import Connection
from mpanel_billing.mirror import repository
from mpanel_billing.mirror.mirrored_type import LockKey
from mpanel_billing.mirror.snapshot import Snapshot
from mpanel_billing.mirror.types import MIRRORED_BY_NAME

_LOCKED_LAST = ("order", "cus", "in", "sub")
"""Lock kinds that several types share; all other kinds are locked before them.

Those of invoices and subscriptions come last, in this order: `billing_apply_snapshots_v1` takes
further ones of them, which only the rows name.
"""


async def lock(conn: Connection, keys: Iterable[LockKey]) -> None:
    """Lock objects until the end of the transaction."""
    await repository.lock_objects(conn, lock_order(keys))


def lock_keys(snapshots: Iterable[Snapshot]) -> list[str]:
    """Return what to lock to apply snapshots."""
    return lock_order({key for snapshot in snapshots for key in keys_of(snapshot)})


def lock_order(keys: Iterable[LockKey]) -> list[str]:
    """Return what to lock, in the order that all transactions share."""
    return [":".join(key) for key in sorted(keys, key=_lock_rank)]


def _lock_rank(key: LockKey) -> tuple[int, str, str]:
    kind, object_id = key
    return (_LOCKED_LAST.index(kind) if kind in _LOCKED_LAST else -1, kind, object_id)


def keys_of(snapshot: Snapshot) -> Iterable[LockKey]:
    """Return what to lock to apply a snapshot, in no order."""
    return MIRRORED_BY_NAME[snapshot.object_type].lock_keys(snapshot.facts)
