"""The page: every file under web/, at its own path, from a list made at the start.

Only files on the list are ever opened, so there is no path for a client to climb out of. On platforms that leave web/
out of the function the list is empty and the API works without its page.
"""

import functools
import mimetypes
from collections.abc import Iterator
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from api._security import CSP_PAGE

_TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".gz": "application/gzip",
}
_NOT_SERVED = ("node_modules", "package.json", "package-lock.json")


@functools.cache
def _learn_types() -> None:
    # Windows registries and slim containers know some of these under other names, which browsers refuse as modules.
    # Done for the first file, not at the start: the first call reads the machine's own list from disk.
    for suffix, media_type in _TYPES.items():
        mimetypes.add_type(media_type, suffix)


class Page:
    """The files of the page in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._files = StaticFiles(directory=directory, check_dir=False)
        self._names = sorted(_names(directory))

    def __bool__(self) -> bool:
        return "index.html" in self._names

    async def index(self, request: Request) -> Response:
        """The page itself."""
        return await self._answer("index.html", request)

    def routes(self) -> list[Route]:
        """A route for each file."""
        return [Route(f"/{name}", self._endpoint(name), include_in_schema=False) for name in self._names]

    def _endpoint(self, name: str):  # type: ignore[no-untyped-def]
        async def serve(request: Request) -> Response:
            return await self._answer(name, request)

        return serve

    async def _answer(self, name: str, request: Request) -> Response:
        _learn_types()
        response = await self._files.get_response(name, request.scope)
        response.headers["Content-Security-Policy"] = CSP_PAGE
        # Browsers keep a copy and ask each time whether it is still the newest (ETag, 304).
        response.headers["Cache-Control"] = "no-cache"
        return response


def _names(directory: Path) -> Iterator[str]:
    for path in directory.rglob("*"):
        name = path.relative_to(directory)
        hidden = any(part.startswith(".") or part in _NOT_SERVED for part in name.parts)
        if path.is_file() and not hidden:
            yield name.as_posix()
