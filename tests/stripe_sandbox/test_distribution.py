"""What the two distributions ship, and that each works without the other."""

import asyncio
import subprocess
import sys
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

import pytest

from stripe_sandbox import Dunning
from stripe_sandbox.command import main, read_config

ROOT = Path(__file__).parents[2]

IMPORT_ALL = """
import sys
from importlib import import_module
from pkgutil import walk_packages
sys.path.insert(0, sys.argv[1])
sys.modules[sys.argv[3]] = None
package = import_module(sys.argv[2])
assert package.__file__.startswith(sys.argv[1]), package.__file__
skipped = sys.argv[4:]
for module in walk_packages(package.__path__, package.__name__ + "."):
    if not module.name.startswith(tuple(skipped)) and not module.name.endswith(".__main__"):
        import_module(module.name)
"""

RUN_WITHOUT_SANDBOX = """
import sys
sys.modules["stripe_sandbox"] = None
from mpanel_billing.cli import main
sys.argv = ["mpanel-billing", *sys.argv[1:]]
main()
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> dict[str, ZipFile]:
    """Both wheels, by the name of their package."""
    folder = tmp_path_factory.mktemp("wheels")
    for project in (ROOT, ROOT / "stripe_sandbox"):
        build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
        options = ["--no-build-isolation", "--disable-pip-version-check", "--wheel-dir"]
        subprocess.run([*build, *options, str(folder), str(project)], check=True)
    return {
        "mpanel_billing": ZipFile(next(folder.glob("mpanel_billing-*.whl"))),
        "stripe_sandbox": ZipFile(next(folder.glob("mpanel_stripe_sandbox-*.whl"))),
    }


def packages(wheel: ZipFile) -> set[str]:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    return {top for top in tops if not top.endswith(".dist-info")}


def metadata(wheel: ZipFile):
    [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return HeaderParser().parsestr(wheel.read(name).decode())


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], check=False, capture_output=True, text=True, timeout=60
    )


def test_each_wheel_ships_its_own_package_and_nothing_of_the_other(wheels):
    assert packages(wheels["mpanel_billing"]) == {"mpanel_billing"}
    assert packages(wheels["stripe_sandbox"]) == {"stripe_sandbox"}
    assert not [n for n in wheels["mpanel_billing"].namelist() if "stripe_sandbox" in n]


def test_an_install_of_the_service_brings_the_sandbox_only_with_an_extra_for_development(wheels):
    required = metadata(wheels["mpanel_billing"]).get_all("Requires-Dist")
    assert {line for line in required if "sandbox" in line.partition(";")[0]} == {
        "mpanel-stripe-sandbox; extra == 'dev'",
        "mpanel-stripe-sandbox; extra == 'sandbox'",
    }
    required = metadata(wheels["stripe_sandbox"]).get_all("Requires-Dist")
    assert not [line for line in required if "billing" in line]


@pytest.mark.parametrize(
    ("package", "absent", "skipped"),
    [
        ("mpanel_billing", "stripe_sandbox", ["mpanel_billing.dev"]),
        ("stripe_sandbox", "mpanel_billing", []),
    ],
)
def test_every_module_imports_without_the_other_distribution(
    wheels, tmp_path, package, absent, skipped
):
    wheels[package].extractall(tmp_path)
    skips = skipped or ["nothing."]
    done = run("-c", IMPORT_ALL, str(tmp_path), package, absent, *skips)
    assert done.returncode == 0, done.stderr


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
