"""Stripe's errors: what is refused, with which status and code."""

from typing import Any

from stripe_sandbox.documents import Document

DOC_URL = "https://docs.stripe.com/error-codes#"


class ApiError(Exception):
    """An answer of the API other than success, in Stripe's shape.

    `keeps_changes` marks a failure that leaves traces, such as a declined charge: what was changed
    before it was raised is kept.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        keeps_changes: bool = False,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.keeps_changes = keeps_changes
        self.headers = headers or {}
        doc_url = DOC_URL + code.replace("_", "-") if code else None
        facts = {"code": code, "param": param, "doc_url": doc_url, **more}
        self.body: Document = {"error": {"message": message, "type": kind}}
        self.body["error"] |= {key: value for key, value in facts.items() if value is not None}


def invalid(message: str, *, param: str | None = None, code: str | None = None) -> ApiError:
    """Return a 400 about the request as a whole or about one of its params."""
    return ApiError(400, message, code=code, param=param)


def missing_param(param: str) -> ApiError:
    """Return the refusal of a request that lacks a required param."""
    return invalid(f"Missing required param: {param}.", param=param, code="parameter_missing")


def no_such(noun: str, object_id: str, param: str = "id") -> ApiError:
    """Return the refusal of an id that names nothing: 404 in the path, 400 in a param."""
    status = 404 if param == "id" else 400
    message = f"No such {noun}: '{object_id}'"
    return ApiError(status, message, code="resource_missing", param=param)


def card_error(message: str, *, code: str, decline_code: str | None = None) -> ApiError:
    """Return the 402 of a charge that the bank refused."""
    return ApiError(
        402, message, kind="card_error", code=code, decline_code=decline_code, keeps_changes=True
    )
