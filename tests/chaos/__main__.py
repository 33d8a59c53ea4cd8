"""`make soak-chaos`: breaks everything under load; nothing may get lost or be done twice."""

import argparse
import asyncio
import math
import os
import random
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.faults import Breaker, deliver, heal
from tests.chaos.report import report
from tests.chaos.road import MOST_AGAIN
from tests.chaos.stage import Stage, open_stage
from tests.chaos.time_at_stripe import TimeAtStripe
from tests.chaos.verdict import Verdict, judge

BUYERS, CHANGERS = 3, 2
OTHERS_PER_KILL = 2
STALLED_SECONDS = 240


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak-chaos", description=__doc__)
    parser.add_argument("--deliveries", type=int, default=2000, help="webhooks answered with 200")
    parser.add_argument("--kills", type=int, default=6, help="processes killed")
    parser.add_argument("--seed", type=int, default=None, help="repeats a run's faults")
    parser.add_argument("--minutes", type=float, default=None, help="end then, with what there is")
    parser.add_argument("--repeats", type=int, default=MOST_AGAIN, help="of a webhook, at most")
    parser.add_argument("--customers", type=int, default=None, help="the most orders")
    return parser.parse_args()


async def _run(stage: Stage, given: argparse.Namespace) -> tuple[Breaker, Verdict]:
    chance = stage.chance
    breaker = Breaker(stage, random.Random(chance.random()))
    clock = TimeAtStripe(stage, random.Random(chance.random()))
    await deliver(stage, chance)
    stage.road.most_again = given.repeats
    customers = stage.customers
    most = given.customers or max(40, given.deliveries // 250)
    async with asyncio.TaskGroup() as group:
        for _ in range(BUYERS):
            group.create_task(customers.buy_until_stopped(most))
        for _ in range(CHANGERS):
            group.create_task(customers.change_until_stopped())
        group.create_task(clock.pass_until_stopped())
        await _break_everything(stage, breaker, given)
        customers.stopping = clock.stopping = True
    print("everything is whole again; what is left to do gets done", flush=True)
    await heal(stage)
    await clock.finish()
    return breaker, await judge(stage)


async def _break_everything(stage: Stage, breaker: Breaker, given: argparse.Namespace) -> None:
    """Kill, with other faults in between, at even intervals of deliveries."""
    rounds = max(given.kills, 1)
    parts = rounds * (OTHERS_PER_KILL + 1)
    for number in range(parts):
        await _progress(stage, given, number / parts)
        if number % (OTHERS_PER_KILL + 1) == 0 and given.kills:
            await breaker.kill()
        else:
            await breaker.disturb()
    await _progress(stage, given, 1)


async def _progress(stage: Stage, given: argparse.Namespace, share: float) -> None:
    """Wait for a share of the deliveries, or of the time if that is over first.

    Fails if nothing is delivered for a long time while nothing is broken.
    """
    until = math.inf if given.minutes is None else 60 * given.minutes * share
    wanted, seen = int(given.deliveries * share), time.monotonic()
    last = stage.road.delivered
    while stage.road.delivered < wanted and stage.seconds() < until:
        await asyncio.sleep(0.2)
        if stage.road.delivered > last:
            last, seen = stage.road.delivered, time.monotonic()
        if time.monotonic() - seen > STALLED_SECONDS:
            raise AssertionError(f"no delivery in {STALLED_SECONDS} s")


async def _main(given: argparse.Namespace, folder: Path, seed: int) -> bool:
    started = time.monotonic()
    async with open_stage(folder, seed) as stage:
        try:
            breaker, verdict = await _run(stage, given)
        finally:
            (folder / "surprises.txt").write_text("\n".join(stage.customers.surprises))
        print(report(stage, breaker, verdict, time.monotonic() - started), flush=True)
        if verdict.problems:
            await _keep_database(stage)
        return not verdict.problems


async def _keep_database(stage: Stage) -> None:
    """Keep the rows, so that what is wrong can be looked at."""
    command = [str(stage.database.server.bin_dir / "pg_dump"), stage.database.url]
    with (stage.folder / "billing.sql").open("wb") as dump:
        process = await asyncio.create_subprocess_exec(*command, stdout=dump)
        await process.wait()


def main() -> None:
    given = _arguments()
    if os.geteuid() != 0 or sys.platform != "linux":
        sys.exit("make soak-chaos needs root on Linux: it mounts disks to fill")
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    folder = Path(tempfile.mkdtemp(prefix="mpb-chaos-", dir=os.environ.get("TMPDIR", "/tmp")))
    folder.chmod(0o711)
    wanted = f"{given.deliveries} deliveries, {given.kills} kills"
    print(f"seed {seed}, {wanted}, in {folder}", flush=True)
    fine = False
    try:
        fine = asyncio.run(_main(given, folder, seed))
    finally:
        print(f"seed {seed}: {'all is well' if fine else f'FAILED; logs are in {folder}'}")
        if fine:
            shutil.rmtree(folder)
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
