"""`make audit` never says that there is nothing when it could not look."""

from typing import Any

from scripts.audit import verdict

CHECKED: dict[str, Any] = {"name": "idna", "version": "3.20", "vulns": []}
SKIPPED: dict[str, Any] = {"name": "stripe", "skip_reason": "not found"}
FLAWED: dict[str, Any] = {
    "name": "aiohttp",
    "version": "3.9.0",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-2024-1"], "fix_versions": ["3.9.2"]}],
}


def test_all_checked_and_clean_is_a_success() -> None:
    assert verdict([CHECKED]) == (0, ["0 known vulnerabilities in the 1 packages checked"])


def test_what_could_not_be_checked_is_counted_and_is_no_success() -> None:
    status, lines = verdict([CHECKED, SKIPPED])
    assert status == 2
    assert lines == [
        "0 known vulnerabilities in the 1 packages checked",
        "1 could not be checked: stripe",
    ]


def test_without_any_data_it_does_not_speak_of_none() -> None:
    for packages in ([SKIPPED, SKIPPED], []):
        status, lines = verdict(packages)
        assert status == 2
        assert lines == [
            f"none of the {len(packages)} packages could be checked: this says nothing"
        ]


def test_a_vulnerability_is_named_with_the_version_that_fixes_it() -> None:
    status, lines = verdict([FLAWED, SKIPPED])
    assert status == 1
    assert lines[0] == "aiohttp 3.9.0: PYSEC-1 (CVE-2024-1), fixed in 3.9.2"
    assert lines[-1] == "1 could not be checked: stripe"
