"""Who may call, from where, and the headers that every response carries."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Annotated

from fastapi import HTTPException, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp

# What a response may load when a browser shows it; who may show it in a frame is added to each of these below.
# JSON loads nothing.
CSP_DATA = "default-src 'none'"
# The page talks to any API that its user names, reads photos as blobs, and may run the model itself in WebAssembly.
CSP_PAGE = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self' http: https:; worker-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
# Swagger UI and ReDoc style their elements one by one, and ReDoc searches in a worker that it builds itself.
CSP_DOCS = (
    "default-src 'none'; script-src 'self'; worker-src blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'"
)

# The methods of all routes; preflights are answered separately.
METHODS = ("GET", "HEAD", "POST")
# A token of RFC 9110, 5.6.2: nothing else may come back in a header of an answer.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

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


class Cors(CORSMiddleware):
    """Lets pages of exactly these origins read the answers.

    Credentials are never allowed: the service knows no cookies, and a key travels in a header that the page sets
    itself. That makes `*` as harmless as it can be.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
            expose_headers=["Server-Timing", "X-Request-ID"],
            max_age=7200,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """What a browser hears that asks before it calls.

        An allowed page may send any headers: libraries for tracing, caching and error reports add their own, and one
        that the service does not know changes nothing. What a list of headers protects elsewhere, an action in the
        name of a visitor whose cookies come along, does not exist here.
        """
        headers = dict(self.preflight_headers)
        if not self.is_allowed_origin(request_headers["origin"]):
            return self._refused(
                "This page may not call the service. Add its origin to ALLOWED_ORIGINS where the service runs.",
                {"Vary": headers["Vary"]},
            )
        if not self.allow_all_origins:
            headers["Access-Control-Allow-Origin"] = request_headers["origin"]
        allowed = {name: headers[name] for name in ("Vary", "Access-Control-Allow-Origin")}
        if request_headers["access-control-request-method"] not in METHODS:
            return self._refused(f"The service answers {', '.join(METHODS)} only.", allowed)
        asked = request_headers.get("access-control-request-headers", "").split(",")
        names = [name.strip() for name in asked if name.strip()]
        if not all(map(_HEADER_NAME.fullmatch, names)):
            return self._refused("Access-Control-Request-Headers must be names of headers.", allowed)
        if names:
            headers["Access-Control-Allow-Headers"] = ", ".join(names)
        if request_headers.get("access-control-request-private-network") == "true":
            # The service runs on a visitor's own machine or network, and whoever runs it has named this page.
            headers["Access-Control-Allow-Private-Network"] = "true"
        return PlainTextResponse("OK", headers=headers)

    @staticmethod
    def _refused(detail: str, headers: dict[str, str]) -> Response:
        return JSONResponse({"detail": detail}, 400, headers=headers)


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
        # Not before every pair was compared, so that the time says nothing.
        return any(matches)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _unauthorized(detail: str) -> HTTPException:
    return HTTPException(401, detail, headers={"WWW-Authenticate": "Bearer"})
