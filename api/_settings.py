"""Settings: the only module that reads the environment.

On a developer's machine a `.env` file beside the README fills in what the environment leaves out; a deployment gets
its variables from the platform. A wrong value stops the start with a sentence that names the variable, and so does a
line of `.env` that is not understood (_dotenv.py), because a service that starts with half its protection is worse than
one that does not start.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from api._photo.limits import DEFAULT_MAX_PIXELS

ROOT = Path(__file__).resolve().parent.parent

# Vercel refuses larger request bodies before they reach the function.
DEFAULT_MAX_UPLOAD_BYTES = 4_500_000

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
# What a browser sends as Origin: of a web page, its host in lower case, or of an app or a browser extension, with a
# scheme of its own and a host in any case (capacitor://localhost, safari-web-extension://7B0E...).
_ORIGIN = re.compile(
    r"(https?://([a-z0-9_.-]+|\[[0-9a-f:]+\])|(?!https?:)[a-z][a-z0-9+.-]*://[A-Za-z0-9_.-]+)(:(?P<port>\d{1,5}))?"
)
# Browsers leave these out.
_DEFAULT_PORT = re.compile(r"^(https://[^/]+):443$|^(http://[^/]+):80$")
# Files, data: addresses and sandboxed frames have no origin of their own: for each of them a browser sends null.
_OPAQUE = re.compile(r"null|(about|blob|data|file|filesystem|javascript)://.*")
# No page is ever loaded from these; what is meant is the page's own http or https address.
_CONNECTIONS = re.compile(r"(wss?|ftp)://.*")
# A star for the first label of a host, with a name of two labels or more behind it; or for the host of an app.
_STARRED = re.compile(r"^(https?://)\*\.([^.*]+\.[^*]+)$")
_STARRED_APP = re.compile(r"^((?!https?:)[^:/]+://)\*$")
# Credentials, queries and fragments do not belong there: every visitor is told it.
_SERVICE = re.compile(r"(https?://[^\s/?#@]+)?/[^\s?#]*|https?://[^\s/?#@]+")
_WORKERS = "WEB_CONCURRENCY"
_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")


class SettingsError(ValueError):
    """A variable of the environment, or `.env`, cannot be used; the message names it and shows no secret."""


@dataclass(frozen=True)
class Settings:
    """Everything that a deployment can choose. `.env.example` explains each variable to people."""

    allowed_origins: tuple[str, ...] = ()
    frame_ancestors: tuple[str, ...] = ()
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    model_dir: Path = ROOT / "model"
    model_version: str | None = None
    max_upload_bytes: int = DEFAULT_MAX_UPLOAD_BYTES
    max_pixels: int = DEFAULT_MAX_PIXELS
    threads: int | None = None
    enable_docs: bool = True
    log_level: str = "INFO"
    port: int = 8000
    root_path: str = ""
    feedback_url: str | None = None
    writer_url: str | None = None
    metrics_port: int | None = None
    metrics_key: str | None = field(default=None, repr=False)
    fastapi_otel_auto_configure: bool = False
    ngrok_authtoken: str | None = field(default=None, repr=False)
    workers_ignored: bool = False


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Reads the settings from `environment` (default: the process's, completed by `.env`).

    Raises:
        SettingsError: a variable has an unusable value or name, or `.env` is not understood; the message names it and
            says what would do.
    """
    if environment is None:
        _load_dotenv(ROOT / ".env")
        environment = os.environ
    _check_names(environment)
    text = {name: value.strip() for name, value in environment.items()}
    return Settings(
        allowed_origins=_origins(text.get("ALLOWED_ORIGINS", "")),
        frame_ancestors=_ancestors(text.get("FRAME_ANCESTORS", "")),
        # Not stripped: keys that are all blanks are a mistake, and must not count as "no keys".
        api_keys=_keys(environment.get("API_KEYS", "")),
        model_dir=_directory("MODEL_DIR", text, ROOT / "model"),
        model_version=_version("MODEL_VERSION", text),
        max_upload_bytes=_integer("MAX_UPLOAD_BYTES", text, DEFAULT_MAX_UPLOAD_BYTES, minimum=1),
        max_pixels=_integer("MAX_PIXELS", text, DEFAULT_MAX_PIXELS, minimum=1),
        threads=_integer("THREADS", text, 0, minimum=1, maximum=256) or None,
        enable_docs=_boolean("ENABLE_DOCS", text, default=True),
        log_level=_choice("LOG_LEVEL", text, "INFO", LOG_LEVELS),
        port=_integer("PORT", text, 8000, minimum=1, maximum=65_535),
        root_path=_root_path("ROOT_PATH", text),
        feedback_url=_service("FEEDBACK_URL", text),
        writer_url=_service("WRITER_URL", text),
        metrics_port=_integer("METRICS_PORT", text, 0, minimum=1, maximum=65_535) or None,
        metrics_key=_key("METRICS_KEY", environment.get("METRICS_KEY", "")),
        fastapi_otel_auto_configure=_boolean("FASTAPI_OTEL_AUTO_CONFIGURE", text, default=False),
        ngrok_authtoken=text.get("NGROK_AUTHTOKEN") or None,
        # Not a setting of this service but of uvicorn and platforms, for servers with several processes.
        workers_ignored=text.get(_WORKERS, "") not in ("", "1"),
    )


def names() -> tuple[str, ...]:
    """Names of the environment variables that are settings."""
    return tuple(setting.name.upper() for setting in fields(Settings) if setting.name != "workers_ignored")


def _check_names(environment: Mapping[str, str]) -> None:
    # On Windows names have no case, and come in capitals. Names of one word, like port, may be another program's.
    for name in environment:
        if "_" in name and not name.isupper() and name.upper() in names():
            raise SettingsError(f"{name}: the setting is called {name.upper()}, in capitals.")


def _load_dotenv(path: Path) -> None:
    # Imported only where a .env exists: a deployed function has none and need not pay for the import. A link to
    # nowhere, a folder and a pipe exist too.
    if os.path.lexists(path):
        from api._dotenv import DotenvError, read_dotenv

        try:
            values = read_dotenv(path, names(), os.environ)
        except DotenvError as error:
            raise SettingsError(str(error)) from error
        for name, value in values.items():
            os.environ.setdefault(name, value)
    elif os.path.lexists(path.with_name(f"{path.name}.txt")):
        raise SettingsError(f"{path.name}.txt: an editor added .txt to its name. Call it {path.name}.")


def _service(name: str, text: Mapping[str, str]) -> str | None:
    """The address of a service as browsers reach it: whole, or a path on the API's own origin."""
    value = text.get(name, "")
    if value and not _SERVICE.fullmatch(value):
        raise SettingsError(
            f"{name}: {value!r} is no address of a service. Write one like https://feedback.example/ or, on this "
            "API's own origin, a path like /feedback."
        )
    return value or None


def _origins(value: str) -> tuple[str, ...]:
    origins = tuple(dict.fromkeys(_DEFAULT_PORT.sub(r"\1\2", origin) for origin in _list(value)))
    if "*" in origins and len(origins) > 1:
        raise SettingsError(
            "ALLOWED_ORIGINS: use either * (any origin) or a list of exact origins, not both."
        )
    for origin in origins:
        if origin == "*":
            continue
        if _OPAQUE.fullmatch(origin):
            raise SettingsError(
                f"ALLOWED_ORIGINS: {origin!r} names nobody: every sandboxed frame and every opened file sends `null`, "
                "so that anybody's page can. If any page may call, write * instead."
            )
        if _CONNECTIONS.fullmatch(origin):
            raise SettingsError(
                f"ALLOWED_ORIGINS: no page has the origin {origin!r}. Write the http or https address of the page."
            )
        if not _is_origin(origin):
            raise SettingsError(
                f"ALLOWED_ORIGINS: {origin!r} is no origin. Write scheme, host in lower case and port only, "
                "like https://user.github.io, http://localhost:5500 or capacitor://localhost: no path, no slash at "
                "the end, no wildcard."
            )
    return origins


def _ancestors(value: str) -> tuple[str, ...]:
    # These go into a header that blanks and semicolons divide into parts: only origins may get there.
    origins = _list(value)
    for origin in origins:
        # An editor in the browser shows its previews in hosts whose first label nobody knows beforehand.
        exact = _STARRED_APP.sub(r"\1any", _STARRED.sub(r"\1any.\2", origin))
        # A policy cannot name an IPv6 address.
        if not _is_origin(exact) or "[" in exact or _OPAQUE.fullmatch(exact) or _CONNECTIONS.fullmatch(exact):
            raise SettingsError(
                f"FRAME_ANCESTORS: {origin!r} is no origin. Write scheme, host in lower case and port only, like "
                "https://huggingface.co, or https://*.example.com for all its subdomains: no path, no slash at the end."
            )
    return origins


def _is_origin(text: str) -> bool:
    match = _ORIGIN.fullmatch(text)
    return match is not None and int(match["port"] or 0) <= 65_535


def _list(value: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))


def _keys(value: str) -> tuple[str, ...]:
    keys = _list(value)
    if value and not keys:
        raise SettingsError("API_KEYS: no key between the commas. Leave it unset to let everybody predict.")
    if any(not re.fullmatch(r"[!-~]+", key) for key in keys):
        # The value itself must not reach a log.
        raise SettingsError("API_KEYS: a key may hold only visible ASCII characters, no spaces inside.")
    return keys


def _key(name: str, value: str) -> str | None:
    if value and not re.fullmatch(r"[!-~]+", value):
        # The value itself must not reach a log.
        raise SettingsError(f"{name}: a key may hold only visible ASCII characters, no spaces.")
    return value or None


def _directory(name: str, text: Mapping[str, str], default: Path) -> Path:
    if not text.get(name):
        return default
    try:
        return Path(text[name]).expanduser()
    except RuntimeError as error:
        raise SettingsError(f"{name}: {text[name]!r} names the home of a user who has none here.") from error


def _version(name: str, text: Mapping[str, str]) -> str | None:
    value = text.get(name)
    if not value:
        return None
    # The version becomes a folder name, so nothing in it may climb out of the registry.
    if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z.+-]*", value) or ".." in value:
        raise SettingsError(f"{name}: {value!r} is no version. Name a folder in model/versions, like 1.0.0.")
    return value


def _root_path(name: str, text: Mapping[str, str]) -> str:
    value = text.get(name, "")
    if value in ("", "/"):
        return ""
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", value) or {".", ".."} & set(value.split("/")):
        raise SettingsError(
            f"{name}: {value!r} is no path. Write what stands between the host and the service's own paths, like "
            "/prod: with a slash at the beginning and none at the end."
        )
    return value


def _integer(name: str, text: Mapping[str, str], default: int, *, minimum: int, maximum: int = 10**12) -> int:
    value = text.get(name)
    if not value:
        return default
    if not re.fullmatch(r"[0-9]{1,13}", value) or not minimum <= int(value) <= maximum:
        raise SettingsError(f"{name}: {value!r} must be a whole number from {minimum} to {maximum}.")
    return int(value)


def _boolean(name: str, text: Mapping[str, str], *, default: bool) -> bool:
    value = text.get(name, "").lower()
    if not value:
        return default
    if value not in _TRUE + _FALSE:
        raise SettingsError(f"{name}: {value!r} must be true or false.")
    return value in _TRUE


def _choice(name: str, text: Mapping[str, str], default: str, choices: tuple[str, ...]) -> str:
    value = text.get(name, "").upper() or default
    if value not in choices:
        raise SettingsError(f"{name}: {value!r} must be one of {', '.join(choices)}.")
    return value
