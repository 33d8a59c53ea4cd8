"""What the benchmarks print, and when they fail."""

from pathlib import Path

import pytest

from benchmarks import compare, peers
from benchmarks.memory import AT_REST, LIMITS, Memory, exceeded_limits
from benchmarks.peers import BARE, OURS, THEIRS
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
    more = Memory(LIMITS[AT_REST] + 1, 50, 48)
    assert list(exceeded_limits(AT_REST, {"web": memory, "worker": more})) == [
        "worker has 67.0 MB at rest, more than 66"
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
