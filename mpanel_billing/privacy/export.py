"""Everything that is held about a person."""

from collections.abc import Mapping
from typing import Any

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.database.pool import Pool, transaction
from mpanel_billing.errors import NotFoundError
from mpanel_billing.privacy import repository
from mpanel_billing.privacy.registry import KEPT
from mpanel_billing.privacy.repository import Who


async def export(pool: Pool, who: Who, by: Actor) -> Mapping[str, Any]:
    """Return the rows about a person, by table, and why an erasure keeps some columns.

    NotFoundError if there are none.
    """
    async with transaction(pool) as conn:
        person = await repository.find_person(conn, who)
        if not (person.customers or person.stripe_customers):
            raise NotFoundError("Nothing is held about this person.")
        objects = await repository.list_objects(conn, person)
        tables = await repository.export_person(conn, person, objects)
        for id_ in person.customers:
            await audit.record(conn, by, "customer.export", Target("customer", str(id_)))
    held = {table: rows for table, rows in tables.items() if rows}
    return {"tables": held, "keptAfterErasure": {t: KEPT[t] for t in held.keys() & KEPT.keys()}}
