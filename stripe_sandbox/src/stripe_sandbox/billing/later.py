"""Tasks that fall due later: what a bank does some time after a payment."""

from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.world import World

KIND = "_task"


def plan_task(
    world: World, what: str, document: ReadOnly, seconds: int, *, clock: str | None = None
) -> None:
    """Plan a task about an object, by a test clock or by the sandbox's own clock.

    An earlier one of the same name is replaced; `schedule.TASKS` has the tasks by name.
    """
    task = {
        "id": f"{what}:{document['id']}",
        "what": what,
        "kind": document["object"],
        "object_id": document["id"],
        "due": world.now(clock) + seconds,
        "test_clock": clock,
    }
    world.store.put(KIND, task)


def drop_task(world: World, what: str, object_id: str) -> None:
    """Drop a planned task, if there is one."""
    if world.store.peek(KIND, f"{what}:{object_id}"):
        world.store.delete(KIND, f"{what}:{object_id}")


def task_due(_: World, task: ReadOnly) -> int:
    """Return the Unix time at which a task is due."""
    return int(task["due"])


def take_task(world: World, task: ReadOnly) -> Document:
    """Delete a task that is due, and return the object that it is about."""
    world.store.delete(KIND, task["id"])
    return world.find(task["kind"], task["object_id"])
