"""Who may call, from where, and the headers that every response carries."""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Annotated

from fastapi import FastAPI, HTTPException, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware

# What a response may load when a browser shows it; who may show it in a frame is added to each of these below.
# JSON loads nothing.
CSP_DATA = "default-src 'none'"
# The page talks to any API that its user names, reads photos as blobs, and may run the model itself in WebAssembly.
CSP_PAGE = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self' http: https:; worker-src 'self'; base-uri 'none'; form-action 'none'"
)
# Swagger UI and ReDoc style their elements one by one, and ReDoc searches in a worker that it builds itself.
CSP_DOCS = (
    "default-src 'none'; script-src 'self'; worker-src blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'"
)

# Names under which people put a key into a URL, where every log on the way would keep it.
_QUERY_NAMES = ("api_key", "apikey", "api-key", "x-api-key", "key", "token", "access_token")


class SecurityHeaders:
    """The headers that every response carries.

    Args:
        frame_ancestors: origins of the pages that may show a response in a frame.
    """

    def __init__(self, frame_ancestors: Sequence[str]) -> None:
        self._framing = " ".join(["frame-ancestors", *(frame_ancestors or ["'none'"])])
        self._defaults = {
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }
        if not frame_ancestors:
            # For browsers older than frame-ancestors. It can name no origin, so that beside a list it would only harm.
            self._defaults["X-Frame-Options"] = "DENY"

    def add_to(self, headers: MutableHeaders) -> None:
        """Completes the headers of a response; those that it brings stay."""
        policy = headers.get("Content-Security-Policy", CSP_DATA)
        headers["Content-Security-Policy"] = f"{policy}; {self._framing}"
        for name, value in self._defaults.items():
            headers.setdefault(name, value)


def add_cors(app: FastAPI, origins: Sequence[str]) -> None:
    """Lets pages of exactly these origins read the answers.

    Credentials are never allowed: the service knows no cookies, and a key travels in a header that the page sets
    itself. That makes `*` as harmless as it can be.
    """
    if not origins:
        return
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_credentials=False,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
        expose_headers=["Server-Timing", "X-Request-ID"],
        max_age=7200,
    )


class KeyCheck:
    """A FastAPI dependency that lets a request through only with one of the keys."""

    def __init__(self, keys: Sequence[str]) -> None:
        # Digests have one length, so that comparing them takes the same time whatever was sent.
        self._digests = [_digest(key) for key in keys]

    async def __call__(
        self,
        request: Request,
        key: Annotated[
            str | None,
            Security(
                APIKeyHeader(name="X-API-Key", auto_error=False, description="One of the service's API keys.")
            ),
        ] = None,
        bearer: Annotated[
            HTTPAuthorizationCredentials | None,
            Security(HTTPBearer(auto_error=False, description="The same key as a bearer token.")),
        ] = None,
    ) -> None:
        if any(name.lower() in _QUERY_NAMES for name in request.query_params):
            raise _unauthorized(
                "A key in the URL ends up in logs and is not taken. Send it in the header X-API-Key."
            )
        sent = [value for value in (key, bearer.credentials if bearer else None) if value]
        if not sent:
            raise _unauthorized(
                "This service needs an API key. Send it in the header X-API-Key, or as a bearer token."
            )
        if not self.matches(sent):
            raise _unauthorized(
                "The API key is wrong. Send one of this service's keys in the header X-API-Key."
            )

    def matches(self, sent: Sequence[str]) -> bool:
        """Whether one of the values sent is a key; the time says nothing of which, or how much of it, was right."""
        matches = [hmac.compare_digest(_digest(value), digest) for value in sent for digest in self._digests]
        # Only now, so that every pair was compared.
        return any(matches)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _unauthorized(detail: str) -> HTTPException:
    return HTTPException(401, detail, headers={"WWW-Authenticate": "Bearer"})
