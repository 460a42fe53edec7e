"""python -m api tunnel: the app on this machine, under a public HTTPS address of ngrok's."""

import contextlib
import os
import sys
from typing import Any

from api._commands.serve import serve
from api._settings import Settings


def tunnel(host: str, port: int, settings: Settings) -> int:
    """Opens the tunnel and serves; returns the exit status."""
    if not settings.ngrok_authtoken:
        print(
            "error: NGROK_AUTHTOKEN is not set. Get a free token at "
            "https://dashboard.ngrok.com/get-started/your-authtoken and put NGROK_AUTHTOKEN=... into .env.",
            file=sys.stderr,
        )
        return 2
    try:
        import ngrok
    except ImportError:
        print("error: the ngrok SDK is not installed. Run: pip install ngrok", file=sys.stderr)
        return 2
    status = _serve_through(ngrok, host, port, settings)
    # The SDK's own threads outlive its calls, failed ones too, and every now and then crash an interpreter that takes
    # itself apart in order (seen with 1.4.0 and 1.7.0). Nothing is left to do, so leave at once.
    sys.stderr.flush()
    os._exit(status)


def _serve_through(ngrok: Any, host: str, port: int, settings: Settings) -> int:
    token = settings.ngrok_authtoken or ""
    try:
        listener = ngrok.forward(f"{_reachable(host)}:{port}", authtoken=token)
    except (ValueError, RuntimeError, OSError) as error:
        # The SDK raises ValueError(what, why, ...) for everything from no network to a refused token, and of a refused
        # token it quotes all of it.
        parts = error.args[0] if error.args and isinstance(error.args[0], tuple) else error.args
        reason = " ".join(str(part) for part in parts).replace(token, "...")
        print(f"error: no tunnel. ngrok says: {reason}. Check the network and the token.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"public   {listener.url()}", flush=True)
    try:
        return serve(host, port, settings)
    except KeyboardInterrupt:  # while the model is still being loaded
        return 130
    except SystemExit as error:  # uvicorn's way to say that it cannot listen; it has said why
        return error.code if isinstance(error.code, int) else 1
    finally:
        # A tunnel whose network went away cannot be closed properly, and is closed all the same.
        with contextlib.suppress(ValueError, RuntimeError, OSError):
            ngrok.disconnect(listener.url())
        print("tunnel closed", flush=True)


def _reachable(host: str) -> str:
    """The address under which this machine reaches a server that listens on `host`."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not listened on
    return f"[{host}]" if ":" in host else host
