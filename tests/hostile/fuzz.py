"""Coverage-guided fuzzing of the whole way from bytes to pixels: atheris steers by the branches of api/ and of Pillow.

    python -m tests.hostile fuzz --seconds 600

atheris needs Python 3.12 or newer (tests/hostile/requirements.txt). Whatever ends in anything but a picture or a
refusal, or takes over two seconds of CPU or 800 MB in all, is written to build/fuzz/ as a file that
`python -m api predict` reproduces.
"""

import resource
import sys
import time
from pathlib import Path

SIZE = 32
CPU_S = 2.0
MEMORY_MB = 800


def main(seconds: int, findings: Path) -> None:
    """Fuzzes for this long; libFuzzer ends the process itself, with status 0 when nothing was found."""
    import atheris

    with atheris.instrument_imports(include=["api", "PIL"]):
        # Pillow imports these when it first meets a file of theirs: too late to be instrumented.
        from PIL import (  # noqa: F401
            AvifImagePlugin,
            BmpImagePlugin,
            GifImagePlugin,
            JpegImagePlugin,
            MpoImagePlugin,
            PngImagePlugin,
            TiffImagePlugin,
            WebPImagePlugin,
        )

        from api._photo.errors import ImageError
        from api._photo.image import decode
    # After the instrumentation: the corpus imports Pillow too.
    from tests.hostile.corpus import seeds

    corpus = findings / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for name, seed in seeds().items():
        (corpus / name.replace(" ", "-").replace("/", "-")).write_bytes(seed.data)

    def one(data: bytes) -> None:
        start = time.process_time()
        try:
            decode(data, SIZE)
        except ImageError as error:
            if error.status not in (400, 413):
                raise
        if time.process_time() - start > CPU_S:
            raise RuntimeError("this file takes too long")
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > MEMORY_MB * 1000:
            raise RuntimeError("this file takes too much memory")

    limits = [
        f"-max_total_time={seconds}",
        "-timeout=20",
        f"-rss_limit_mb={2 * MEMORY_MB}",
        "-max_len=140000",
    ]
    output = [f"-artifact_prefix={findings}/", "-print_final_stats=1", "-verbosity=1"]
    atheris.Setup([sys.argv[0], str(corpus), *limits, *output], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
