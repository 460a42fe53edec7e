"""The arrow bulk → api: of the service only one module of bulk/ knows, and nothing of bulk/ reaches the function."""

import json
import re

from tests.conftest import ROOT
from tests.test_boundaries import imports_of


def test_of_the_service_only_the_scorer_knows() -> None:
    modules = {path.name: imports_of(path) for path in (ROOT / "bulk").glob("*.py")}
    assert {name for name, imports in modules.items() if "api" in imports} == {"_scorer.py"}
    assert not any(imports & {"export", "fastapi", "starlette"} for imports in modules.values())


def test_ray_is_imported_where_it_was_chosen_and_nowhere_else() -> None:
    modules = {path.name: imports_of(path) for path in (ROOT / "bulk").glob("*.py")}
    assert {name for name, imports in modules.items() if "ray" in imports} == {"ray_engine.py"}


def test_nothing_of_it_is_deployed() -> None:
    excluded = json.loads((ROOT / "vercel.json").read_text())["functions"]["api/index.py"]["excludeFiles"]
    assert re.search(r"[{,]bulk[,}]", excluded)
    deployed = (ROOT / "requirements.txt").read_text()
    for line in re.findall(r"^[a-z].*", (ROOT / "bulk" / "requirements.txt").read_text(), re.MULTILINE):
        assert f"\n{line.split('==')[0]}==" not in deployed


def test_the_image_and_the_manifest_have_the_ray_that_is_required() -> None:
    version = re.search(r"^ray==(.*)$", (ROOT / "bulk" / "requirements-ray.txt").read_text(), re.MULTILINE)
    assert version
    assert f"rayproject/ray:{version[1]}-" in (ROOT / "bulk" / "Dockerfile").read_text()
    assert f'rayVersion: "{version[1]}"' in (ROOT / "bulk" / "kuberay.yaml").read_text()
