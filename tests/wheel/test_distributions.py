"""What the wheels of the two distributions ship, and that each works without the other."""

import subprocess
import sys
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.wheel.conftest import ROOT

Wheels = dict[str, ZipFile]

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


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
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


def metadata(wheel: ZipFile) -> Message:
    [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return HeaderParser().parsestr(wheel.read(name).decode())


def test_each_wheel_ships_its_own_package_and_nothing_of_the_other(wheels: Wheels) -> None:
    assert packages(wheels["mpanel_billing"]) == {"mpanel_billing"}
    assert packages(wheels["stripe_sandbox"]) == {"stripe_sandbox"}
    assert not [n for n in wheels["mpanel_billing"].namelist() if "stripe_sandbox" in n]


def test_an_install_of_the_service_brings_the_sandbox_only_with_an_extra_for_development(
    wheels: Wheels,
) -> None:
    required = metadata(wheels["mpanel_billing"]).get_all("Requires-Dist", [])
    assert {line for line in required if "sandbox" in line.partition(";")[0]} == {
        "mpanel-stripe-sandbox; extra == 'dev'",
        "mpanel-stripe-sandbox; extra == 'sandbox'",
    }
    required = metadata(wheels["stripe_sandbox"]).get_all("Requires-Dist", [])
    assert not [line for line in required if "billing" in line]


@pytest.mark.parametrize(
    ("package", "absent", "skipped"),
    [
        ("mpanel_billing", "stripe_sandbox", ["mpanel_billing.dev"]),
        ("stripe_sandbox", "mpanel_billing", []),
    ],
)
def test_every_module_imports_without_the_other_distribution(
    wheels: Wheels, tmp_path: Path, package: str, absent: str, skipped: list[str]
) -> None:
    wheels[package].extractall(tmp_path)
    skips = skipped or ["nothing."]
    words = [sys.executable, "-c", IMPORT_ALL, str(tmp_path), package, absent, *skips]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
