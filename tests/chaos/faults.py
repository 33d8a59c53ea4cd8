"""What is broken, one thing after the other, while the customers go on."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import aiohttp

from tests.chaos.clock import Clock
from tests.chaos.stage import Stage

LONGEST_FREEZE_SECONDS = 8.0
Fault = Callable[[Stage, random.Random], Awaitable[str]]


@dataclass
class Breaker:
    """Breaks things; a line of `history` says what, and when, in seconds since the start."""

    stage: Stage
    chance: random.Random
    kills: int = 0
    others: int = 0
    history: list[str] = field(default_factory=list)
    _kills: Iterator[Fault] = field(init=False)
    _others: Iterator[Fault] = field(init=False)

    def __post_init__(self) -> None:
        self._kills = _shuffled(_kills_of(self.stage), self.chance)
        self._others = _shuffled(_others_of(self.stage), self.chance)

    async def kill(self) -> None:
        """Kill the next part."""
        await self._break(next(self._kills))
        self.kills += 1

    async def disturb(self) -> None:
        """Do something else that is bad, and end it."""
        await self._break(next(self._others))
        self.others += 1

    async def _break(self, fault: Fault) -> None:
        at = self.stage.seconds()
        what = await fault(self.stage, self.chance)
        took = self.stage.seconds() - at
        self.history.append(f"{at:7.1f} s  {what} ({took:.1f} s)")
        print(self.history[-1], f"[{self.stage.road.delivered} delivered]", flush=True)


def _shuffled(faults: list[Fault], chance: random.Random) -> Iterator[Fault]:
    """Yield all of them in some order, and again in another."""
    for _ in itertools.count():
        yield from chance.sample(faults, len(faults))


def _kills_of(stage: Stage) -> list[Fault]:
    kinds = ["web", "worker", "sandbox", "services"]
    kinds += ["pgbouncer"] if stage.has_pgbouncer else []
    return [*(_kill_of(kind) for kind in kinds), _kill_database]


def _others_of(stage: Stage) -> list[Fault]:
    kinds = ["web", "worker", "sandbox", "services"]
    kinds += ["pgbouncer"] if stage.has_pgbouncer else []
    return [
        *(_freeze_of(kind) for kind in kinds),
        _freeze_database,
        _fill_disk_of("data"),
        _fill_disk_of("log"),
        _refuse_writes,
        _put_clock_wrong,
        _put_all_clocks_wrong,
        _stumble_at_stripe,
        _deliver_badly,
    ]


def _kill_of(kind: str) -> Fault:
    async def kill(stage: Stage, chance: random.Random) -> str:
        program = chance.choice(stage.named(kind))
        await program.kill()
        if kind == "sandbox":
            await deliver(stage, chance)
        return f"SIGKILL to {program.name}"

    return kill


async def _kill_database(stage: Stage, chance: random.Random) -> str:
    if chance.random() < 0.5:
        await stage.database.stop_immediately()
        return "PostgreSQL stopped, immediate"
    await stage.database.kill()
    return "SIGKILL to PostgreSQL"


def _freeze_of(kind: str) -> Fault:
    async def freeze(stage: Stage, chance: random.Random) -> str:
        program = chance.choice(stage.named(kind))
        await program.freeze(_seconds(chance))
        return f"SIGSTOP and SIGCONT to {program.name}"

    return freeze


async def _freeze_database(stage: Stage, chance: random.Random) -> str:
    await stage.database.freeze(_seconds(chance))
    return "SIGSTOP and SIGCONT to PostgreSQL"


def _fill_disk_of(name: str) -> Fault:
    async def fill(stage: Stage, chance: random.Random) -> str:
        await stage.database.fill_disk(name, _seconds(chance))
        return f"disk of PostgreSQL's {name} full"

    return fill


async def _refuse_writes(stage: Stage, chance: random.Random) -> str:
    await stage.database.refuse_writes(_seconds(chance))
    return "database read-only"


async def _put_clock_wrong(stage: Stage, chance: random.Random) -> str:
    """Let web and worker jump: a little, or by more than a signature may be old."""
    wrong = chance.choice([-900, -120, -5, 5, 120, 900])
    await _jump(wrong, _seconds(chance), stage.clock)
    return f"clock of web and worker wrong by {wrong} s"


async def _put_all_clocks_wrong(stage: Stage, chance: random.Random) -> str:
    """Let the clock of the database jump, alone or with that of web and worker.

    What is due then waits for as long when the clock jumps back: so it is less than a run may take
    to settle.
    """
    wrong = chance.choice([-90, -5, 5, 90])
    alone = chance.random() < 0.5
    clocks = [stage.database.clock] if alone else [stage.database.clock, stage.clock]
    await _jump(wrong, _seconds(chance), *clocks)
    return f"clock of PostgreSQL{'' if alone else ', web and worker'} wrong by {wrong} s"


async def _jump(wrong: int, seconds: float, *clocks: Clock) -> None:
    for clock in clocks:
        clock.set_wrong(wrong)
    await asyncio.sleep(seconds)
    for clock in clocks:
        clock.set_wrong(0)


async def _stumble_at_stripe(stage: Stage, chance: random.Random) -> str:
    """Let some calls to Stripe fail, with the work done or not."""
    kind = chance.choice(["status", "reset", "hang"])
    after = chance.random() < 0.5
    details = {"seconds": 7.0} if kind == "hang" else {}
    await _insist(
        stage, lambda: stage.stripe.inject_fault(kind, times=6, after_work=after, **details)
    )
    await asyncio.sleep(_seconds(chance) / 2)
    return f"Stripe: {kind}{' after the work' if after else ''} for six calls"


async def _deliver_badly(stage: Stage, chance: random.Random) -> str:
    return f"delivery: {await deliver(stage, chance)}"


async def deliver(stage: Stage, chance: random.Random) -> str:
    """Let Stripe send webhooks in another bad way from now on."""
    switches = {
        "duplicate": chance.random() < 0.5,
        "reorder": chance.random() < 0.8,
        "same_second": chance.random() < 0.2,
        "delay": chance.choice([0.0, 0.0, 0.1, 1.0]),
    }
    seed = chance.randrange(1000)
    await _insist(stage, lambda: stage.stripe.set_delivery(**switches, seed=seed))
    return ", ".join(f"{name}={value}" for name, value in switches.items() if value) or "in order"


async def _insist(stage: Stage, call: Callable[[], Awaitable[object]]) -> None:
    while True:
        try:
            await call()
        except (aiohttp.ClientError, TimeoutError, OSError):
            await asyncio.sleep(0.3)
        else:
            return


def _seconds(chance: random.Random) -> float:
    return 1 + chance.random() * (LONGEST_FREEZE_SECONDS - 1)


async def heal(stage: Stage) -> None:
    """Let nothing be wrong any more, but for what is left of it."""
    for clock in (stage.clock, stage.database.clock):
        clock.set_wrong(0)
    await _insist(stage, stage.stripe.set_delivery)
    await stage.road.calm()
