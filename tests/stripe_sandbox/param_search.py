"""The part of `param_world` and `param_scenes` about searches."""

from stripe_sandbox.pagination import page_after
from stripe_sandbox.resources.searches import RESOURCES
from tests.stripe_sandbox.desk import Desk
from tests.stripe_sandbox.param_cases import Scene, case, scene

ALL = "-metadata['nothing']:'x'"
NONE = "metadata['nothing']:'x'"


def add_cursors(desk: Desk) -> None:
    """Name the page after the newest object of each kind that can be searched."""
    for kind, *_ in RESOURCES.values():
        newest = next(desk.world.store.newest_first(kind))
        desk.names[f"page_of_{kind}"] = page_after(newest["id"])


SEARCHES: dict[str, Scene] = {
    f"GET /{path}/search": scene(
        query=ALL, cases={"page": case(f"$page_of_{kind}"), "query": case(ALL, NONE)}
    )
    for path, (kind, *_) in RESOURCES.items()
}
