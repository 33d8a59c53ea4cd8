"""billing-e2e of PyPI plays its five scenarios on test clocks, as its `init` writes them."""

import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.sandbox_peers.conftest import KEY, RunningSandbox
from tests.sandbox_peers.figures import Figures, hold
from tests.sandbox_peers.packages import script, venv

VERSION = "0.1.0"
CONFIG = """
stripe:
  key: {key}
app:
  base_url: http://127.0.0.1:9
vars:
  monthly_price: {monthly}
  upgrade_price: {bigger}
"""


def sell(sandbox: RunningSandbox, amount: int) -> str:
    """Return the id of a price of the kind that the scenarios buy."""
    price = {"product_data[name]": "Plan", "unit_amount": amount, "currency": "usd"}
    return str(sandbox.post("/v1/prices", **price, **{"recurring[interval]": "month"})["id"])


def run_scenarios(python: Path, folder: Path, sandbox: RunningSandbox) -> tuple[int, int, str]:
    """Return how many scenarios passed, of how many, and what it prints."""
    config = CONFIG.format(key=KEY, monthly=sell(sandbox, 1000), bigger=sell(sandbox, 3000))
    (folder / "billing-e2e.yml").write_text(config)
    subprocess.run(
        [python.parent / "billing-e2e", "init"], cwd=folder, check=True, capture_output=True
    )
    command = [python, script(folder, "billing_e2e_run.py"), str(sandbox.port)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    report = ET.parse(folder / "report.xml").getroot()
    cases = [*report.iter("testcase")]
    failed = [one for one in cases if one.find("failure") is not None]
    return len(cases) - len(failed), len(cases), done.stdout + done.stderr


def test_billing_e2e_plays_its_scenarios(folder, sandbox, tmp_path):
    python = venv(folder, "billing-e2e", f"billing-e2e=={VERSION}")
    passed, total, told = run_scenarios(python, tmp_path, sandbox)
    hold(Figures("PyPI `billing-e2e`", VERSION, passed, total))
    assert passed == total == 5, told
