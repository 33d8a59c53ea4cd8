"""`Idempotency-Key`: repeats of a request get its first response."""

import hashlib
import json

from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import ApiError
from stripe_sandbox.store import Store

KEPT = "_idempotency"


def digest(method: str, path: str, form: Document) -> str:
    """Return a fingerprint of the request; repeats have the same one."""
    return hashlib.sha256(json.dumps([method, path, form], sort_keys=True).encode()).hexdigest()


class IdempotencyKeys:
    """Keys in flight, and responses kept in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._in_flight: set[str] = set()

    def begin(self, key: str, request: str) -> ReadOnly | None:
        """Return the stored response, or None for a new key, which is then in flight.

        Raises ApiError 400 if the key was used with another request, and 409 while the first
        request is in progress.
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
        """Store the response, in the transaction that did the work."""
        stored = {"id": key, "request": request, "status": status, "body": body}
        self._store.put(KEPT, stored)

    def end(self, key: str) -> None:
        """Mark the key's request as done."""
        self._in_flight.discard(key)
