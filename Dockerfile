# syntax=docker/dockerfile:1
# docker build -t purrdict . && docker run --rm -p 8000:8000 purrdict
FROM python:3.12-slim-bookworm@sha256:782412e85d0f0984994c290652577d4018aff08145c85b262bb63dc0c7522254 AS build

WORKDIR /build
RUN python -m venv /opt/purrdict
COPY requirements.txt requirements-serve.txt requirements-operate.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/purrdict/bin/python -m pip install --require-hashes --only-binary :all: -r requirements.txt -r requirements-serve.txt \
        -r requirements-operate.txt
COPY deploy/prune.py ./
# The service runs as a user who may write nowhere, so what it would compile at every start is compiled here.
RUN /opt/purrdict/bin/python prune.py \
    && /opt/purrdict/bin/python -m compileall -q -f -j 0 --invalidation-mode unchecked-hash /opt/purrdict/lib
COPY LICENSE /app/
COPY api /app/api
COPY web /app/web
RUN /opt/purrdict/bin/python -m compileall -q -f --invalidation-mode unchecked-hash /app/api


FROM python:3.12-slim-bookworm@sha256:782412e85d0f0984994c290652577d4018aff08145c85b262bb63dc0c7522254

LABEL org.opencontainers.image.title="Purrdict" \
      org.opencontainers.image.description="Classifies photos over HTTP" \
      org.opencontainers.image.licenses="MIT"

ENV PATH=/opt/purrdict/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PORT=8000

# 1000 is the user that Hugging Face Spaces start containers as.
RUN useradd --uid 1000 --no-create-home --shell /usr/sbin/nologin purrdict
COPY --from=build /opt/purrdict /opt/purrdict
COPY --from=build /app /app
# Last, because it changes most often. Mount another registry here, or name its folder in MODEL_DIR.
COPY model /app/model

WORKDIR /app
USER 1000
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --start-interval=1s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/health', timeout=4)"]
CMD ["python", "-m", "api", "serve", "--host", "0.0.0.0"]
