"""The systemd units are hardened, valid, and agree with each other and with PM2."""

import re
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

from mpanel_billing.cli import WRONG_SETTINGS
from mpanel_billing.http.server import STOP_SECONDS
from mpanel_billing.resources import ROOT
from mpanel_billing.telemetry.watchdog import LIMIT_SECONDS

UNITS = ROOT / "deploy" / "systemd"
WEB = UNITS / "tenant-billing@.service"
WORKER = UNITS / "tenant-billing-worker.service"
PROGRAM = "/opt/tenant-billing/.venv/bin/mpanel-billing"

needs_systemd = [
    pytest.mark.equipment,
    pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze"),
]


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False
    )


def service_of(unit: Path) -> dict[str, str]:
    """The settings of a service; of one that is given several times, the last."""
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(unit)
    return dict(parser["Service"])


@pytest.mark.parametrize("unit", [WEB, WORKER], ids=lambda unit: unit.name)
class TestWithSystemd:
    pytestmark = needs_systemd

    def test_a_service_is_exposed_by_less_than_two(self, unit: Path) -> None:
        judged = analyze("security", "--offline=true", "--threshold=20", unit)
        assert judged.returncode == 0, judged.stdout

    def test_its_unit_is_valid(self, unit: Path, tmp_path: Path) -> None:
        # systemd looks for the program, which is only there on an installation
        for each in UNITS.iterdir():
            (tmp_path / each.name).write_text(each.read_text().replace(PROGRAM, "/bin/true"))
        judged = analyze("verify", tmp_path / unit.name, tmp_path / "tenant-billing.socket")
        assert (judged.returncode, judged.stderr) == (0, "")


def test_web_and_worker_run_in_the_same_surroundings() -> None:
    web, worker = service_of(WEB), service_of(WORKER)
    assert web.pop("ExecStart") == f"{PROGRAM} serve"
    assert worker.pop("ExecStart") == f"{PROGRAM} worker"
    assert web.pop("Sockets") == "tenant-billing.socket"
    assert web == worker


def test_they_stop_and_end_as_the_program_does() -> None:
    service = service_of(WEB)
    assert float(service["TimeoutStopSec"]) > STOP_SECONDS
    assert float(service["WatchdogSec"]) > LIMIT_SECONDS, "its own watchdog says where it stood"
    assert service["RestartPreventExitStatus"] == str(WRONG_SETTINGS)


def test_they_agree_with_pm2() -> None:
    ecosystem, service = (ROOT / "ecosystem.config.js").read_text(), service_of(WEB)
    assert f"kill_timeout: {int(service['TimeoutStopSec']) * 1000}," in ecosystem
    assert f'max_memory_restart: "{service["MemoryMax"]}"' in ecosystem
    assert f"stop_exit_codes: [{service['RestartPreventExitStatus']}]" in ecosystem


def test_systemd_and_the_program_read_the_same_values_from_the_example() -> None:
    """systemd keeps comments at the end of a line, and knows neither `export` nor `${...}`."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    for line in filter(None, lines):
        assert re.fullmatch(r"#.*|[A-Z_]+=[^\s\"'\\$#]*", line), line
