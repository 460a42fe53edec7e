"""The arrows of the design: export → api → model/, and nothing of training in what is deployed."""

import ast
import subprocess
import sys
from pathlib import Path

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


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_the_deployed_side_imports_only_what_is_deployed() -> None:
    for path in (ROOT / "api").glob("*.py"):
        allowed = DEPLOYED | {"api"} | set(sys.stdlib_module_names)
        if path.name in ("__main__.py", "_server.py"):
            allowed |= ON_A_DEVELOPERS_MACHINE
        assert imports_of(path) <= allowed, path.name


def test_importing_the_function_loads_nothing_of_training() -> None:
    code = f"import sys, api.index; print(sorted({TRAINING_SIDE} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.splitlines()[-1] == "[]"


def test_only_the_entry_points_have_no_leading_underscore() -> None:
    names = {path.name for path in (ROOT / "api").glob("*.py")}
    assert {name for name in names if not name.startswith("_")} == {"index.py"}


def test_the_root_holds_nothing_that_would_replace_the_function_on_vercel() -> None:
    taken = {"app.py", "index.py", "server.py", "main.py", "wsgi.py", "asgi.py", "pyproject.toml"}
    assert not taken & {path.name for path in ROOT.iterdir()}
    assert not (ROOT / "api" / "requirements.txt").exists()
