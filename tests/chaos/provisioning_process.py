"""The reference provisioning service as a process that may be killed.

Arguments: port, journal, seed. Each order is in the journal before it is answered; a new process
carries them all out again, and so has the same accounts.
"""

import asyncio
import json
import random
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any
from uuid import UUID

from aiohttp import web

from mpanel_billing.provisioning.drivers.protocol import DriverCommand
from tests.provisioning.reference_server import Misbehaviour, ReferenceServer

MISBEHAVIOURS: tuple[Misbehaviour, ...] = ("500", "500_after", "cut", "cut_after")
SHARE = 0.04
"""How many orders go wrong without any help."""


@dataclass
class JournalingServer(ReferenceServer):
    """Remembers its orders across a kill."""

    journal: IO[str] | None = None
    chance: random.Random = field(default_factory=random.Random)

    def restore(self, path: Path) -> None:
        """Carry out again what the journal has; a line that was broken off was never answered."""
        for line in path.read_text().splitlines() if path.exists() else ():
            try:
                order = json.loads(line)
            except ValueError:
                continue
            order["subscription_id"] = UUID(order["subscription_id"])
            self.world.carry_out(DriverCommand(**order))
        self.journal = path.open("a")

    def carry_out(self, order: DriverCommand) -> web.Response:
        assert self.journal is not None
        print(json.dumps(asdict(order), default=str), file=self.journal, flush=True)
        if self.chance.random() < SHARE:
            self.misbehaviours.append(self.chance.choice(MISBEHAVIOURS))
        return super().carry_out(order)

    async def list_accounts(self, _: web.Request) -> web.Response:
        """List all accounts there ever were."""
        accounts = [*self.world.accounts, *self.world.terminated]
        return web.json_response([_described(account) for account in accounts])


def _described(account: Any) -> dict[str, Any]:
    return {
        "subscription": str(account.subscription_id),
        "type": account.product_type,
        "state": account.actual,
        "resources": dict(account.resources),
        "reference": account.reference,
    }


async def main(port: str, journal: str, seed: str) -> None:
    server = JournalingServer(chance=random.Random(int(seed)))
    server.restore(Path(journal))
    app = server.application()
    app.router.add_get("/all", server.list_accounts)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(port)).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
