"""python -m bulk: score an archive of photos."""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from bulk import summary
from bulk._scorer import Recipe, available_cpus, load_recipe
from bulk.engines import Engine, LocalEngine
from bulk.errors import JobError
from bulk.interrupts import Interrupts
from bulk.job import RETRIED, Job, Options

# Below so many photos a cluster's start costs more than it saves.
RAY_FROM = 20_000

_EXAMPLES = f"""INPUT is any of
  photos/                     a folder, searched with its subfolders
  s3://bucket/photos          the same in a bucket (gs:// too)
  photos.txt, -               a list: one path or URL (s3, gs, http, https) a line; - reads it from standard input
  shard-{{000..099}}.tar        tar shards, as WebDataset writes them
  photos.parquet              Parquet with the photos' bytes in a binary column

examples:
  python -m bulk score photos --out answers
  python -m bulk score s3://bucket/2024 s3://bucket/2025 --out answers --address auto
  duckdb -c "summarize 'answers/parts/*.parquet'"

Stopped or killed? Run the same command again: it scores what is missing, and nothing twice. New photos in INPUT are
scored then too. Every photo has exactly one row, also a broken one: its `error` says what is wrong.

From {RAY_FROM:,} photos on the engine is Ray where it is installed (pip install -r bulk/requirements-ray.txt).
MODEL_VERSION, MAX_PIXELS and the other settings hold as in the service. Exit status: 0 all photos have their row, 2
the job cannot start or go on, 130 interrupted. More: docs/BULK.md."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    try:
        return _score(options)
    except JobError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bulk", description="Scores archives of photos with the model that the service runs."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    score = commands.add_parser(
        "score",
        help="photos in, Parquet out",
        description="Scores every photo of INPUT; the rows go into DIR/parts/*.parquet, one a photo.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    score.add_argument("inputs", nargs="+", metavar="INPUT", help="what to score; see below")
    score.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="folder for the rows; made if missing"
    )
    score.add_argument(
        "--engine",
        choices=("auto", "local", "ray"),
        default="auto",
        help="local: threads of this machine; ray: a cluster, or this machine as one (default: auto)",
    )
    score.add_argument(
        "--address",
        help="Ray cluster: auto, HOST:PORT or ray://HOST:PORT (default: start one on this machine)",
    )
    score.add_argument(
        "--workers", type=_positive, metavar="N", help="photos in work at a time (default: one a processor)"
    )
    score.add_argument(
        "--batch",
        type=_positive,
        default=256,
        metavar="N",
        help="photos that are scored as one piece (default: 256)",
    )
    score.add_argument("--explain", action="store_true", help="add each photo's heatmap")
    score.add_argument(
        "--retry-errors",
        action="store_true",
        help=f"score again what failed before for reasons that may be gone: {', '.join(RETRIED)}",
    )
    score.add_argument(
        "--keep-going",
        action="store_true",
        help="write photos as errors even where a whole batch cannot be fetched (default: stop, so that a lost "
        "connection does not become a million errors)",
    )
    score.add_argument("--quiet", action="store_true", help="no progress")
    return parser


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1_000_000):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} must be a whole number from 1 to 1000000")
    return int(text)


def _score(options: argparse.Namespace) -> int:
    if options.address and options.engine == "local":
        raise JobError("--address names a Ray cluster, and --engine local uses none. Leave one of them out.")
    _refuse_out_in_input(options.inputs, options.out)
    recipe = load_recipe(options.explain)
    choices = Options(options.batch, options.keep_going, options.retry_errors, options.quiet)
    with Interrupts() as interrupts, Job(options.inputs, options.out, recipe, choices) as job:
        interrupted = False
        try:
            left = job.list_items()
            if left:
                engine = _engine(options, left)
                interrupts.install()  # Ray has a handler of its own
                try:
                    job.run(engine, interrupts, left)
                finally:
                    engine.close()
        except KeyboardInterrupt:
            interrupted = True
        with interrupts.deferred():
            _report(job, recipe, interrupted)
    return 128 + interrupts.signal if interrupted else 0


def _engine(options: argparse.Namespace, left: int) -> Engine:
    name = options.engine
    if name == "auto":
        name = "ray" if options.address or (left >= RAY_FROM and _has_ray()) else "local"
    if name == "local":
        return LocalEngine(options.workers or available_cpus())
    if not _has_ray():
        raise JobError(
            "Ray is not installed: pip install -r bulk/requirements-ray.txt. Or use --engine local."
        )
    from bulk.ray_engine import RayEngine

    return RayEngine(options.address, options.workers)


def _has_ray() -> bool:
    from importlib.util import find_spec

    return find_spec("ray") is not None


def _refuse_out_in_input(sources: Sequence[str], folder: Path) -> None:
    out = os.path.abspath(folder)
    for source in sources:
        root = os.path.abspath(source)
        if (
            source != "-"
            and "://" not in source
            and os.path.isdir(root)
            and os.path.commonpath([root, out]) == root
        ):
            raise JobError(
                f"{folder} lies in {source}: its own parts would be scored. Name a folder elsewhere."
            )


def _report(job: Job, recipe: Recipe, interrupted: bool) -> None:
    progress = job.progress
    seconds = progress.seconds
    run = {
        "model_version": recipe.model.version,
        "photos": progress.photos,
        "seconds": round(seconds, 1),
        "photos_per_second": round(progress.photos / max(seconds, 1e-6), 1),
        "cpu_seconds": round(sum(os.times()[:4]), 1),
        "complete": not interrupted,
    }
    found = summary.write(job.output, job.plan.least_sure(), run)
    if found["photos"]:
        print(summary.table(found))
    print(
        f"{found['photos']:,} photos in {job.output.parts}; this run {progress.photos:,}, {run['photos_per_second']}/s"
    )
    if interrupted:
        print("stopped; run the same command again to go on", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
