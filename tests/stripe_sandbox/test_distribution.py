"""The commands of the two distributions, also where the sandbox is not installed.

What their wheels ship is in tests/wheel/test_distributions.py.
"""

import asyncio
import subprocess
import sys

import pytest

from stripe_sandbox import Dunning
from stripe_sandbox.command import main, read_config

RUN_WITHOUT_SANDBOX = """
import sys
sys.modules["stripe_sandbox"] = None
from mpanel_billing.cli import main
sys.argv = ["mpanel-billing", *sys.argv[1:]]
main()
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], check=False, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("command", ["sandbox", "dev"])
def test_without_the_sandbox_its_commands_say_what_to_install(command):
    done = run("-c", RUN_WITHOUT_SANDBOX, command)
    assert done.returncode == 1
    assert "the Stripe sandbox is not installed" in done.stderr
    assert "pip install ./stripe_sandbox" in done.stderr


@pytest.mark.parametrize(
    "command",
    [["-m", "stripe_sandbox"], ["-m", "mpanel_billing", "sandbox"]],
    ids=["own", "mpanel"],
)
async def test_both_commands_run_the_sandbox_with_the_same_options(
    command, tmp_path, unused_tcp_port
):
    state = tmp_path / "state.sqlite"
    process = await asyncio.create_subprocess_exec(
        *[
            sys.executable,
            *command,
            f"--port={unused_tcp_port}",
            "--state",
            str(state),
            "--seed",
            "7",
        ],
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 30)
        assert line.decode().split()[-1] == f"http://127.0.0.1:{unused_tcp_port}"
        assert state.exists()
    finally:
        process.terminate()
        await process.communicate()
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--webhook-url", "http://127.0.0.1/hook"],
            "--webhook-url and --webhook-secret go together",
        ),
        (["--port", "70000"], "70000 is not between 1 and 65535"),
        (["--retry-days", "3,x"], "3,x is not a list of days, such as 3,5,7"),
    ],
)
def test_wrong_options_are_refused_in_a_sentence(arguments, sentence, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert sentence in capsys.readouterr().err


def test_what_follows_a_failed_renewal_is_set_by_options():
    said = ["--retry-days", "1,2", "--after-retries", "pause", "--after-first-failure", "pause"]
    config = read_config([*said, "--paid-pause", "now"])
    assert config.dunning == Dunning((1, 2), final="pause", first="pause", resumes="now")
    assert read_config([]).dunning == Dunning()


async def test_a_taken_port_is_one_line(sandbox):
    done = await asyncio.to_thread(run, "-m", "stripe_sandbox", "--port", str(sandbox.port))
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(f"stripe-sandbox: cannot listen on 127.0.0.1:{sandbox.port}:")
