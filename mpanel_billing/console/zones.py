"""Time zones that the machine knows."""

import re
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}")


@lru_cache(maxsize=1000)
def find_zone(name: str) -> ZoneInfo | None:
    """Return a zone by its name, such as Europe/Berlin; None if there is none of that name."""
    if len(name) > 50 or not _NAME.fullmatch(name):  # noqa: PLR2004 - the longest has 32
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):  # a folder of them is no zone
        return None


def zone_of(name: str | None) -> ZoneInfo:
    """Return the zone of a name, or UTC if there is none of that name here."""
    return (find_zone(name) if name else None) or ZoneInfo("UTC")
