"""Cold start of the function that `vercel build` makes, under Vercel's own runtime, and the size of its bundle.

Against a function that is built the same way and does the bare job without FastAPI. Both carry bytecode. The builder
is installed by .ci/platforms.
"""

import importlib.util
import shutil
import tempfile
from pathlib import Path

from benchmarks._figures import pairwise, ratio
from benchmarks._platform import NotHereError, copy_checkout, platform_python, tool
from benchmarks._report import Row
from benchmarks._requests import photo
from benchmarks._servers import ROOT

RUNS = 10
# The bare function's share of requirements.txt.
BARE = ("numpy", "onnxruntime", "pillow")


def missing() -> str:
    """What this part needs and this machine lacks, or nothing."""
    if importlib.util.find_spec("httpx") is None:
        return "httpx is not installed"
    try:
        tool("vercel")
        platform_python()
    except NotHereError as error:
        return str(error)
    return ""


def main() -> list[Row]:
    if reason := missing():
        print(f"  left out: {reason}")
        return []
    import httpx

    from benchmarks._vercel import Bundle, build, started

    data = photo()

    def predict(client: httpx.Client) -> httpx.Response:
        return client.post("/predict", content=data, headers={"Content-Type": "image/jpeg"})

    def seconds(bundle: Bundle) -> float:
        with started(bundle, predict) as runtime:
            return runtime.seconds_to_answer

    with tempfile.TemporaryDirectory() as folder:
        sources = build(copy_checkout(Path(folder) / "sources"))
        ours = build(copy_checkout(Path(folder) / "ours"), VERCEL_PYTHON_COMPILEALL="1")
        bare = build(_bare(Path(folder) / "bare"), VERCEL_PYTHON_COMPILEALL="1")
        served, floor = pairwise(lambda: seconds(ours), lambda: seconds(bare), RUNS)
        plain, compiled = (sum(bundle.sizes().values()) / 1e6 for bundle in (sources, ours))
    over = ratio(served, floor)
    return [
        Row(
            "cold start of the built function, s",
            str(served),
            f"bare function {floor}",
            f"{over:.2f} x",
            "2 x",
            over <= 2,
        ),
        Row(
            "bundle, MB",
            f"{plain:.1f}",
            "with bytecode",
            f"{compiled:.1f}",
            "160, with bytecode 195",
            plain <= 160 and compiled <= 195,
        ),
    ]


def _bare(target: Path) -> Path:
    """A project for Vercel with the bare function, the same model, and of the same packages those that it needs."""
    (target / "api").mkdir(parents=True)
    shutil.copy2(ROOT / "benchmarks/contenders/vercel_bare.py", target / "api/index.py")
    version = (ROOT / "model/latest").read_text(encoding="utf-8").strip()
    shutil.copytree(ROOT / "model/versions" / version, target / "model/versions" / version)
    shutil.copy2(ROOT / "model/latest", target / "model/latest")
    (target / "deploy").mkdir()
    shutil.copy2(ROOT / "deploy/prune.py", target / "deploy")
    pins = [
        line
        for line in (ROOT / "requirements.in").read_text(encoding="utf-8").splitlines()
        if line.partition("==")[0] in BARE
    ]
    (target / "requirements.txt").write_text("\n".join(pins) + "\n", encoding="utf-8")
    shutil.copy2(ROOT / "vercel.json", target)
    return target
