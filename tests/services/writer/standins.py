"""A stand-in for the image of Ollama: llama.cpp, SmolLM2, and a program that knows serve, list, show and pull."""

import shutil
from pathlib import Path

from tests.services.engine import Engine

HERE = Path(__file__).parent
PYTHON_IMAGE = "python:3.12-slim-bookworm"
_OLLAMA = r"""#!/bin/bash
# Stands in for Ollama: `serve` is llama.cpp's server with SmolLM2, and there is no other model.
set -euo pipefail
answers() {
  address=${OLLAMA_HOST:-http://127.0.0.1:11434}
  address=${address#http://}
  exec 3<>"/dev/tcp/${address%:*}/${address##*:}"
  printf 'GET /v1/models HTTP/1.0\r\n\r\n' >&3
  read -r status <&3
  [[ $status == *" 200 "* ]]
}
case $1 in
  serve)
    # The folder of models is a volume, the only place where it may write.
    mkdir -p /root/.ollama/models
    exec python3.12 /opt/engine/engine.py --host 0.0.0.0 --port 11434
    ;;
  list) answers ;;
  show) echo "Error: model '$2' not found" >&2; exit 1 ;;
  pull) answers; sleep 1; echo "pulling $2: success" ;;
esac
"""
_DOCKERFILE = f"""FROM {PYTHON_IMAGE}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends libgomp1 >/dev/null
COPY requirements.txt engine.py /opt/engine/
RUN python3.12 -m pip install --quiet --no-deps --target /opt/engine -r /opt/engine/requirements.txt
COPY --chmod=755 ollama /usr/bin/ollama
ENV PYTHONPATH=/opt/engine
ENTRYPOINT ["/usr/bin/ollama"]
CMD ["serve"]
"""


def make_ollama(engine: Engine, context: Path, image: str) -> None:
    """Builds it as `image`, from files that it writes into the folder `context`."""
    context.mkdir()
    for name in ("requirements.txt", "engine.py"):
        shutil.copy(HERE / name, context)
    (context / "ollama").write_text(_OLLAMA)
    (context / "Dockerfile").write_text(_DOCKERFILE)
    engine.run("build", "--network", "host", "--tag", image, str(context))
