"""AWS Lambda's entry: the same app behind Mangum. A module of its own, because other platforms take `handler` first."""

import re
from typing import Any

from mangum import Mangum
from starlette.types import Receive, Scope, Send

from api.index import app


async def app_of_event(scope: Scope, receive: Receive, send: Send) -> None:
    """The app, told which part of the path is API Gateway's stage or a domain's base path."""
    root, own = _split(scope["aws.event"], scope["path"])
    await app({**scope, "root_path": root, "path": root + own}, receive, send)


def _split(event: dict[str, Any], path: str) -> tuple[str, str]:
    """The root path of an event, and the path behind it.

    An HTTP API puts its stage in front of the path. A REST API does not, and tells the client's path in the context; a
    domain's base path it leaves on the path, but says what of it the resource matched.
    """
    context = event.get("requestContext", {})
    own = path
    if "version" in event:
        stage = f"/{context.get('stage')}"
        if path == stage or path.startswith(f"{stage}/"):
            own = path[len(stage) :]
    elif "resource" in event:
        values: dict[str, str] = event.get("pathParameters") or {}
        matched = re.sub(
            r"\{(\w+)\+?\}", lambda name: values.get(name[1], name[0]), event["resource"]
        ).rstrip("/")
        if path.rstrip("/").endswith(matched):
            own = path[len(path.rstrip("/")) - len(matched) :] or "/"
    public: str = context.get("path") or path
    if own in ("", "/"):
        # The client's own last slash, or none: links of the page need it.
        return public.rstrip("/"), "/" if public.endswith("/") else ""
    return (public[: -len(own)], own) if public.endswith(own) else ("", path)


# With lifespan on, start-up would run at every invocation; this app has none.
handler = Mangum(app_of_event, lifespan="off")
