"""Makes the calls of the list with the Python SDK."""

import io
from collections.abc import Sequence
from functools import reduce
from typing import Any

import stripe

from tests.sandbox_peers.calls import ListedCall


class PythonClient:
    """Makes calls with `stripe.StripeClient`, and keeps what later ones need."""

    def __init__(self, url: str) -> None:
        addresses = {"api": url, "files": url}
        self._client = stripe.StripeClient("sk_test_peers", base_addresses=addresses)  # type: ignore[arg-type]
        self._kept: dict[str, Any] = {}

    def make(self, one: ListedCall) -> dict[str, Any]:
        """Make a call; return the type of its answer, or the error."""
        try:
            method = reduce(getattr, one.operation.split("."), self._client.v1)
            answer = method(*[self._filled(value) for value in one.arguments])  # type: ignore[operator]
            for name, path in one.kept.items():
                self._kept[name] = _field(answer, path)
        except (stripe.StripeError, AttributeError, KeyError, LookupError) as error:
            return {"operation": one.operation, "object": None, "error": str(error)}
        return {
            "operation": one.operation,
            "object": getattr(answer, "object", "file"),
            "error": None,
        }

    def _filled(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._filled(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self._filled(one) for one in value]
        if value == "@file":
            return _named(io.BytesIO(b"%PDF-1.4 evidence"), "evidence.pdf")
        if value == "@version":
            return stripe.api_version
        return self._kept[value[1:]] if isinstance(value, str) and value[:1] == "$" else value


def _named(stream: io.BytesIO, name: str) -> io.BytesIO:
    stream.name = name
    return stream


def _field(answer: Any, path: str) -> Any:
    for step in path.split("."):
        answer = answer[int(step)] if step.isdigit() else answer[step]
    return answer


def operations_of(url: str, resources: Sequence[str]) -> list[str]:
    """Return every operation of the SDK's services with these names."""
    client = stripe.StripeClient("sk_test_peers", base_addresses={"api": url})
    found: list[str] = []
    for name in resources:
        found += _operations(reduce(getattr, name.split("."), client.v1), name)
    return sorted(found)


def _operations(service: Any, name: str) -> list[str]:
    return [
        f"{name}.{verb}"
        for verb, value in vars(type(service)).items()
        if callable(value) and not verb.startswith("_") and not verb.endswith("_async")
    ]
