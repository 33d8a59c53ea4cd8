"""What commands print with --json: our names as they are, for scripts."""

import json
from datetime import datetime


def json_text(value: object, *, indent: int | None = 2) -> str:
    """Write rows and the like; moments in ISO 8601, ids and decimals as texts."""
    return json.dumps(value, indent=indent, default=_plain)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
