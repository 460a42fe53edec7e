"""The service under a path of its host, as /prod/predict: what stands in front of its own paths is the root path."""

from urllib.parse import urlsplit, urlunsplit

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class RootPathMiddleware:
    """Tells the routes where the service is, and keeps redirects there.

    Args:
        root_path: like `/prod`, or empty: then what the server says (Lambda's events name the stage).
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self.app = app
        self.root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        served = scope.get("root_path", "")
        own = scope["path"].removeprefix(served) if _is_under(scope["path"], served) else scope["path"]
        root = self.root_path or served
        # Some proxies take the root path off before they pass a request on, and others leave it on.
        path = own if self.root_path and _is_under(own, root) else root + own

        async def send_relative(message: Message) -> None:
            if message["type"] == "http.response.start":
                _make_relative(MutableHeaders(scope=message))
            await send(message)

        await self.app({**scope, "root_path": root, "path": path}, receive, send_relative)


def _is_under(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root}/")


def _make_relative(headers: MutableHeaders) -> None:
    # Behind a proxy, scheme, host and port as they arrive here may be others than those that the client knows. All
    # redirects lead to this service, so that the path is enough.
    if location := headers.get("location"):
        parts = urlsplit(location)
        # Two slashes at the beginning would name another host.
        headers["Location"] = urlunsplit(("", "", f"/{parts.path.lstrip('/')}", parts.query, ""))
