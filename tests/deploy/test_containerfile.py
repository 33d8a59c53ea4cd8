"""The Containerfile copies all that a build of the package reads; make test-container builds it."""

import tomllib

from mpanel_billing.resources import ROOT

CONTAINERFILE = ROOT / "deploy" / "container" / "Containerfile"


def test_it_copies_what_the_package_is_made_of() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    build = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {project["project"]["readme"], *project["project"]["license-files"]}
    needed |= {*build["packages"], *build["force-include"]}
    lines = CONTAINERFILE.read_text().splitlines()
    copied = {word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]}
    assert needed - copied == set()


def test_it_names_no_registry() -> None:
    (base,) = (line for line in CONTAINERFILE.read_text().splitlines() if line.startswith("ARG "))
    assert "/" not in base
