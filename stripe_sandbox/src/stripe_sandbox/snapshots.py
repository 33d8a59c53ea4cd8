"""`/_sandbox/snapshots`: states of the sandbox that are kept by name, and restored."""

from typing import Annotated

from aiohttp import web
from pydantic import Field

from stripe_sandbox.archive import Snapshot
from stripe_sandbox.control import Body, read_switch
from stripe_sandbox.documents import Document
from stripe_sandbox.errors import no_such
from stripe_sandbox.world import World


class SnapshotRequest(Body):
    """`POST /_sandbox/snapshots`: the name under which the present state is kept."""

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\w.-]+$")]


class Snapshots:
    """Serves `/_sandbox/snapshots`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add_routes(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/_sandbox/snapshots", self.list_snapshots)
        app.router.add_post("/_sandbox/snapshots", self.keep)
        app.router.add_post("/_sandbox/snapshots/{name}/restore", self.restore)
        app.router.add_delete("/_sandbox/snapshots/{name}", self.delete)

    async def list_snapshots(self, _: web.Request) -> web.Response:
        """List the snapshots by name."""
        found = self._world.store.snapshots().values()
        return web.json_response({"data": [_shown(snapshot) for snapshot in found]})

    async def keep(self, request: web.Request) -> web.Response:
        """Keep the present state under a name; an earlier one of that name is replaced."""
        wanted = await read_switch(request, SnapshotRequest)
        kept = self._world.store.keep_snapshot(wanted.name, self._world.now())
        return web.json_response(_shown(kept))

    async def restore(self, request: web.Request) -> web.Response:
        """Go back to a state: its objects, idempotency keys, pending webhooks and time."""
        snapshot = self._find(request)
        restore_snapshot(self._world, snapshot)
        return web.json_response(_shown(snapshot))

    async def delete(self, request: web.Request) -> web.Response:
        """Delete a snapshot."""
        self._world.store.drop_snapshot(self._find(request).name)
        return web.json_response({})

    def _find(self, request: web.Request) -> Snapshot:
        name = request.match_info["name"]
        found = self._world.store.snapshots().get(name)
        if found is None:
            raise no_such("snapshot", name, in_path=True)
        return found


def restore_snapshot(world: World, snapshot: Snapshot) -> None:
    """Restore a snapshot; the sandbox's clock goes on from the time at which it was made."""
    world.store.restore_snapshot(snapshot.name)
    with world.store.transaction():
        world.set_wall_clock(snapshot.moment)


def _shown(snapshot: Snapshot) -> Document:
    return {"name": snapshot.name, "now": snapshot.moment, "objects": snapshot.objects}
