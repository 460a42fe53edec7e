"""The page: every file under web/, at its own path, from a list made at the start.

Only files on the list are ever opened, so there is no path for a client to climb out of. On platforms that leave web/
out of the function the list is empty and the API works without its page.

What is text goes out gzipped where the client takes that. Two files are made here: config.json says beside what web/
has that the page may be kept for offline use, and files.json names every file with its digest, so that a browser keeps
whole versions of the page and never parts of two (web/lib/offline.js).
"""

import contextlib
import functools
import gzip
import hashlib
import json
import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from api._security import CSP_PAGE
from api._service import Service, UnavailableError

_TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
}
# What lies packed and goes out as it lies; by its name it would pass for what is in it.
_PACKED = {".gz": "application/gzip", ".br": "application/octet-stream"}
_NOT_SERVED = ("node_modules", "package.json", "package-lock.json")
_TEXT = {".html", ".css", ".js", ".json", ".svg", ".txt", ".md"}
_LIST = "files.json"
# Kept compressed, and served as what it is: clients that take brotli get two thirds of the bytes.
_RUNTIME = "vendor/onnxruntime-web/ort-wasm-simd-threaded.reduced.wasm"
_CACHE = {"Content-Security-Policy": CSP_PAGE, "Cache-Control": "no-cache"}


@functools.cache
def _learn_types() -> None:
    # Windows registries and slim containers know some of these under other names, which browsers refuse as modules.
    # Done for the first file, not at the start: the first call reads the machine's own list from disk.
    for suffix, media_type in _TYPES.items():
        mimetypes.add_type(media_type, suffix)


@dataclass(frozen=True)
class _Text:
    """A file's content, with and without gzip, and its digest."""

    plain: bytes
    packed: bytes
    digest: str

    @property
    def entry(self) -> dict[str, Any]:
        """Its entry in files.json."""
        return {"bytes": len(self.plain), "sha256": self.digest}

    @classmethod
    def of(cls, content: bytes) -> "_Text":
        return cls(content, gzip.compress(content, mtime=0), hashlib.sha256(content).hexdigest())


class Page:
    """The files of the page in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files = StaticFiles(directory=directory, check_dir=False)
        self._names = sorted(_names(directory))

    def __bool__(self) -> bool:
        return "index.html" in self._names

    async def index(self, request: Request) -> Response:
        """The page itself."""
        return await self._answer("index.html", request)

    def routes(self) -> list[Route]:
        """A route for each file."""
        if not self:
            return []
        return [Route(f"/{name}", self._endpoint(name)) for name in (*self._names, _LIST, _RUNTIME)]

    def _endpoint(self, name: str):  # type: ignore[no-untyped-def]
        async def serve(request: Request) -> Response:
            return await self._answer(name, request)

        return serve

    async def _answer(self, name: str, request: Request) -> Response:
        _learn_types()
        if name == _LIST:
            return _text(name, _Text.of(self._listed(request.app.state.service)), request)
        if Path(name).suffix in _TEXT:
            return _text(name, self._read(name), request)
        if name == _RUNTIME:
            return await self._runtime(request)
        response = await self._files.get_response(name, request.scope)
        # Browsers keep a copy and ask each time whether it is still the newest (ETag, 304).
        response.headers.update(_CACHE)
        if media_type := _PACKED.get(Path(name).suffix):
            response.headers["Content-Type"] = media_type
        return response

    async def _runtime(self, request: Request) -> Response:
        """The runtime, packed as the client takes it."""
        accepted = request.headers.get("accept-encoding", "")
        suffix, encoding = (".br", "br") if "br" in _codings(accepted) else (".gz", "gzip")
        response = await self._files.get_response(_RUNTIME + suffix, request.scope)
        response.headers.update({**_CACHE, "Content-Encoding": encoding, "Vary": "Accept-Encoding"})
        return response

    def _read(self, name: str) -> _Text:
        """A file of text; one that has changed since is read again."""
        path = self._directory / name
        state = path.stat()
        return _kept(path, name, state.st_mtime_ns, state.st_size)

    def _listed(self, service: Service) -> bytes:
        """files.json: a version, and every file of it with its size and SHA-256."""
        listed = {
            name: self._read(name).entry if Path(name).suffix in _TEXT else _entry(self._directory / name)
            for name in self._names
            if not name.startswith(_RUNTIME)
        }
        listed[_RUNTIME] = _unpacked(self._directory / f"{_RUNTIME}.gz")
        # Without a usable model the page is kept without one.
        with contextlib.suppress(UnavailableError):
            listed |= _model(service)
        version = hashlib.sha256(json.dumps(listed, sort_keys=True).encode()).hexdigest()[:16]
        return json.dumps({"version": version, "files": listed}).encode()


def _text(name: str, file: _Text, request: Request) -> Response:
    packed = takes_gzip(request)
    etag = f'"{file.digest[:32]}{"-gzip" if packed else ""}"'
    headers = {**_CACHE, "ETag": etag, "Vary": "Accept-Encoding"}
    if is_known(etag, request):
        return Response(status_code=304, headers=headers)
    if packed:
        headers["Content-Encoding"] = "gzip"
    media_type = mimetypes.guess_type(name)[0] or "text/plain"
    return Response(file.packed if packed else file.plain, media_type=media_type, headers=headers)


def takes_gzip(request: Request) -> bool:
    """Whether the client said that it takes gzip."""
    return "gzip" in _codings(request.headers.get("accept-encoding", ""))


def is_known(etag: str, request: Request) -> bool:
    """Whether the client has this version of the content already."""
    return etag in [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]


def _codings(accepted: str) -> set[str]:
    """The content codings of an Accept-Encoding header that are not refused with q=0."""
    parts = [part.split(";") for part in accepted.lower().split(",")]
    refused = {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return {name.strip() for name, *rest in parts if not refused & {value.strip() for value in rest}}


@functools.lru_cache(maxsize=256)
def _kept(path: Path, name: str, _modified: int, _bytes: int) -> _Text:
    content = path.read_bytes()
    if name == "config.json":
        content = json.dumps({**json.loads(content), "offline": True, "runtime": _RUNTIME}, indent=2).encode()
    return _Text.of(content)


def _described(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@functools.cache
def _entry(path: Path) -> dict[str, Any]:
    return _described(path.read_bytes())


@functools.cache
def _unpacked(path: Path) -> dict[str, Any]:
    return _described(gzip.decompress(path.read_bytes()))


def _model(service: Service) -> dict[str, Any]:
    model = service.ready().model
    described = json.dumps(model.metadata, ensure_ascii=False).encode()
    weights = model.metadata["weights"]
    return {
        "model/metadata.json": _described(described),
        "model/model.onnx": {"bytes": len(model.weights), "sha256": weights["sha256"]},
    }


def _names(directory: Path) -> Iterator[str]:
    for path in directory.rglob("*"):
        name = path.relative_to(directory)
        hidden = any(part.startswith(".") or part in _NOT_SERVED for part in name.parts)
        if path.is_file() and not hidden:
            yield name.as_posix()
