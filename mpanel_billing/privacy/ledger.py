"""The ledger of erasures, ERASURES_FILE: outside of the database, so that no backup undoes them.

Each line is the JSON of one erasure: ids and keyed hashes, nothing personal. Lines are only added.
"""

import json
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from mpanel_billing.errors import BillingError, SettingsError
from mpanel_billing.privacy.repository import Erasure


class UnreadableLedgerError(BillingError):
    """A line of the ledger is not an erasure; the message names it."""

    code = "ledger_unreadable"


def append(path: Path, erasures: Sequence[Erasure]) -> None:
    """Add erasures, on disk when this returns; SettingsError if they cannot be written."""
    lines = "".join(f"{_line_of(erasure)}\n" for erasure in erasures)
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise SettingsError(f"ERASURES_FILE cannot be written: {error.strerror}") from error


def read(path: Path) -> Sequence[Erasure]:
    """Return all erasures; SettingsError without the file, UnreadableLedgerError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SettingsError(f"ERASURES_FILE cannot be read: {error.strerror}") from error
    return [_erasure_of(number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _line_of(erasure: Erasure) -> str:
    return json.dumps(
        {
            "erasedAt": erasure.erased_at.isoformat(),
            "kind": erasure.kind,
            "identifier": erasure.identifier,
        }
    )


def _erasure_of(number: int, line: str) -> Erasure:
    try:
        entry = json.loads(line)
        erased_at = datetime.fromisoformat(entry["erasedAt"])
        return Erasure(entry["identifier"], entry["kind"], "request", erased_at)
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableLedgerError(f"Line {number} of ERASURES_FILE is not an erasure.") from error
