"""/docs and /redoc, from files of our own.

FastAPI's pages fetch their scripts from a third party's network. On a page where people type their API key that is
too much trust, and without internet it is an empty page. The files come from npm; _docs/update.sh fetches them.
"""

import gzip
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from api._security import CSP_DOCS

_FOLDER = Path(__file__).resolve().parent.parent / "_docs"
_TYPES = {".js": "text/javascript", ".css": "text/css"}
_FILES = ("swagger-ui-bundle.js.gz", "swagger-ui.css.gz", "redoc.standalone.js.gz", "docs.js", "redoc.js")

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Purrdict: API</title>
<link rel="icon" href="data:,">
{style}
</head>
<body>
<main id="docs"></main>
<script src="docs/{library}"></script>
<script src="docs/{start}"></script>
</body>
</html>
"""
_SWAGGER = _PAGE.format(
    style='<link rel="stylesheet" href="docs/swagger-ui.css">',
    library="swagger-ui-bundle.js",
    start="docs.js",
)
_REDOC = _PAGE.format(style="", library="redoc.standalone.js", start="redoc.js")


def routes() -> list[Route]:
    """The two pages and the files that they load."""
    pages = [_page("/docs", _SWAGGER), _page("/redoc", _REDOC)]
    return pages + [_file(name) for name in _FILES if (_FOLDER / name).is_file()]


def _page(path: str, html: str) -> Route:
    async def show(_: Request) -> Response:
        return HTMLResponse(html, headers={"Content-Security-Policy": CSP_DOCS})

    return Route(path, show)


def _file(name: str) -> Route:
    public = name.removesuffix(".gz")
    path = _FOLDER / name

    async def send(request: Request) -> Response:
        data, headers = (
            path.read_bytes(),
            {"Cache-Control": "public, max-age=86400", "Vary": "Accept-Encoding"},
        )
        if name != public:
            if "gzip" in request.headers.get("accept-encoding", ""):
                headers["Content-Encoding"] = "gzip"
            else:
                data = gzip.decompress(data)
        return Response(data, media_type=_TYPES[Path(public).suffix], headers=headers)

    return Route(f"/docs/{public}", send)
