"""The text that `dev` shows once everything runs."""

from pathlib import Path

from mpanel_billing.dev.data import DEFAULT_DATA_DIR
from stripe_sandbox.cards import TEST_CARDS, TestCard


def describe_service(
    *,
    api_url: str,
    operators_key: str,
    sandbox_url: str,
    database_url: str,
    psql: Path,
    settings: Path,
    kept_in: Path | None,
) -> str:
    """Return a table of addresses, and of the cards that the sandbox accepts."""
    data = f"{kept_in} (kept for the next start)" if kept_in else "removed at the end"
    addresses = {
        "storefront": f"{api_url}/demo",
        "console": f"{api_url}/console   # sign in with any name and the key {operators_key}",
        "API": f"{api_url}/api",
        "health": f"{api_url}/api/health",
        "sandbox": sandbox_url,
        "database": database_url,
        "psql": "make psql" if kept_in == DEFAULT_DATA_DIR else f"{psql} '{database_url}'",
        "commands": f"source {settings}   # then `.venv/bin/mpanel-billing doctor` and so on",
        "data": data,
    }
    cards = {_group(number): does for does, number in _first_of_each().items()}
    return "\n".join(
        [
            "ready",
            "",
            *_table(addresses),
            "",
            "  Test cards, with any future date and any CVC (all: docs.stripe.com/testing):",
            *_table(cards),
            "",
            "  Ctrl-C stops everything.",
            "",
        ]
    )


def _first_of_each() -> dict[str, str]:
    """Return what cards do, with the number of the first one that does it."""
    numbers: dict[str, str] = {}
    for card in TEST_CARDS:
        numbers.setdefault(_describe(card), card.number)
    return numbers


def _table(rows: dict[str, str]) -> list[str]:
    width = max(map(len, rows))
    return [f"  {name:{width}}   {text}" for name, text in rows.items()]


def _describe(card: TestCard) -> str:
    if card.decline and card.attaches:
        return "can be saved, but its payments are declined"
    if card.decline:
        return f"is declined ({card.decline.decline_code})"
    return "asks for confirmation" if card.authenticates else f"pays ({card.brand})"


def _group(number: str) -> str:
    return " ".join(number[start : start + 4] for start in range(0, len(number), 4))
