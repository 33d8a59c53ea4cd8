"""`mpanel-billing doctor`: the table, the JSON, the exit code."""

import json
from pathlib import Path

import pytest

from mpanel_billing.doctor.finding import failed, is_well, ok, report_json, report_table, warning
from stripe_sandbox import Sandbox
from tests.forked import start_forked
from tests.roles import RUNTIME_ROLE, under_role
from tests.service import WEBHOOK_SECRET

FINDINGS = [
    ok("database", "PostgreSQL 18.6"),
    warning("worker", "has never run on this database", "start it"),
    failed("catalogue", "is empty", "run `mpanel-billing catalog apply`"),
]


def test_the_table_says_in_words_what_it_says_in_colour() -> None:
    plain = list(report_table(FINDINGS, width=80, coloured=False))
    assert plain == [
        "ok       database   PostgreSQL 18.6",
        "warning  worker     has never run on this database",
        "                    -> start it",
        "FAILED   catalogue  is empty",
        "                    -> run `mpanel-billing catalog apply`",
        "",
        "Failed: 1, warnings: 1.",
    ]
    coloured = list(report_table(FINDINGS, width=80, coloured=True))
    assert [line[:5] for line in coloured if line.startswith("\x1b")] == [
        "\x1b[32m", "\x1b[33m", "\x1b[31m",
    ]  # fmt: skip
    assert "FAILED" in coloured[3]


def test_the_table_is_as_wide_as_the_terminal() -> None:
    long = [failed("webhook deliveries", "many words " * 30, "much advice " * 30)]
    lines = list(report_table(long, width=72, coloured=False))
    assert max(map(len, lines)) <= 72
    assert len(lines) > 10


def test_the_absence_of_findings_is_reported() -> None:
    assert list(report_table([FINDINGS[0]], width=80, coloured=False))[-1] == "All checks passed."


def test_warnings_alone_do_not_fail() -> None:
    assert is_well(FINDINGS[:2])
    assert not is_well(FINDINGS)
    assert report_json(FINDINGS[:2])["ok"] is True


def test_no_finding_contains_a_secret() -> None:
    leaky = [failed("database", "postgresql://u:hunter2@h/db sk_live_abc ada@example.com", "x")]
    for text in (
        json.dumps(report_json(leaky)),
        "\n".join(report_table(leaky, width=200, coloured=False)),
    ):
        assert not any(secret in text for secret in ("hunter2", "sk_live_abc", "ada@"))


async def doctor(folder: Path, *words: str, **environment: str) -> tuple[int, str]:
    process = await start_forked(["doctor", *words], environment, folder=folder, read_all=True)
    out = await process.stderr.read()
    return await process.wait(), out.decode()


@pytest.fixture
def environment(database_url: str, sandbox: Sandbox) -> dict[str, str]:
    return {
        "DATABASE_URL": under_role(database_url, RUNTIME_ROLE),
        "STRIPE_SECRET_KEY": "sk_test_of_the_tests",
        "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "STRIPE_API_BASE": sandbox.url,
        "APP_URL": "http://panel.test",
    }


async def test_a_healthy_service_is_exit_code_0(
    environment: dict[str, str], offers: None, tmp_path: Path
) -> None:
    status, out = await doctor(tmp_path, **environment)
    assert status == 0, out
    assert "\x1b" not in out
    assert out.endswith("Failed: 0, warnings: 3.\n")
    assert WEBHOOK_SECRET not in out


async def test_a_failure_is_exit_code_1_and_json_has_it(
    environment: dict[str, str], tmp_path: Path
) -> None:
    status, out = await doctor(tmp_path, "--json", **environment)
    report = json.loads(out)
    assert (status, report["ok"]) == (1, False)
    [catalogue] = [f for f in report["findings"] if f["name"] == "catalogue"]
    assert catalogue == {
        "name": "catalogue",
        "status": "failed",
        "detail": "is empty",
        "advice": "run `mpanel-billing catalog apply`",
    }


async def test_what_is_wrong_with_the_settings_does_not_hide_the_rest(
    environment: dict[str, str], tmp_path: Path
) -> None:
    del environment["APP_URL"]
    environment["STRIPE_SECRET_KEY"] = "sk_test_replace_me"
    status, out = await doctor(tmp_path, **environment)
    assert status == 1
    assert "FAILED   APP_URL" in out
    assert "FAILED   STRIPE_SECRET_KEY" in out
    assert "ok       schema" in out


async def test_the_settings_alone_are_checked_in_any_file(tmp_path: Path) -> None:
    right, wrong = tmp_path / "right.env", tmp_path / "wrong.env"
    lines = [
        "DATABASE_URL=postgresql://nobody@127.0.0.1:1/none",
        "STRIPE_SECRET_KEY=sk_test_of_the_tests",
        f"STRIPE_WEBHOOK_SECRET={WEBHOOK_SECRET}",
        "APP_URL=http://panel.test",
    ]
    right.write_text("\n".join(lines))
    wrong.write_text("\n".join([*lines, "PORT=x"]))
    status, out = await doctor(tmp_path, "--settings", str(right))
    assert (status, "FAILED" in out) == (0, False), out
    status, out = await doctor(tmp_path, "--settings", str(wrong))
    assert status == 1
    assert "FAILED   PORT" in out
    status, out = await doctor(tmp_path, "--settings", "none.env")
    assert status == 2
