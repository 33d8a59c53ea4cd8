"""What the roles of the service may do now, compared with what their processes need."""

from typing import NamedTuple

from mpanel_billing.database import repository
from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.database.privileges import (
    RUNTIME,
    Need,
    Process,
    excess,
    missing,
    processes_of,
)


class RoleState(NamedTuple):
    """A role, the processes that it was made for, and what it has too little and too much.

    `almighty`: as a superuser or an owner of tables it may do anything. `creates`: it may create
    tables. If it lacks the mark of every process, it is taken for one of web and worker.
    """

    name: str
    processes: tuple[Process, ...]
    missing: list[Need]
    excess: list[Need]
    almighty: bool
    creates: bool


async def examine_role(pool: Pool, name: str | None = None) -> RoleState:
    """Return the state of a role, by default our own."""
    async with acquired(pool) as conn:
        role = await repository.get_role(conn, name)
        held = await repository.list_privileges(conn, role["name"])
    processes = processes_of(held) or RUNTIME
    return RoleState(
        role["name"],
        processes,
        missing(held, processes),
        excess(held, processes),
        role["superuser"] or role["owner"],
        role["creates"],
    )


async def list_lacking(pool: Pool) -> list[RoleState]:
    """Return the roles that may store events by a grant and lack something else."""
    async with acquired(pool) as conn:
        names = await repository.list_runtime_roles(conn)
    states = [await examine_role(pool, name) for name in names]
    return [state for state in states if state.missing]
