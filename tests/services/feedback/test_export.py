"""Corrections become photos to train on; the whole loop; the commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image, ImageDraw, ImageFilter

from services.feedback import export as exporting
from services.feedback.__main__ import main
from services.feedback.export import ExportError, export
from services.feedback.schema import feedback
from tests.conftest import ROOT, clean_environment, require, running_server
from tests.services.feedback.conftest import KEY, Service, environment, jpeg, running


def picture(number: int) -> bytes:
    return jpeg(Image.fromarray(np.random.default_rng(number).integers(0, 255, (40, 40, 3), dtype=np.uint8)))


def files(folder: Path) -> dict[str, int]:
    """How many photos lie in each folder."""
    found: dict[str, int] = {}
    for path in sorted(folder.rglob("*.jpg")):
        name = path.parent.relative_to(folder).as_posix()
        found[name] = found.get(name, 0) + 1
    return found


def test_photos_lie_under_what_people_say_they_show(service: Service, tmp_path: Path) -> None:
    service.send(request_id="a", photo=picture(1), correction="dog")
    service.send(request_id="b", photo=picture(2))
    service.send(request_id="c", photo=picture(3), correction="neither")
    service.send(request_id="d", photo=picture(4), recognized=False)
    service.send(request_id="e", correction="dog")
    assert export(service.settings, tmp_path / "out") == {"dog": 1, "cat": 1, "neither": 2}
    assert files(tmp_path / "out") == {"train/dog": 1, "train/cat": 1, "neither": 2}


def test_training_finds_them_and_those_of_none_apart(service: Service, tmp_path: Path) -> None:
    require("sklearn")
    from export.photos.find import find, find_neither

    for i, correction in enumerate(["cat", "dog", "dog", "neither"]):
        service.send(request_id=f"r{i}", photo=picture(i), correction=correction)
    export(service.settings, tmp_path / "out")
    found = find(tmp_path / "out")
    assert found.labels == ("cat", "dog")
    assert len(found.splits["train"]) == 3
    assert len(find_neither(tmp_path / "out" / "neither", found.labels).splits["train"]) == 1


def test_of_several_opinions_on_a_photo_the_majority_counts_and_ties_are_left_out(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opinions = {1: ["dog", "dog", "cat"], 2: ["dog", "cat"], 3: ["neither", "dog", "neither", "neither"]}
    for number, corrections in opinions.items():
        for i, correction in enumerate(corrections):
            service.send(request_id=f"{number}.{i}", photo=picture(number), correction=correction)
    assert export(service.settings, tmp_path / "out") == {"dog": 1, "neither": 1}
    assert "1 photos on which people do not agree" in capsys.readouterr().out
    assert export(service.settings, tmp_path / "sure", minimum=3) == {"neither": 1}


def test_what_was_deleted_disappears_from_the_next_export(
    make: Callable[..., Service], tmp_path: Path
) -> None:
    service = make()
    out = tmp_path / "out"
    receipt = service.send(request_id="a", photo=picture(1), correction="dog").json()
    service.send(request_id="b", photo=picture(2))
    export(service.settings, out)
    (out / "train" / "cat" / "mine.jpg").write_bytes(b"put here by hand")
    service.request("DELETE", f"/feedback/{receipt['id']}", headers={"X-API-Key": KEY})
    export(service.settings, out)
    assert files(out) == {"train/cat": 2}
    assert not (out / "train" / "dog").exists()


def test_an_export_that_was_interrupted_goes_on(
    make: Callable[..., Service], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = make()
    for i in range(9):
        service.send(request_id=f"r{i}", photo=picture(i))
    monkeypatch.setattr(exporting, "_FETCHED", 2)
    fetch = exporting._fetch
    fetched: list[tuple[Path, int]] = []

    def interrupted(database: object, missing: list[tuple[Path, int]], mark: int) -> None:
        if len(fetched) == 2:
            raise KeyboardInterrupt
        fetched.extend([missing[0]])
        fetch(database, missing, mark)  # type: ignore[arg-type]

    monkeypatch.setattr(exporting, "_fetch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(service.settings, tmp_path / "out")
    assert files(tmp_path / "out") == {"train/cat": 4}

    def counted(database: object, missing: list[tuple[Path, int]], mark: int) -> None:
        fetched.extend(missing)
        fetch(database, missing, mark)  # type: ignore[arg-type]

    monkeypatch.setattr(exporting, "_fetch", counted)
    export(service.settings, tmp_path / "out")
    assert files(tmp_path / "out") == {"train/cat": 9}
    assert len(fetched) == 2 + 5


def test_a_folder_with_other_things_in_it_is_not_touched(
    make: Callable[..., Service], tmp_path: Path
) -> None:
    service = make()
    service.send(photo=picture(1))
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    with pytest.raises(ExportError, match="holds other things"):
        export(service.settings, tmp_path / "photos")
    assert files(tmp_path) == {}


def test_a_label_from_an_older_database_cannot_leave_the_folder(
    make: Callable[..., Service], tmp_path: Path
) -> None:
    service = make()
    service.send(request_id="a", photo=picture(1))
    service.send(request_id="b", photo=picture(2))
    with service.database.writing() as connection:
        changed = sa.update(feedback).where(feedback.c.request_id == "a")
        connection.execute(changed.values(truth="../../escaped"))
    assert export(service.settings, tmp_path / "in" / "out") == {"cat": 1}
    assert not list(tmp_path.rglob("escaped"))


def test_only_labels_that_were_asked_for_are_taken(make: Callable[..., Service], tmp_path: Path) -> None:
    service = make()
    for i, correction in enumerate(["cat", "dog", "rabbit", "neither"]):
        service.send(request_id=f"r{i}", photo=picture(i), correction=correction)
    assert export(service.settings, tmp_path / "out", labels=["cat", "dog"]) == {
        "cat": 1,
        "dog": 1,
        "neither": 1,
    }


def test_photos_for_testing_are_always_the_same(make: Callable[..., Service], tmp_path: Path) -> None:
    service = make()
    for i in range(40):
        service.send(request_id=f"r{i}", photo=picture(i))
    export(service.settings, tmp_path / "one", test_percent=30)
    assert 4 <= files(tmp_path / "one")["test/cat"] <= 20
    export(service.settings, tmp_path / "two", test_percent=30)
    assert sorted(path.name for path in (tmp_path / "one/test/cat").iterdir()) == sorted(
        path.name for path in (tmp_path / "two/test/cat").iterdir()
    )


def command(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "services.feedback", *arguments], cwd=ROOT, text=True, timeout=60,
                          env=environment(**settings), capture_output=True, check=False)  # fmt: skip


def test_the_help_explains_every_command() -> None:
    text = command("--help").stdout
    for name in ("serve", "export", "migrate", "forget", "secrets"):
        assert name in text


def test_a_missing_package_is_said_with_the_command_that_installs_it(tmp_path: Path) -> None:
    # A Python of its own without any package, as in a fresh clone.
    result = subprocess.run([sys.executable, "-S", "-m", "services.feedback", "serve"], cwd=ROOT, text=True,
                            env=environment(FEEDBACK_DIR=str(tmp_path)), capture_output=True, check=False)  # fmt: skip
    assert result.returncode == 2
    assert "-m pip install -r services/feedback/requirements.txt" in result.stderr
    assert "Traceback" not in result.stderr


def test_new_secrets_need_no_package_and_are_accepted(tmp_path: Path) -> None:
    result = subprocess.run([sys.executable, "-S", "-m", "services.feedback", "secrets"], cwd=ROOT, text=True,
                            env=environment(), capture_output=True, check=True)  # fmt: skip
    values = dict(line.split("=", 1) for line in result.stdout.splitlines())
    assert values.keys() == {"FEEDBACK_SECRET", "FEEDBACK_ADMIN_KEY", "POSTGRES_PASSWORD"}
    assert command("migrate", FEEDBACK_DIR=str(tmp_path), **values).returncode == 0


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://x/y"}, "FEEDBACK_SECRET"),
        ({"FEEDBACK_SECRET": "short"}, "FEEDBACK_SECRET"),
        ({"FEEDBACK_PER_HOUR": "many"}, "FEEDBACK_PER_HOUR"),
        ({"ALLOWED_ORIGINS": "https://a.example/path"}, "ALLOWED_ORIGINS"),
        ({"FEEDBACK_SECRET_FILE": "/nowhere"}, "FEEDBACK_SECRET_FILE"),
    ],
)
def test_a_setting_that_cannot_be_used_ends_the_start_by_name(
    settings: dict[str, str],
    names: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(os, "environ", environment(FEEDBACK_DIR=str(tmp_path), **settings))
    assert main(["migrate"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {names}")
    assert "short" not in said.replace("shorter", "")


def test_the_services_import_neither_the_function_nor_training() -> None:
    code = (
        "import sys, services.feedback.serve, services.feedback.export\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('api', 'export', 'torch', 'numpy')])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_the_service_needs_only_its_own_requirements() -> None:
    import ast

    listed = {
        "alembic",
        "fastapi",
        "PIL",
        "dotenv",
        "sqlalchemy",
        "uvicorn",
        "starlette",
        "pydantic",
        "pyarrow",
        # Its API comes with FastAPI; what exports is imported, like prometheus_client, where it is switched on.
        "opentelemetry",
        "prometheus_client",
    }
    for path in (ROOT / "services" / "feedback").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in names:
                assert name.split(".")[0] in listed | {"services"} | set(sys.stdlib_module_names), (
                    f"{path}: {name}"
                )


def drawn(kind: str, colour: tuple[int, int, int], seed: int) -> bytes:
    """A photo of a disc or a square of some colour on a dark, blurred background."""
    random = np.random.default_rng([seed, *kind.encode(), *colour])
    background = Image.fromarray(random.integers(0, 110, (6, 6, 3), dtype=np.uint8)).resize((160, 144))
    image = background.filter(ImageFilter.GaussianBlur(5))
    x, y, r = random.integers(50, 110), random.integers(50, 94), random.integers(26, 40)
    box = (int(x - r), int(y - r), int(x + r), int(y + r))
    draw = ImageDraw.Draw(image)
    (draw.ellipse if kind == "disc" else draw.rectangle)(box, fill=colour)
    return jpeg(image, quality=92)


RED, GREEN, BLUE = (230, 60, 50), (60, 200, 80), (70, 80, 240)


def train(*arguments: str | Path) -> str:
    """`python3 dev.py train`, in the environment that the tests have."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import dev; dev.install = lambda steps: 0; "
        f"dev.PYTHON = sys.executable; sys.exit(dev.main(['train', *{[str(a) for a in arguments]!r}]))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd="/", env=clean_environment(), capture_output=True,
                            text=True, check=False, timeout=600)  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.services
def test_corrections_make_the_next_model_right_where_the_last_one_was_wrong(tmp_path: Path) -> None:
    """The whole loop. `stop` was always a red disc and `go` a blue square: a green disc, a go, is taken for stop."""
    require("sklearn")
    photos, models = tmp_path / "photos", tmp_path / "models"
    for label, kind, colour in (("stop", "disc", RED), ("go", "square", BLUE)):
        (photos / label).mkdir(parents=True)
        for i in range(24):
            (photos / label / f"{i:02}.jpg").write_bytes(drawn(kind, colour, i))
    common = ("--models", models, "--cache", tmp_path / "cache")
    assert "published 1.0.0" in train(photos, "--out", tmp_path / "first", *common)
    fresh = [drawn("disc", GREEN, 1000 + i) for i in range(10)]
    with (
        running_server(tmp_path / "api.log", MODEL_DIR=str(models)) as api,
        running(tmp_path / "data", FEEDBACK_API_URL=api.url) as service,
        api.client() as http,
    ):
        before = sum(answered(http, photo) == "go" for photo in fresh)
        assert before <= 5, "the first model is wrong about them"
        for i in range(24):
            correct(http, service.url, drawn("disc", GREEN, 100 + i), "go")
        stranger = {"request_id": "x", "model_version": "1.0.0", "prediction": "stop", "confidence": 1.0,
                    "recognized": True, "correction": "caution"}  # fmt: skip
        refused = httpx.post(f"{service.url}/feedback", json=stranger, trust_env=False)
        assert refused.status_code == 422, "the service asked the classifier which labels there are"
    corrections = tmp_path / "corrections"
    result = command("export", "--out", str(corrections), FEEDBACK_DIR=str(tmp_path / "data"))
    assert result.returncode == 0, result.stderr
    assert f"python3 dev.py train photos {corrections}" in result.stdout
    assert "published 1.1.0" in train(photos, corrections, "--out", tmp_path / "second", *common)
    with running_server(tmp_path / "api.log", MODEL_DIR=str(models)) as api, api.client() as http:
        assert http.get("/health").json()["model_version"] == "1.1.0"
        right = sum(answered(http, photo) == "go" for photo in fresh)
        print(f"green discs: {before} of {len(fresh)} right, {right} after the corrections")
        assert right >= 9
        assert answered(http, drawn("disc", RED, 2000)) == "stop", "and still right about what it knew"


def answered(http: httpx.Client, photo: bytes) -> str:
    return str(http.post("/predict", files={"file": photo}).json()["prediction"])


def correct(http: httpx.Client, feedback_url: str, photo: bytes, label: str) -> None:
    """Asks the classifier, and says what the photo really shows, as the page does."""
    response = http.post("/predict", files={"file": photo})
    answer = response.json()
    fields = {
        "request_id": response.headers["x-request-id"], "model_version": answer["model_version"],
        "prediction": answer["prediction"], "confidence": str(answer["confidence"]),
        "recognized": json.dumps(answer["recognized"]), "correction": label, "consent": "true",
    }  # fmt: skip
    sent = httpx.post(f"{feedback_url}/feedback", data=fields, files={"photo": ("p.jpg", photo)}, trust_env=False,
                      timeout=30)  # fmt: skip
    assert sent.status_code == 201, sent.text
