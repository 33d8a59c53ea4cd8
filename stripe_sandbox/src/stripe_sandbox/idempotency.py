"""`Idempotency-Key`: the first answer to a key is the answer to all repeats of its request."""

import hashlib
import json

from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import ApiError
from stripe_sandbox.store import Store

KEPT = "_idempotency"


def digest(method: str, path: str, form: Document) -> str:
    """Return what two requests must share to count as the same."""
    return hashlib.sha256(json.dumps([method, path, form], sort_keys=True).encode()).hexdigest()


class IdempotencyKeys:
    """The keys in flight, and the answers kept in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._in_flight: set[str] = set()

    def begin(self, key: str, request: str) -> ReadOnly | None:
        """Return the answer kept for the key, or None for a new key, which is then in flight.

        Raises ApiError 400 when the key was used with another request, and 409 while the first
        request is still being worked on.
        """
        kept = self._store.peek(KEPT, key)
        if kept is not None and kept["request"] != request:
            message = (
                "Keys for idempotent requests can only be used with the same parameters they were "
                f"first used with. Try using a key other than '{key}' if you meant to execute a "
                "different request."
            )
            raise ApiError(400, message, kind="idempotency_error")
        if key in self._in_flight:
            message = (
                "There is currently another in-progress request using this Idempotent Key (that "
                f"probably means you submitted twice, and the other request is still going "
                f"through): {key}. Please try again later."
            )
            raise ApiError(409, message, kind="idempotency_error", code="idempotency_key_in_use")
        if kept is None:
            self._in_flight.add(key)
        return kept

    def keep(self, key: str, request: str, status: int, body: Document) -> None:
        """Keep the answer; part of the transaction that did the work."""
        answer = {"id": key, "request": request, "status": status, "body": body}
        self._store.put(KEPT, answer)

    def end(self, key: str) -> None:
        """Take the key out of flight."""
        self._in_flight.discard(key)
