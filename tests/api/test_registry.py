"""The registry: a model that is not exactly what was published is never served, and the service says why."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from api._registry import ModelError, read_model
from tests import models as tiny
from tests.conftest import ROOT, InProcess

PUBLISHED = ROOT / "model"


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """A copy of the published registry that a test may damage."""
    return Path(shutil.copytree(PUBLISHED, tmp_path / "model"))


def version_of(registry: Path) -> Path:
    return registry / "versions" / (registry / "latest").read_text().strip()


def change(path: Path, **entries: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def flip_a_byte(registry: Path) -> None:
    path = version_of(registry) / "model.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(registry: Path) -> None:
    path = version_of(registry) / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1000])


DAMAGES: list[tuple[Callable[[Path], object], str]] = [
    (lambda registry: (registry / "latest").unlink(), "No model is published: model/latest cannot be read"),
    (lambda registry: (registry / "latest").write_text("9.9.9"), "Model 9.9.9 is not published"),
    (lambda registry: (registry / "latest").write_text("../versions"), "must hold one version"),
    (lambda registry: (version_of(registry) / "metadata.json").unlink(), "metadata.json cannot be read"),
    (lambda registry: (version_of(registry) / "metadata.json").write_text("{"), "no valid JSON"),
    (
        lambda registry: (version_of(registry) / "metadata.json").write_text("{}"),
        "incomplete: KeyError 'weights'",
    ),
    (lambda registry: change(version_of(registry) / "metadata.json", version="7"), "says version 7"),
    (lambda registry: change(version_of(registry) / "metadata.json", labels=["cat"]), "at least two"),
    (lambda registry: change(version_of(registry) / "metadata.json", input_size=0), "input size of 0"),
    (lambda registry: (version_of(registry) / "model.onnx").unlink(), "model.onnx cannot be read"),
    (truncate, "it is not whole"),
    (flip_a_byte, "does not match its published sha256"),
]


UNREADABLE: list[tuple[Callable[[Path], object], str]] = [
    (
        lambda registry: (registry / "latest").write_bytes("1.0.0\r\n".encode("utf-16")),
        "model/latest is no UTF-8",
    ),
    (lambda registry: (registry / "latest").write_bytes(b"1.0.0\0"), "must hold one version"),
    (lambda registry: (registry / "latest").write_text("1.0.0 0.2.0"), "must hold one version"),
    (lambda registry: (registry / "latest").write_text("v" * 300), "must hold one version|is not published"),
    (lambda registry: rewrite(registry, lambda text: text.encode("utf-16")), "metadata.json is no UTF-8"),
    (lambda registry: rewrite(registry, lambda text: b"[" * 100_000), "no valid JSON"),
    (lambda registry: rewrite(registry, lambda text: b"[]"), "must hold a JSON object"),
    (lambda registry: change(version_of(registry) / "metadata.json", input_size=float("inf")), "incomplete"),
    (lambda registry: change(version_of(registry) / "metadata.json", labels=7), "incomplete"),
    (lambda registry: change(version_of(registry) / "metadata.json", weights=None), "incomplete"),
]


def rewrite(registry: Path, written: Callable[[str], bytes]) -> None:
    path = version_of(registry) / "metadata.json"
    path.write_bytes(written(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r\n\r\n", b" \t\r"])
def test_a_registry_that_an_editor_of_windows_saved_is_read_all_the_same(
    registry: Path, mark: bytes, newline: bytes
) -> None:
    rewrite(registry, lambda text: mark + text.encode().replace(b"\n", newline))
    (registry / "latest").write_bytes(mark + (registry / "latest").read_bytes().strip() + newline)
    assert read_model(registry).metadata == read_model(PUBLISHED).metadata


@pytest.mark.parametrize(("damage", "says"), UNREADABLE)
def test_a_registry_whose_text_cannot_be_understood_is_refused_with_the_reason(
    registry: Path, damage: Callable[[Path], object], says: str
) -> None:
    damage(registry)
    with pytest.raises(ModelError, match=says):
        read_model(registry)


def test_the_published_model_is_whole() -> None:
    model = read_model(PUBLISHED)
    assert model.labels == ("cat", "dog")
    assert model.version == (PUBLISHED / "latest").read_text().strip()
    assert len(model.weights) < 4_000_000


def test_every_published_version_can_be_served() -> None:
    for directory in (PUBLISHED / "versions").iterdir():
        assert read_model(PUBLISHED, directory.name).version == directory.name


@pytest.mark.parametrize(("damage", "says"), DAMAGES)
def test_a_damaged_registry_is_refused_with_the_reason(
    registry: Path, damage: Callable[[Path], object], says: str
) -> None:
    damage(registry)
    with pytest.raises(ModelError, match=says) as caught:
        read_model(registry)
    assert str(registry.parent) not in str(caught.value), "the server's own paths are nobody's business"


def test_without_a_usable_model_health_says_why_and_the_rest_works(registry: Path, cat_jpeg: bytes) -> None:
    flip_a_byte(registry)
    with InProcess(MODEL_DIR=str(registry)) as client:
        health = client.get("/health")
        assert health.status_code == 503
        assert health.json()["status"] == "unhealthy"
        assert health.json()["model_loaded"] is False
        assert "sha256" in health.json()["detail"]
        for route in ("/predict", "/predict/batch"):
            refused = client.post(route, files={"file": cat_jpeg})
            assert refused.status_code == 503
            assert "sha256" in refused.json()["detail"]
        assert client.get("/").json()["status"] == "degraded"
        assert client.get("/model/info").json()["model_loaded"] is False
        assert client.get("/model/model.onnx").status_code == 503
        assert client.get("/docs").status_code == 200


def test_a_file_that_onnxruntime_cannot_run_is_refused(registry: Path) -> None:
    import hashlib

    garbage = b"no graph at all"
    (version_of(registry) / "model.onnx").write_bytes(garbage)
    entry = {"file": "model.onnx", "bytes": len(garbage), "sha256": hashlib.sha256(garbage).hexdigest()}
    change(version_of(registry) / "metadata.json", weights=entry)
    with InProcess(MODEL_DIR=str(registry)) as client:
        health = client.get("/health")
    assert health.status_code == 503
    assert "cannot be run" in health.json()["detail"]


def test_model_version_rolls_back(registry: Path) -> None:
    earlier = Path(shutil.copytree(version_of(registry), registry / "versions" / "0.0.1"))
    change(earlier / "metadata.json", version="0.0.1")
    with InProcess(MODEL_DIR=str(registry), MODEL_VERSION="0.0.1") as client:
        assert client.get("/health").json()["model_version"] == "0.0.1"


def test_a_browser_gets_the_very_file_that_the_service_runs(client: httpx.Client) -> None:
    import hashlib

    metadata = client.get("/model/metadata.json").json()
    weights = client.get("/model/model.onnx")
    assert hashlib.sha256(weights.content).hexdigest() == metadata["weights"]["sha256"]
    again = client.get("/model/model.onnx", headers={"If-None-Match": weights.headers["ETag"]})
    assert again.status_code == 304
    assert again.content == b""


def test_a_model_is_what_its_metadata_says(tmp_path: Path) -> None:
    folder = tiny.publish(
        tmp_path, ["cat", 7], version="3.1.0", thresholds={"recognized": "0.25"}, input_size="32"
    )
    model = read_model(folder)
    directory = folder / "versions" / "3.1.0"
    assert (model.version, model.directory, model.labels) == ("3.1.0", directory, ("cat", "7"))
    assert (model.input_size, model.recognized_threshold) == (32, 0.25)
    assert model.weights == (directory / "model.onnx").read_bytes()
    assert model.metadata == json.loads((directory / "metadata.json").read_text())
    assert "weights" not in repr(model)
    assert "metadata" not in repr(model)


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"labels": ["cat"]}, "at least two different labels"),
        ({"labels": ["cat", "cat"]}, "at least two different labels"),
        ({"labels": ["cat", "dog", "cat"]}, "at least two different labels"),
        ({"input_size": 0}, "input size of 0, which is not from 1 to 4096 pixels"),
        ({"input_size": 4097}, "input size of 4097"), ({"thresholds": {}}, "is incomplete: KeyError"),
        ({"thresholds": {"recognized": "much"}}, "is incomplete: ValueError"),
    ],
)  # fmt: skip
def test_metadata_that_cannot_be_meant_is_refused(
    tmp_path: Path, entries: dict[str, object], says: str
) -> None:
    folder = tiny.publish(tmp_path, ["cat", "dog"])
    change(version_of(folder) / "metadata.json", **entries)
    with pytest.raises(
        ModelError,
        match=rf"^versions/3\.1\.0/metadata\.json .*{says}|^\S*/versions/3\.1\.0/metadata\.json .*{says}",
    ):
        read_model(folder)


@pytest.mark.parametrize("size", [1, 4096])
def test_an_input_may_be_as_small_and_as_large_as_that(tmp_path: Path, size: int) -> None:
    folder = tiny.publish(tmp_path, ["cat", "dog"], input_size=size)
    assert read_model(folder).input_size == size


def test_the_weights_lie_beside_the_metadata_and_are_whole(tmp_path: Path) -> None:
    folder = tiny.publish(tmp_path, ["cat", "dog"])
    path = version_of(folder) / "metadata.json"
    entry = json.loads(path.read_text())["weights"]
    for name in ("../3.1.0/model.onnx", "a/model.onnx", "/etc/passwd"):
        change(path, weights={**entry, "file": name})
        with pytest.raises(ModelError, match=f"'{name}' must lie beside metadata"):
            read_model(folder)
    change(path, weights={**entry, "bytes": entry["bytes"] + 1_000})
    with pytest.raises(
        ModelError,
        match=rf"has {entry['bytes']:,} bytes, not the published {entry['bytes'] + 1_000:,}: it is not",
    ):
        read_model(folder)
    change(path, weights={**entry, "sha256": "0" * 64})
    with pytest.raises(ModelError, match="does not match its published sha256"):
        read_model(folder)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("v" * 100, True),
        ("v" * 101, False),
        (".hidden", False),
        ("a/b", False),
        ("a\\b", False),
        ("..", False),
        ("", False),
        ("a.b", True),
    ],
)
def test_latest_names_a_folder_and_nothing_that_climbs_out(tmp_path: Path, name: str, known: bool) -> None:
    (tmp_path / "latest").write_text(f" {name}\n")
    says = (
        f"^Model {name} is not published: there is no folder .*versions/{name}"
        if known
        else "must hold one version, like"
    )
    with pytest.raises(ModelError, match=says):
        read_model(tmp_path)


def test_a_message_names_the_path_from_the_registry_down(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    (folder / "versions" / "8").mkdir(parents=True)
    for version, says in (
        (None, "No model is published: models/latest cannot be read."),
        ("7", "Model 7 is not published: there is no folder models/versions/7."),
        ("8", "models/versions/8/metadata.json cannot be read: No such file or directory."),
    ):
        with pytest.raises(ModelError) as caught:
            read_model(folder, version)
        assert str(caught.value) == says
