"""What a transaction changes, and objects as they were before it."""

from dataclasses import dataclass

from stripe_sandbox.documents import Document, ReadOnly

Key = tuple[str, str]


@dataclass(frozen=True)
class Change:
    """One object after a transaction; `document` is None if it was deleted."""

    kind: str
    id: str
    document: ReadOnly | None


@dataclass(frozen=True)
class Before:
    """An object before a transaction: its place among those of its kind, and its content."""

    place: int | None
    document: Document | None
