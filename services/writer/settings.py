"""Settings: the only module that reads the environment. docs/WRITER.md explains each variable to people."""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_URL = "http://127.0.0.1:11434"
DEFAULT_MODEL = "gemma3:4b"
PROMPTS = Path(__file__).with_name("prompts")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class SettingsError(ValueError):
    """A variable of the environment cannot be used; the message names it and shows no secret."""


@dataclass(frozen=True)
class Settings:
    """Everything that a deployment can choose."""

    llm_url: str = f"{DEFAULT_URL}/v1"
    llm_model: str = DEFAULT_MODEL
    llm_api_key: str | None = field(default=None, repr=False)
    # Generations that the engine may run at once, and clients that may wait for one.
    llm_parallel: int = 1
    queue: int = 16
    # Seconds to the first token, which includes loading the model, and for the whole of a text.
    first_token_s: float = 120.0
    total_s: float = 300.0
    llm_seed: int | None = None
    prompts_dir: Path = PROMPTS
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    allowed_origins: tuple[str, ...] = ()
    log_level: str = "INFO"
    port: int = 8002
    metrics_port: int | None = None
    metrics_key: str | None = field(default=None, repr=False)
    tracing: bool = False

    @property
    def engine_host(self) -> str:
        """Host and port of the engine, for messages: a base address may hold more than others should see."""
        return urlsplit(self.llm_url).netloc

    @property
    def engine_is_near(self) -> bool:
        """Whether the engine is on this machine or network, where a proxy of the environment does not lead."""
        host = urlsplit(self.llm_url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_private
        except ValueError:
            return "." not in host


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Reads the settings from `environment` (default: the process's); an empty variable counts as unset.

    Raises:
        SettingsError: a variable has an unusable value; the message says what would do.
    """
    given = os.environ if environment is None else environment
    text = {name: value.strip() for name, value in given.items() if value.strip()}
    seed = _integer("LLM_SEED", text, -1, 0, 2**31 - 1)
    return Settings(
        llm_url=_base_url(text.get("LLM_URL", DEFAULT_URL)),
        llm_model=text.get("LLM_MODEL", DEFAULT_MODEL),
        llm_api_key=_header_value("LLM_API_KEY", text.get("LLM_API_KEY")),
        llm_parallel=_integer("LLM_PARALLEL", text, 1, 1, 256),
        queue=_integer("WRITER_QUEUE", text, 16, 0, 1000),
        first_token_s=float(_integer("LLM_FIRST_TOKEN_SECONDS", text, 120, 1, 3600)),
        total_s=float(_integer("WRITER_MAX_SECONDS", text, 300, 1, 3600)),
        llm_seed=None if seed < 0 else seed,
        prompts_dir=_directory("PROMPTS_DIR", text, PROMPTS),
        api_keys=_keys(given.get("API_KEYS", "")),
        allowed_origins=_origins(text.get("ALLOWED_ORIGINS", "")),
        log_level=_choice("LOG_LEVEL", text, "INFO", LOG_LEVELS),
        port=_integer("PORT", text, 8002, 1, 65_535),
        metrics_port=_integer("METRICS_PORT", text, 0, 1, 65_535) or None,
        metrics_key=_header_value("METRICS_KEY", text.get("METRICS_KEY")),
        tracing=text.get("FASTAPI_OTEL_AUTO_CONFIGURE", "").lower() == "true",
    )


def _base_url(value: str) -> str:
    """The address that /chat/completions is added to: bare hosts get the usual /v1."""
    wanted = "LLM_URL: an address like http://127.0.0.1:11434 is wanted"
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise SettingsError(f"{wanted}; its port is a number up to 65535.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise SettingsError(f"{wanted}, with http:// or https:// in front.")
    if parts.username is not None or parts.query or parts.fragment:
        raise SettingsError(f"{wanted}, without a user, ? or #; the engine's key belongs into LLM_API_KEY.")
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    return f"{parts.scheme}://{parts.netloc}{path or '/v1'}"


def _header_value(name: str, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"[\x21-\x7e]+", value):
        raise SettingsError(f"{name}: only letters, digits and signs of ASCII are allowed, without blanks.")
    return value


def _keys(value: str) -> tuple[str, ...]:
    keys = tuple(key.strip() for key in value.split(",") if key.strip())
    if value and not keys:
        # Blanks and commas alone are a mistake, and must not mean that everybody may write.
        raise SettingsError("API_KEYS: it holds no key. Leave it empty, or name keys separated by commas.")
    for key in keys:
        _header_value("API_KEYS", key)
    return keys


def _origins(value: str) -> tuple[str, ...]:
    origins = tuple(origin.strip() for origin in value.split(",") if origin.strip())
    for origin in origins:
        if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/\s]+", origin):
            raise SettingsError(
                "ALLOWED_ORIGINS: origins like https://user.github.io are wanted, separated by commas, without a path."
            )
    return origins


def _integer(name: str, text: Mapping[str, str], default: int, minimum: int, maximum: int) -> int:
    value = text.get(name)
    if value is None:
        return default
    if not re.fullmatch(r"[0-9]{1,10}", value) or not minimum <= int(value) <= maximum:
        raise SettingsError(f"{name}: a whole number from {minimum} to {maximum} is wanted.")
    return int(value)


def _directory(name: str, text: Mapping[str, str], default: Path) -> Path:
    path = Path(text.get(name, default))
    if not path.is_dir():
        raise SettingsError(f"{name}: {path} is no folder.")
    return path


def _choice(name: str, text: Mapping[str, str], default: str, choices: tuple[str, ...]) -> str:
    value = text.get(name, default).upper()
    if value not in choices:
        raise SettingsError(f"{name}: one of {', '.join(choices)} is wanted.")
    return value
