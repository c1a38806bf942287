"""Who is asking. The tenant comes from the credential, never from the body or the path."""

from __future__ import annotations

from hmac import compare_digest

from starlette.requests import Request

from schemas.ids import DEFAULT_TENANT


class DevelopmentKey:
    """One key for everything, for a machine of one's own. It is refused in the query, where logs would keep it."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def tenant_of(self, request: Request) -> str | None:
        """The tenant of the bearer token, or None."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not compare_digest(token.encode("latin-1"), self._key):
            return None
        return DEFAULT_TENANT
