"""Plays a story in a new town, and reads at its end what has to be shown and what is."""

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stripe_sandbox.world import Dunning
from tests.postgres import Databases, Stocked
from tests.worlds.checker import Line, Verdict, judge
from tests.worlds.clock import find_clock_first
from tests.worlds.facts import read_facts
from tests.worlds.happenings import Happening
from tests.worlds.promises import broken_promises
from tests.worlds.town import Town, open_town

Steps = list[tuple[Happening, int]]


@dataclass(frozen=True)
class Story:
    """What happens; then the worker stops, or not, and the rest happens without it.

    `final` is what Stripe's account says about a subscription after the last retry.
    """

    before: Steps
    after: Steps
    stopped_minutes: int | None
    final: str

    def __repr__(self) -> str:
        before, after = _told(self.before), _told(self.after)
        return f"Story({before}, {after}, {self.stopped_minutes}, {self.final!r})"


def _told(steps: Steps) -> str:
    return "[" + ", ".join(f"({one.__name__}, {number})" for one, number in steps) + "]"


@dataclass(frozen=True)
class Ending:
    """What has to be shown, and what is: by the views, and by each faulty text of a view.

    `broken` are the promises that were not kept.
    """

    verdict: Verdict
    shown: set[Line]
    broken: list[str]
    shown_by: Mapping[str, set[Line]] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """Opens a new town for each story."""

    databases: Databases
    clocked: Stocked
    folder: Path

    def play(self, story: Story, faulty: Mapping[str, str] | None = None) -> Ending:
        """Play a story; `faulty` are texts of views with a fault, by what is wrong with them."""
        state = Path(shutil.copy(self.clocked.sandbox_state, self.folder / "sandbox.sqlite"))
        with self.databases.opened(self.clocked.template) as url:
            return asyncio.run(_play(url, state, story, faulty or {}))


async def _play(url: str, state: Path, story: Story, faulty: Mapping[str, str]) -> Ending:
    await find_clock_first(url)
    dunning = Dunning(final=story.final)  # type: ignore[arg-type]
    async with open_town(url, state, dunning) as town:
        await _happen(town, story.before)
        await town.reconcile()
        await town.work()
        await town.pass_time(1200)
        if story.stopped_minutes is not None:
            town.commands.worker_stopped_at = await town.stripe.now()
            await _happen(town, story.after)
            await town.pass_time(60 * story.stopped_minutes)
        shown = await _lines_shown(town)
        shown_by = {name: await _lines_shown(town, text) for name, text in faulty.items()}
        facts = await read_facts(town)
        return Ending(judge(facts), shown, await broken_promises(town, facts), shown_by)


async def _happen(town: Town, steps: Steps) -> None:
    for happening, number in steps:
        await happening(town, number)
        await town.work()


async def _lines_shown(town: Town, faulty: str = "") -> set[Line]:
    """Return the kinds that the views show, each with the subscription at Stripe."""
    owners = {id_: name for name, id_ in town.ids.items()}
    async with town.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        if faulty:
            await connection.execute(faulty)
        rows = await connection.fetch(
            "SELECT trouble, subscription_id FROM billing_trouble"
            " UNION ALL SELECT trouble, subscription_id FROM billing_watch"
        )
        await transaction.rollback()
    return {(row["trouble"], owners.get(row["subscription_id"])) for row in rows}
