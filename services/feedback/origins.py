"""Which pages may send feedback from a browser.

A form needs no permission to be sent across origins, so without this any page could make its visitors correct things.
Programs send no Origin, and are let through.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.requests import Request


def may_send(request: Request, allowed: Sequence[str], behind_proxy: bool) -> bool:
    """Whether the page that a request comes from is the service's own, or an allowed one."""
    origin = request.headers.get("origin")
    if origin is None or "*" in allowed or origin in allowed:
        return True
    hosts = {request.headers.get("host", "")}
    if behind_proxy:
        hosts.add(request.headers.get("x-forwarded-host", ""))
    return urlsplit(origin).netloc in hosts - {""}
