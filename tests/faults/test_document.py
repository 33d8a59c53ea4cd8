"""docs/reliability.md has a row for each fault, and no others."""

import re
from pathlib import Path

from tests.faults.reliability_document import rows_of_tests

RECORDS = re.compile(r"^async def (test_\w+)\([^)]*\bdocument: ReliabilityDocument\b", re.MULTILINE)


def test_each_row_names_a_test_and_each_test_has_a_row() -> None:
    tests = Path(__file__).parents[1]
    paths = [*tests.glob("faults/test_*.py"), *tests.glob("ha/test_*.py")]
    sources = "\n".join(path.read_text() for path in paths)
    named = {re.sub(r"\[.*\]", "", name.strip("`")) for name in rows_of_tests()}
    assert named == set(RECORDS.findall(sources))
