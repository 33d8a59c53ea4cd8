"""Write the files of FILES: what pyproject.toml asks for, each package with version and hashes.

The files hold for every platform and for Python from 3.11, and name no index. Versions that are
still allowed stay as they are; --upgrade takes the newest. A file says what it was made from, so
that a test can tell whether it is in step.
"""

import argparse
import hashlib
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
UV = ROOT / ".tools" / "bin" / "uv"

ABOUT = {
    "production": "What `make install` installs.",
    "extras": "What `make install WITH=extras` installs: also the Redis and tracing extras.",
    "build": "What builds our wheel.",
    "release": "What `make lock`, `make sbom` and `make audit` run.",
    "ha": "Patroni, for the database servers of docs/high-availability.md; `make test-ha` runs it.",
}
FILES = {name: ROOT / "requirements" / f"{name}.txt" for name in ABOUT} | {
    "ha": ROOT / "deploy" / "ha" / "requirements.txt"
}


def wanted(name: str) -> list[str]:
    """Return what a file is made from, as in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    dependencies = project["project"]["dependencies"]
    extras = project["project"]["optional-dependencies"]
    return {
        "production": dependencies,
        "extras": [*dependencies, *extras["redis"], *extras["tracing"]],
        "build": project["build-system"]["requires"],
        **project["dependency-groups"],
    }[name]


def header(name: str) -> str:
    """Return the first lines of a file."""
    digest = hashlib.sha256("\n".join(sorted(wanted(name))).encode()).hexdigest()
    return (
        f"# {ABOUT[name]}\n# `make lock` writes it, from what pyproject.toml has: {digest[:16]}\n"
    )


def lock(name: str, *, upgrade: bool) -> None:
    """Write one file; it appears whole or not at all."""
    file = FILES[name]
    draft = file.with_name(f".{name}.draft")
    if file.exists() and not upgrade:
        draft.write_text(file.read_text())
    same_versions = ["--constraint", str(FILES["production"])] if name == "extras" else []
    options = ["--universal", "--python-version=3.11", "--generate-hashes", "--no-header"]
    command = [str(UV), "pip", "compile", "--quiet", *options, *same_versions]
    try:
        subprocess.run(  # noqa: S603 - our own tool, fixed arguments
            [*command, f"--output-file={draft}", "-"],
            input="\n".join(wanted(name)).encode(),
            stdout=subprocess.DEVNULL,
            check=True,
        )
        draft.write_text(header(name) + draft.read_text())
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


def main() -> None:
    """Write all files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions allowed")
    upgrade = parser.parse_args().upgrade
    for name, file in FILES.items():
        lock(name, upgrade=upgrade)
        print(f"lock: {file.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
