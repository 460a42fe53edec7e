"""Settings: the only module that reads the environment, and `.env` beside the README on a developer's machine."""

from __future__ import annotations

import io
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SHORTEST_SECRET = 24
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([A-Za-z0-9_.-]+|\[[0-9a-f:]+\])(:\d{1,5})?")


class SettingsError(ValueError):
    """A variable cannot be used; the message names it and shows no secret."""


@dataclass(frozen=True)
class Settings:
    """Everything that a deployment can choose; docs/FEEDBACK.md explains each variable.

    `secret` keys the hashes of clients and the deletion tokens; `admin_key` opens what only the owner may see, None
    closes it to everybody.
    """

    database_url: str
    secret: str = field(repr=False)
    admin_key: str | None = field(default=None, repr=False)
    folder: Path | None = None
    allowed_origins: tuple[str, ...] = ()
    api_url: str | None = None
    labels: tuple[str, ...] = ()
    per_hour: int = 60
    retention_days: int = 365
    max_upload_bytes: int = 4_500_000
    max_photos_mb: int = 2_000
    trusted_hops: int = 0
    port: int = 8001
    log_level: str = "INFO"
    metrics_port: int | None = None
    metrics_key: str | None = field(default=None, repr=False)
    tracing: bool = False


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Reads the settings from `environment` (default: the process's, completed by `.env`).

    With SQLite, a secret and an owner's key that nobody named are made and kept beside the database.

    Raises:
        SettingsError: a variable has an unusable value, or one is missing.
    """
    text = {name: value.strip() for name, value in _environment(environment).items()}
    url, folder = _database(text)
    return Settings(
        database_url=url,
        secret=_secret("FEEDBACK_SECRET", text, folder) or _missing_secret(),
        admin_key=_secret("FEEDBACK_ADMIN_KEY", text, folder),
        folder=folder,
        allowed_origins=_origins(text.get("ALLOWED_ORIGINS", "")),
        api_url=_api_url(text.get("FEEDBACK_API_URL", "")),
        labels=tuple(dict.fromkeys(_list(text.get("FEEDBACK_LABELS", "")))),
        per_hour=_integer("FEEDBACK_PER_HOUR", text, 60, 1, 1_000_000),
        retention_days=_integer("FEEDBACK_RETENTION_DAYS", text, 365, 1, 36_500),
        max_upload_bytes=_integer("MAX_UPLOAD_BYTES", text, 4_500_000, 1, 1_000_000_000),
        max_photos_mb=_integer("FEEDBACK_MAX_PHOTOS_MB", text, 2_000, 0, 100_000_000),
        trusted_hops=_integer("TRUSTED_HOPS", text, 0, 0, 10),
        port=_integer("FEEDBACK_PORT", text, 8001, 1, 65_535),
        log_level=_choice("LOG_LEVEL", text, "INFO", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")),
        metrics_port=_integer("FEEDBACK_METRICS_PORT", text, 0, 1, 65_535) or None,
        metrics_key=_from_file("METRICS_KEY", text) or None,
        tracing=text.get("FASTAPI_OTEL_AUTO_CONFIGURE", "").lower() == "true",
    )


def _environment(environment: Mapping[str, str] | None) -> Mapping[str, str]:
    if environment is not None:
        return environment
    values = dict(_dotenv(ROOT / ".env"))
    # An empty variable counts as unset, and keeps .env from filling it in.
    return {**values, **os.environ}


def _dotenv(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    # Imported only where a .env exists.
    from dotenv.parser import parse_stream

    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f".env cannot be read: {error}. Repair it, or take it away.") from error
    values = {}
    for binding in parse_stream(io.StringIO(content)):
        if binding.error or (binding.key is not None and binding.value is None):
            line = binding.original.line
            raise SettingsError(f".env, line {line}: not understood. Write NAME=value.")
        if binding.key is not None and binding.value is not None:
            values[binding.key] = binding.value
    return values


def _database(text: Mapping[str, str]) -> tuple[str, Path | None]:
    """The address of the database in SQLAlchemy's form, and the folder that a file of SQLite lies in."""
    url = _from_file("DATABASE_URL", text)
    if not url:
        home = text.get("XDG_DATA_HOME") or "~/.local/share"
        folder = (
            Path(text.get("FEEDBACK_DIR") or Path(home) / "purrdict" / "feedback").expanduser().absolute()
        )
        return f"sqlite:///{folder / 'feedback.db'}", folder
    if url.startswith("sqlite:///"):
        path = Path(url.removeprefix("sqlite:///")).absolute()
        return f"sqlite:///{path}", path.parent
    # Providers write postgres:// and postgresql://; SQLAlchemy wants the driver named.
    for scheme in ("postgres://", "postgresql://", "postgresql+psycopg://"):
        if url.startswith(scheme):
            return f"postgresql+psycopg://{url.removeprefix(scheme)}", None
    raise SettingsError(
        "DATABASE_URL: write postgresql://user:password@host/database, or sqlite:///path/to/feedback.db. "
        "Without it feedback goes into a file of SQLite."
    )


def _from_file(name: str, text: Mapping[str, str]) -> str:
    """A variable, or the content of the file that NAME_FILE names, which is how containers get secrets."""
    if value := text.get(name, ""):
        return value
    if path := text.get(f"{name}_FILE", ""):
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{name}_FILE: {path} cannot be read: {error}") from error
    return ""


def _secret(name: str, text: Mapping[str, str], folder: Path | None) -> str | None:
    value = _from_file(name, text)
    if value:
        if len(value) < SHORTEST_SECRET:
            raise SettingsError(f"{name}: shorter than {SHORTEST_SECRET} characters. {_HOW}")
        return value
    return None if folder is None else _kept(folder / name.lower().replace("_", "-"))


_HOW = "Make one with: python3 -m services.feedback secrets"


def _missing_secret() -> str:
    raise SettingsError(
        f"FEEDBACK_SECRET is not set; with PostgreSQL it must be, on every copy the same. {_HOW}"
    )


def _kept(path: Path) -> str:
    """The secret in this file, made the first time; only its owner may read it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Written whole under another name first: of two processes that start at once, both read the one that won.
        draft = path.with_name(f".{path.name}-{os.getpid()}")
        if not path.exists():
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(32))
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(
            f"{path.parent}: {error.strerror}. Name a folder that can be written in FEEDBACK_DIR."
        ) from error


def _list(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _origins(value: str) -> tuple[str, ...]:
    origins = tuple(dict.fromkeys(_list(value)))
    for origin in origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise SettingsError(
                f"ALLOWED_ORIGINS: {origin!r} is no origin. Write scheme, host and port only, like "
                "https://user.github.io: no path, no slash at the end."
            )
    return origins


def _api_url(value: str) -> str | None:
    if value and not value.startswith(("http://", "https://")):
        raise SettingsError(
            "FEEDBACK_API_URL: write the address of the classifier, like http://127.0.0.1:8000"
        )
    return value.rstrip("/") or None


def _integer(name: str, text: Mapping[str, str], default: int, least: int, most: int) -> int:
    value = text.get(name, "")
    if not value:
        return default
    if not (value.isascii() and value.isdigit() and least <= int(value[:20]) <= most):
        raise SettingsError(f"{name}: {value[:20]!r} must be a whole number from {least} to {most}.")
    return int(value)


def _choice(name: str, text: Mapping[str, str], default: str, choices: tuple[str, ...]) -> str:
    value = text.get(name, "").upper() or default
    if value not in choices:
        raise SettingsError(f"{name}: must be one of {', '.join(choices)}.")
    return value
