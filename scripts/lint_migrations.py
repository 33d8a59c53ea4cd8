"""Lint the up half of every migration with squawk. The down half may drop anything.

Prints the findings, and exits with 1 if there are any. Production runs PostgreSQL 16.
"""

import subprocess
import sys
import sysconfig
from pathlib import Path

from mpanel_billing.resources import MIGRATIONS, ROOT

EXCLUDED = {
    "require-lock-timeout": "the runner sets it on its connection",
    "require-statement-timeout": "an index on a large table may take a long time to build",
    "prefer-robust-stmts": "a failed migration is rolled back; IF NOT EXISTS hides drift",
    # Tables shared with mPanel keep its types:
    "prefer-bigint-over-int": "mPanel's",
    "prefer-bigint-over-smallint": "mPanel's, and positions in a list",
    "prefer-identity": "mPanel's",
    "prefer-text-field": "mPanel's",
    "prefer-timestamp-tz": "mPanel's",
}


def main() -> int:
    """Lint every migration, within a transaction if it runs in one."""
    findings = [text for path in sorted(MIGRATIONS.glob("*.sql")) if (text := lint(path))]
    sys.stderr.write("\n".join(findings))
    return 1 if findings else 0


def lint(path: Path) -> str:
    """Return squawk's findings about one migration, with the line numbers of its file."""
    up, _, _ = path.read_text().partition("-- migrate:down")
    command = [
        str(Path(sysconfig.get_path("scripts")) / "squawk"),
        "--pg-version=16.0",
        f"--exclude={','.join(EXCLUDED)}",
        f"--stdin-filepath={path.relative_to(ROOT)}",
    ]
    if "-- migrate:up transaction:false" not in up:
        command.append("--assume-in-transaction")
    done = subprocess.run(  # noqa: S603 - this environment's linter, fixed arguments
        command, input=up, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr if done.returncode else ""


if __name__ == "__main__":
    sys.exit(main())
