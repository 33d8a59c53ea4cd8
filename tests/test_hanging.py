"""A failed test whose fixtures hang does not hold up the run for ever."""

import subprocess
import sys
from pathlib import Path

from mpanel_billing.resources import ROOT

HANGS = """
import threading
import pytest

@pytest.fixture
def hangs():
    yield
    threading.Event().wait()

def test_fails(hangs):
    assert False
"""


def test_a_failed_test_that_hangs_says_where_and_ends(tmp_path: Path) -> None:
    (tmp_path / "test_hangs.py").write_text(HANGS)
    options = ["-p", "tests.hanging", "-c", "/dev/null", "-o", "faulthandler_timeout=1"]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=30,
    )
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr
    assert 'test_hangs.py", line 8 in hangs' in ended.stderr
