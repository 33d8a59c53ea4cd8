"""Stripe's errors."""

from typing import Any

from stripe_sandbox.documents import Document

DOC_URL = "https://docs.stripe.com/error-codes#"


class ApiError(Exception):
    """An error response in Stripe's shape.

    `keeps_changes` commits what was changed before the error, as with a declined charge.
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
    """Return a 400 about the request, or about one param."""
    return ApiError(400, message, code=code, param=param)


def missing_param(param: str) -> ApiError:
    """Return the 400 for a missing required param."""
    return invalid(f"Missing required param: {param}.", param=param, code="parameter_missing")


def no_such(
    noun: str, object_id: str, param: str = "id", *, in_path: bool | None = None
) -> ApiError:
    """Return the error for an unknown id: 404 in the path, 400 in a param.

    `in_path` is needed only if the id in the path has another name than `id`.
    """
    status = 404 if in_path or (in_path is None and param == "id") else 400
    message = f"No such {noun}: '{object_id}'"
    return ApiError(status, message, code="resource_missing", param=param)


def card_error(message: str, *, code: str, decline_code: str | None = None) -> ApiError:
    """Return the 402 of a declined charge."""
    return ApiError(
        402, message, kind="card_error", code=code, decline_code=decline_code, keeps_changes=True
    )
