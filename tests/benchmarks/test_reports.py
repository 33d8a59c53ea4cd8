"""What the benchmarks print, and when they fail."""

from pathlib import Path

import orjson
import pytest

from benchmarks import compare, peers, reconcile
from benchmarks.memory import AT_REST, LIMITS, Memory, exceeded_limits
from benchmarks.peers import BARE, OURS, THEIRS
from benchmarks.stripe_lists import Account
from benchmarks.webhooks import Figures

SMAPS = """\
55d0c0000000-7ffd00000000 ---p 00000000 00:00 0                          [rollup]
Rss:               67584 kB
Pss:               51200 kB
Private_Dirty:     49152 kB
"""


def test_memory_is_read_from_smaps_and_compared_with_its_limit() -> None:
    memory = Memory.read(SMAPS)
    assert memory == Memory(rss=66, pss=50, written=48)
    assert list(exceeded_limits(AT_REST, {"web": memory})) == []
    more = Memory(LIMITS[AT_REST]["worker"] + 1, 50, 48)
    assert list(exceeded_limits(AT_REST, {"web": memory, "worker": more})) == [
        "worker has 68.0 MB at rest, more than 67"
    ]


def test_peers_are_compared_turn_by_turn() -> None:
    taken = {
        name: [Figures(rate, 1, 2, 0.1, 0.1), Figures(rate / 2, 1, 2, 0.1, 0.1)]
        for name, rate in {BARE: 1000.0, THEIRS: 200.0, OURS: 600.0}.items()
    }
    *medians, ratios = peers.report("new invoices", 16, taken)
    assert [line.split()[3] for line in medians] == ["bare", "sync-engine", "ours"]
    assert ratios.strip() == (
        "ours: 0.60 (0.60 to 0.60) of the bare limit, 3.00 (3.00 to 3.00) of sync-engine"
    )


def test_peers_say_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="needs node and npm"):
        peers.install(tmp_path)
    for name in ("node", "npm"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\nexit 1\n")
        program.chmod(0o755)
    with pytest.raises(SystemExit, match="is its registry within reach\\?\nnpm error code"):
        peers.install(tmp_path)


def test_a_comparison_needs_a_commit() -> None:
    with pytest.raises(SystemExit, match="BASE: there is no commit 'nowhere'"):
        compare.resolve("nowhere")
    assert len(compare.resolve("HEAD")) == 40


def test_the_fake_lists_are_paged_and_filtered_as_stripes() -> None:
    account = Account(250)
    page = orjson.loads(account.page("subscriptions", {"limit": "100"}))
    newest, oldest = page["data"][0], page["data"][-1]
    assert (len(page["data"]), page["has_more"]) == (100, True)
    assert (newest["id"], oldest["id"]) == ("sub_00000000000249", "sub_00000000000150")
    before = {"limit": "100", "starting_after": oldest["id"]}
    since = {**before, "created[gte]": str(oldest["created"] - 10)}
    following = orjson.loads(account.page("subscriptions", before))["data"]
    assert following[0]["id"] == "sub_00000000000149"
    assert orjson.loads(account.page("subscriptions", since)) == {
        "object": "list",
        "data": [],
        "has_more": False,
    }
    until = {"limit": "100", "created[lt]": str(oldest["created"] + 1)}
    assert orjson.loads(account.page("subscriptions", until))["data"][0] == oldest
    assert orjson.loads(account.page("refunds", {"limit": "100"}))["data"] == []


def test_a_reconcile_may_neither_take_long_nor_grow() -> None:
    few = reconcile.Figures(objects=5000, seconds=1, cpu=1, memory=70)
    many = reconcile.Figures(objects=50_000, seconds=9, cpu=4.9, memory=73)
    assert list(reconcile.exceeded_limits(few, many)) == []
    slow = reconcile.Figures(objects=50_000, seconds=9, cpu=6, memory=80)
    assert list(reconcile.exceeded_limits(few, slow)) == [
        "100 objects take 12.0 ms of CPU, more than 10",
        "memory grows from 70 to 80 MB",
    ]
