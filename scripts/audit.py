"""Name the known vulnerabilities of what is pinned, and count what could not be checked.

The exit status is 1 if there are any, 2 if there are none among those that could be checked but
some could not be, and 0 if all could be checked and have none.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FILES = (
    "requirements/extras.txt",
    "requirements/build.txt",
    "requirements/release.txt",
    "deploy/ha/requirements.txt",
)
"""What `make lock` writes; `production` is part of `extras`."""


def report(files: tuple[str, ...] = FILES) -> list[dict[str, Any]]:
    """Ask with pip-audit; return its entry of each package."""
    named = [f"--requirement={ROOT / name}" for name in files]
    with tempfile.TemporaryDirectory() as folder:
        answers = Path(folder) / "audit.json"
        options = ["--require-hashes", "--disable-pip", "--progress-spinner=off", "--format=json"]
        command = [sys.executable, "-m", "pip_audit", *options, f"--output={answers}", *named]
        ended = subprocess.run(  # noqa: S603 - our own tool, fixed arguments
            command, check=False, capture_output=True, text=True
        )
        if not answers.exists():
            sys.exit(f"audit: nothing could be checked: {ended.stderr.strip()}")
        return json.loads(answers.read_text())["dependencies"]


def verdict(packages: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """Return the exit status and the lines to print."""
    found = [
        f"{package['name']} {package['version']}: {flaw['id']}"
        f"{' (' + ', '.join(flaw['aliases']) + ')' if flaw['aliases'] else ''}, "
        f"fixed in {' or '.join(flaw['fix_versions']) or 'no version yet'}"
        for package in packages
        for flaw in package.get("vulns", ())
    ]
    unchecked = sorted(package["name"] for package in packages if "skip_reason" in package)
    checked = len(packages) - len(unchecked)
    lines = [*found, f"{len(found)} known vulnerabilities in the {checked} packages checked"]
    if not checked:
        lines = [f"none of the {len(packages)} packages could be checked: this says nothing"]
    elif unchecked:
        lines.append(f"{len(unchecked)} could not be checked: {', '.join(unchecked)}")
    return 1 if found else 2 if unchecked or not checked else 0, lines


def main() -> None:
    """Print the verdict and exit with its status."""
    status, lines = verdict(report())
    for line in lines:
        print(f"audit: {line}")
    sys.exit(status)


if __name__ == "__main__":
    main()
