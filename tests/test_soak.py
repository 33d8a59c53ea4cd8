"""`make soak` runs each test that can try more examples than `make test` does, also by a helper."""

import re
import subprocess

from mpanel_billing.resources import ROOT

_NUMBERS = re.compile(r'environ(?:\.get\(|\[)"((?!WRITE_)\w+_EXAMPLES)"')
_COMMAND = re.compile(r"^(?P<set>(?:\w+=\S+ )+)\S*pytest (?P<arguments>.*)$", re.MULTILINE)


def test_each_file_with_a_number_of_examples_is_in_it() -> None:
    asked = subprocess.run(
        ["make", "--dry-run", "soak"], check=True, capture_output=True, text=True, cwd=ROOT
    )
    runs = [
        (match["set"], [word for word in match["arguments"].split() if word.startswith("tests/")])
        for match in _COMMAND.finditer(asked.stdout.replace("\\\n", " "))
    ]
    found = 0
    for file in (ROOT / "tests").rglob("*.py"):
        path = file.relative_to(ROOT).as_posix()
        for name in set(_NUMBERS.findall(file.read_text())):
            found += 1
            assert any(
                f"{name}=" in settings and any(path.startswith(one) for one in paths)
                for settings, paths in runs
            ), f"make soak does not run {path} with {name}"
    assert found > 5
