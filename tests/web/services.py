"""Small servers that keep the contracts of the services beside the API, for the page's tests."""

import http.server
import json
import threading
import uuid
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any


class Feedback(http.server.BaseHTTPRequestHandler):
    """POST /feedback and DELETE /feedback/{id}, with what was said in `said`."""

    said: dict[str, dict[str, Any]]
    refusal: str | None

    def do_OPTIONS(self) -> None:
        self._send(204, None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.headers["Content-Type"]
        if self.server.refusal:  # type: ignore[attr-defined]
            self._send(429, {"detail": self.server.refusal})  # type: ignore[attr-defined]
            return
        if self.path != "/feedback":
            self._send(404, {"detail": "Not found."})
            return
        said = json.loads(body) if kind == "application/json" else _form(kind, body)
        number = uuid.uuid4().hex
        self.server.said[number] = said  # type: ignore[attr-defined]
        self._send(201, {"id": number, "deletion_token": f"token-{number}", "photo_stored": "photo" in said})

    def do_DELETE(self) -> None:
        number = self.path.rpartition("/")[2]
        if self.headers["X-Deletion-Token"] != f"token-{number}":
            self._send(403, {"detail": "The token is not this feedback's."})
            return
        self.server.said.pop(number)  # type: ignore[attr-defined]
        self._send(204, None)

    def _send(self, status: int, body: Any) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        _allow(self)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


class Writer(http.server.BaseHTTPRequestHandler):
    """POST /write: events of a draft, piece by piece, or a refusal."""

    def do_OPTIONS(self) -> None:
        self.send_response(204)
        _allow(self)
        self.end_headers()

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["X-API-Key"] != self.server.key:  # type: ignore[attr-defined]
            self._refuse(401, "A key is needed: send it as X-API-Key, or as a bearer token.")
            return
        self.server.asked.append(request)  # type: ignore[attr-defined]
        if request["notes"] == "no engine":
            self._refuse(503, "No engine answers. Start it, then try again.")
            return
        self.send_response(200)
        _allow(self)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        pieces = ("Meet ", request["notes"], "!")
        events: list[tuple[str, dict[str, object]]] = [
            ("queued", {"place": 1, "waiting": 1}),
            ("start", {"model": "test", "prompt": "listing-1", "draft": True, "notice": "Draft."}),
            *(("delta", {"text": piece}) for piece in pieces),
            ("done", {"finish_reason": "stop", "usage": {"completion_tokens": 3}, "draft": True}),
        ]
        for name, payload in events:
            self.wfile.write(f"event: {name}\ndata: {json.dumps(payload)}\n\n".encode())
            self.wfile.flush()

    def _refuse(self, status: int, detail: str) -> None:
        data = json.dumps({"detail": detail}).encode()
        self.send_response(status)
        _allow(self)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


def _allow(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_header("Access-Control-Allow-Origin", "*")
    handler.send_header("Access-Control-Allow-Headers", "Content-Type, X-Deletion-Token, X-API-Key")
    handler.send_header("Access-Control-Allow-Methods", "GET, POST, DELETE")


def _form(kind: str, body: bytes) -> dict[str, Any]:
    message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    return {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)
        for part in message.iter_parts()
    }


class Service:
    """One of them, running: `url`, and what it heard."""

    def __init__(self, handler: type[http.server.BaseHTTPRequestHandler]) -> None:
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.said = {}  # type: ignore[attr-defined]
        self._server.asked = []  # type: ignore[attr-defined]
        self._server.refusal = None  # type: ignore[attr-defined]
        self._server.key = None  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    @property
    def said(self) -> list[dict[str, Any]]:
        return list(self._server.said.values())  # type: ignore[attr-defined]

    @property
    def asked(self) -> list[dict[str, Any]]:
        return list(self._server.asked)  # type: ignore[attr-defined]

    def refuse(self, sentence: str | None) -> None:
        self._server.refusal = sentence  # type: ignore[attr-defined]

    def want(self, key: str) -> None:
        """Lets only requests with this key through."""
        self._server.key = key  # type: ignore[attr-defined]

    def __enter__(self) -> "Service":
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
