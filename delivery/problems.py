"""Errors as RFC 9457 problem details: a stable `code`, one sentence that says what to do, and the right status."""

from __future__ import annotations

from fastapi import Response
from msgspec import json

from schemas.decision import Problem
from schemas.errors import Code, Rejection, Unavailable

STATUS: dict[str, int] = {
    Code.MALFORMED: 400,
    Code.DUPLICATE_KEY: 400,
    Code.TOO_DEEP: 400,
    Code.TOO_LARGE: 413,
    Code.INVALID: 422,
    Code.UNKNOWN_TYPE: 422,
    Code.UNKNOWN_COURSE: 404,
    Code.UNKNOWN_SEGMENT: 422,
    Code.ID_REUSED: 409,
    Code.VERSION_TAKEN: 409,
}
TITLES = {
    400: "The request cannot be read",
    401: "Who are you?",
    404: "Not found",
    409: "Conflict",
    413: "Too large",
    422: "The request makes no sense here",
    503: "Not available now",
}


def problem(status: int, code: str, detail: str, findings: list[dict[str, str]] | None = None) -> Response:
    """A problem as a response. 401 says how to authenticate, 503 when to come back."""
    body = Problem(title=TITLES.get(status, ""), status=status, detail=detail, code=code, findings=findings)
    headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}.get(status, {})
    return Response(json.encode(body), status, media_type="application/problem+json", headers=headers)


def rejected(rejection: Rejection) -> Response:
    """A rejection as a response."""
    return problem(STATUS.get(rejection.code, 422), rejection.code, rejection.detail)


def unavailable(fault: Unavailable) -> Response:
    """503: a part that is needed does not answer now."""
    return problem(503, "unavailable", f"{fault}. Nothing was lost; send it again.")
