"""The languages in which people are written to. Pure."""

from collections.abc import Mapping

LANGUAGES: Mapping[str, str] = {"en": "English", "de": "Deutsch"}
"""By their ISO 639-1 codes, each in its own; the first is what others get."""

ENGLISH = next(iter(LANGUAGES))
"""What services speak."""


def choose(accepted: str, chosen: str | None = None) -> str:
    """Return the language that was chosen, or else the first that a browser asks for.

    `accepted` is the header Accept-Language, in which browsers name the languages in order.
    """
    asked = [part.partition(";")[0].partition("-")[0].strip() for part in accepted.split(",")]
    return next(
        (one for one in [chosen or "", *map(str.lower, asked)] if one in LANGUAGES), ENGLISH
    )
