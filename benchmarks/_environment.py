"""The environment of the programs that tests and benchmarks start."""

import os

# Settings of the developer's own shell must not change what tests and benchmarks see.
SETTINGS = (
    "ALLOWED_ORIGINS",
    "API_KEYS",
    "ENABLE_DOCS",
    "FRAME_ANCESTORS",
    "LOG_LEVEL",
    "MAX_PIXELS",
    "MAX_UPLOAD_BYTES",
    "MODEL_DIR",
    "MODEL_VERSION",
    "NGROK_AUTHTOKEN",
    "FEEDBACK_URL",
    "WRITER_URL",
    "METRICS_PORT",
    "METRICS_KEY",
    "FASTAPI_OTEL_AUTO_CONFIGURE",
    "PORT",
    "ROOT_PATH",
    "THREADS",
)


def clean_environment(**settings: str) -> dict[str, str]:
    """This process's environment without Purrdict's settings, plus the given ones."""
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    # An empty value counts as unset, and keeps a developer's .env from filling it in.
    return {**kept, **dict.fromkeys(SETTINGS, ""), **settings}
