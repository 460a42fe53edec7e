"""Vercel: the real builder builds a copy of the checkout, and Vercel's own runtime runs what came out."""

import json
import statistics
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks._platform import copy_checkout
from benchmarks._vercel import Bundle, build, started
from tests.platforms.conftest import needed

pytestmark = pytest.mark.platform

# Bytes. Over 225 MiB the runtime would install packages at every cold start.
SOURCE_BUDGET = 160e6
BYTECODE_BUDGET = 195e6
STARTS = 3
FRIEND, STRANGER = "https://friend.example", "https://stranger.example"

# Files that a developer may have lying about, and that must never leave the machine in a bundle.
PRIVATE = {
    ".env": "API_KEYS=from-a-file\n",
    ".env.local": "API_KEYS=from-a-file\n",
    ".env.production.local": "API_KEYS=from-a-file\n",
    "model/versions/plot.png": "a plot",
    "tests/secret.txt": "a test",
}


def build_checkout(target: Path, **variables: str) -> Bundle:
    """Builds a copy of the checkout that has a developer's private files in it."""
    copy_checkout(target)
    for name, content in PRIVATE.items():
        (target / name).write_text(content)
    with needed():
        return build(target, **variables)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return build_checkout(tmp_path_factory.mktemp("vercel") / "checkout")


@pytest.fixture(scope="module")
def vercel(bundle: Bundle) -> Iterator[httpx.Client]:
    """The function with the settings of an open API, started by Vercel's runtime."""
    with started(bundle, ALLOWED_ORIGINS=FRIEND) as runtime:
        yield runtime.client


def test_the_bundle_is_one_function_within_its_budget_with_the_limits_of_vercel_json(bundle: Bundle) -> None:
    print(bundle.report())
    assert sum(bundle.sizes().values()) <= SOURCE_BUDGET
    assert bundle.config["maxDuration"] == 60
    assert bundle.config["memory"] == 2048
    assert bundle.config["runtime"].startswith("python3.1")


def test_the_bundle_holds_nothing_but_the_service_its_model_and_the_page(bundle: Bundle) -> None:
    own = {name for name in bundle.files() if not name.startswith(("_vendor/", "web/", "api/"))}
    versions = {name for name in own if name.startswith("model/versions/")}
    assert own - versions == {".vc-config.json", "LICENSE", "model/latest", "vc__handler__python.py"}
    assert {Path(name).name for name in versions} == {"metadata.json", "model.onnx"}
    assert not any(name.startswith(("_vendor/pip/", "_vendor/numpy/_core/tests/")) for name in bundle.files())


def test_no_secret_file_gets_into_the_bundle(bundle: Bundle) -> None:
    secrets = [name for name in bundle.files() if Path(name).name.startswith(".env")]
    assert secrets == []
    for path in bundle.folder.rglob("*"):
        if path.is_file() and path.stat().st_size < 10_000:
            assert b"from-a-file" not in path.read_bytes(), path


def test_every_request_goes_to_the_function_and_no_file_is_served_beside_it(bundle: Bundle) -> None:
    static = bundle.output / "static"
    assert not static.exists() or not list(static.rglob("*"))
    routes = json.loads((bundle.output / "config.json").read_text())["routes"]
    catch_all = [route for route in routes if route.get("src") == "/(.*)"]
    assert [route["dest"] for route in catch_all] == [f"/{bundle.folder.stem}"]
    # The function sees the path that the client asked for.
    assert catch_all[0]["transforms"] == [{"type": "request.path", "op": "set", "args": "/$1"}]


def test_the_built_function_is_healthy(vercel: httpx.Client) -> None:
    body = vercel.get("/health").json()
    assert body["status"] == "healthy"
    assert body["model_loaded"] is True


def test_the_built_function_knows_a_cat_from_a_form(vercel: httpx.Client, cat_jpeg: bytes) -> None:
    body = vercel.post("/predict", files={"file": ("chelsea.jpg", cat_jpeg, "image/jpeg")}).json()
    print(json.dumps(body))
    assert body["prediction"] == "cat"


def test_the_built_function_knows_a_cat_from_the_raw_photo(vercel: httpx.Client, cat_jpeg: bytes) -> None:
    response = vercel.post("/predict?explain=true", content=cat_jpeg, headers={"Content-Type": "image/jpeg"})
    assert response.json()["prediction"] == "cat"
    assert response.json()["heatmap"]["label"] == "cat"
    assert "infer;dur=" in response.headers["Server-Timing"]


def test_a_photo_of_4_4_megabytes_gets_through(vercel: httpx.Client, large_photo: bytes) -> None:
    body = vercel.post("/predict", files={"file": ("large.bmp", large_photo)}).json()
    assert body["prediction"] == "cat"


def test_a_file_that_is_no_photo_is_refused_with_a_sentence(vercel: httpx.Client) -> None:
    response = vercel.post("/predict", files={"file": b"not a photo"})
    assert response.status_code == 400
    assert response.json()["detail"].endswith(".")


@pytest.mark.parametrize(("origin", "allowed"), [(FRIEND, FRIEND), (STRANGER, None)])
def test_a_preflight_is_answered_for_allowed_origins_only(
    vercel: httpx.Client, origin: str, allowed: str | None
) -> None:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-api-key",
    }
    response = vercel.options("/predict", headers=headers)
    assert response.headers.get("access-control-allow-origin") == allowed
    assert response.is_success == bool(allowed)


def test_browsers_get_the_page_and_programs_get_json(vercel: httpx.Client) -> None:
    page = vercel.get("/", headers={"Accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert vercel.get("/app.js").status_code == 200
    assert vercel.get("/").json()["endpoints"]["predict"] == "/predict"


@pytest.mark.parametrize(
    "path", ["/.env", "/vercel.json", "/api/index.py", "/model/latest", "/tests/conftest.py"]
)
def test_the_repository_is_not_public(vercel: httpx.Client, path: str) -> None:
    assert vercel.get(path).status_code == 404


def test_with_keys_set_a_request_without_one_is_refused(bundle: Bundle, cat_jpeg: bytes) -> None:
    with started(bundle, API_KEYS="one,two") as runtime:
        assert runtime.client.post("/predict", files={"file": cat_jpeg}).status_code == 401
        answer = runtime.client.post("/predict", files={"file": cat_jpeg}, headers={"X-API-Key": "two"})
    assert answer.json()["prediction"] == "cat"


def test_with_bytecode_the_bundle_keeps_its_budget_and_still_answers(
    bundle: Bundle, tmp_path: Path, cat_jpeg: bytes
) -> None:
    compiled = build_checkout(tmp_path / "checkout", VERCEL_PYTHON_COMPILEALL="1")
    print(compiled.report())
    assert sum(compiled.sizes().values()) <= BYTECODE_BUDGET
    assert any(name.startswith("api/__pycache__/index.") for name in compiled.files())
    seconds: dict[str, list[float]] = {"sources": [], "bytecode": []}
    for _ in range(STARTS):
        for name, built in [("sources", bundle), ("bytecode", compiled)]:
            with started(built) as runtime:
                seconds[name].append(runtime.seconds_to_answer)
                answer = runtime.client.post("/predict", files={"file": cat_jpeg}).json()
            assert answer["prediction"] == "cat"
    for name, values in seconds.items():
        median = statistics.median(values) * 1e3
        print(f"{name}: first answer {median:.0f} ms after the process starts (median of {STARTS})")
