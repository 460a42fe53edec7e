"""The arrows of the design: export → api → model/, nothing of training in what is deployed, and within api/ from a
higher room to a lower one only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, clean_environment

TRAINING_SIDE = {
    "export",
    "torch",
    "matplotlib",
    "onnx",
    "kornia",
    "lightning",
    "lightning_fabric",
    "skimage",
    "tests",
}
DEPLOYED = {
    "fastapi",
    "mangum",
    "numpy",
    "onnxruntime",
    "PIL",
    "dotenv",
    "python_multipart",
    "starlette",
    "pydantic",
}
ON_A_DEVELOPERS_MACHINE = {"uvicorn", "ngrok"}

# Imported where metrics or traces are switched on, and nowhere else: tests/api/observe tells so.
WHEN_OBSERVED = {"prometheus_client", "opentelemetry"}

# The rooms of api/, lowest first: a module imports what stands in a line above its own, and of its own room the lines
# above too. So there can be no circle.
ROOMS = (
    ("_photo.errors", "_photo.boxes", "_photo.av1"),
    ("_photo.formats", "_photo.avif", "_photo.heic"),
    ("_photo.limits",),
    ("_photo.repair",),
    ("_photo.image",),
    (
        "_commands.output",
        "_commands.paths",
        "_commands.progress",
        "_labels",
        "_dotenv",
        "_present",
        "_registry",
        "_admission",
        "_server",
        "_root_path",
        "_security",
    ),
    ("_settings", "_classifier", "_requests"),
    ("_observe.metrics", "_observe.exposition", "_observe.processes", "_observe.tracing"),
    ("_many",),
    ("_answers", "_openapi"),
    ("_service",),
    ("_routes.body", "_routes.docs", "_routes.page"),
    ("_routes.info", "_routes.predict"),
    ("_app",),
    ("_start",),
    ("index",),
    ("_lambda", "_commands.serve"),
    ("_commands.predict", "_commands.tunnel"),
    ("__main__",),
)
LONGEST_FUNCTION, LONGEST_FILE = 50, 300


def modules() -> dict[str, Path]:
    """The modules of api/, by their names in it."""
    folder = ROOT / "api"
    found = {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob("*.py")}
    return {name.replace("/", "."): path for name, path in found.items() if not name.endswith("__init__")}


def own_imports(path: Path) -> set[str]:
    """The modules of api/ that a file imports, at its top or anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "api":
            within = node.module.removeprefix("api").lstrip(".")
            whole = [".".join(filter(None, (within, alias.name))) for alias in node.names]
            names |= {name if name in modules() else within for name in whole}
    return names


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_the_deployed_side_imports_only_what_is_deployed() -> None:
    for path in (ROOT / "api").rglob("*.py"):
        allowed = DEPLOYED | {"api"} | set(sys.stdlib_module_names)
        if path.parent.name == "_commands" or path.name == "_server.py":
            allowed |= ON_A_DEVELOPERS_MACHINE
        if path.parent.name == "_observe" or path.name == "_app.py":
            allowed |= WHEN_OBSERVED
        assert imports_of(path) <= allowed, path.name


def test_the_benchmarks_and_the_training_side_import_no_tests() -> None:
    for room in ("api", "benchmarks", "export", "deploy"):
        for path in (ROOT / room).rglob("*.py"):
            assert "tests" not in imports_of(path), path


def test_importing_the_app_loads_no_model_and_the_function_nothing_of_training() -> None:
    code = (
        "import sys, threading, api._app; print(threading.active_count(), 'onnx' in sys.modules)\n"
        f"import api.index; print(sorted({TRAINING_SIDE} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=clean_environment(MODEL_DIR="/nonexistent"),
        capture_output=True,
        text=True,
        check=True,
    )
    imported, complaint, loaded = result.stdout.splitlines()
    assert imported == "1 False", "no thread, and no word of a model that is missing"
    assert "no usable model" in complaint, "which is said when the app is built"
    assert loaded == "[]"


def test_no_module_imports_from_a_higher_room() -> None:
    height = {name: line for line, room in enumerate(ROOMS) for name in room}
    assert set(height) == set(modules()), "every module has its place"
    for name, path in modules().items():
        for imported in own_imports(path):
            assert height[imported] < height[name], f"{name} imports {imported}"


@pytest.mark.parametrize("room", ["api", "benchmarks", "bulk", "deploy", "docs", "export"])
def test_no_function_is_longer_than_a_screen_and_no_file_longer_than_a_few(room: str) -> None:
    for path in (ROOT / room).rglob("*.py"):
        name, text = path.relative_to(ROOT), path.read_text()
        assert len(text.splitlines()) <= LONGEST_FILE, name
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                assert lines <= LONGEST_FUNCTION, f"{name}.{node.name} has {lines} lines"


def test_only_the_entry_point_has_no_leading_underscore() -> None:
    assert {name for name in modules() if not name.startswith("_")} == {"index"}


def test_the_root_has_no_file_that_would_replace_the_function_on_vercel() -> None:
    taken = {"app.py", "index.py", "server.py", "main.py", "wsgi.py", "asgi.py", "pyproject.toml"}
    assert not taken & {path.name for path in ROOT.iterdir()}
    assert not (ROOT / "api" / "requirements.txt").exists()
