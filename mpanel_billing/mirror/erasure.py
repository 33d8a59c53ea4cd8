"""Personal data that has been erased stays erased, whatever Stripe still sends.

Every snapshot is written by `apply_locked`, and so passes here: of events, refetches, replays,
reconcile and what follows a restored backup.
"""

from collections.abc import Sequence

from mpanel_billing.database.queries import Connection
from mpanel_billing.mirror import repository
from mpanel_billing.mirror.snapshot import Snapshot
from mpanel_billing.mirror.types import MIRRORED_BY_NAME


async def without_erased(conn: Connection, snapshots: Sequence[Snapshot]) -> Sequence[Snapshot]:
    """Return the snapshots, those of erased customers without their personal data.

    Only customers and lost orders have any; for other snapshots the database is not asked.
    """
    people = {
        snapshot.object_id: person
        for snapshot in snapshots
        if (person := MIRRORED_BY_NAME[snapshot.object_type].person(snapshot.facts))
    }
    if not people:
        return snapshots
    erased = await repository.list_erased(conn, list(people.values()))
    return [
        _anonymous(each)
        if (person := people.get(each.object_id)) and person.stripe_customer_id in erased
        else each
        for each in snapshots
    ]


def _anonymous(snapshot: Snapshot) -> Snapshot:
    mirrored = MIRRORED_BY_NAME[snapshot.object_type]
    return snapshot._replace(facts=mirrored.anonymous(snapshot.facts))
