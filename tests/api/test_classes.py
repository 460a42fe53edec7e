"""Whatever model is served: what the API says of itself speaks of that model's classes, and never of another's."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from api import _openapi
from api._registry import read_model
from tests import models
from tests.commands import run
from tests.conftest import ROOT, InProcess

CAT = re.compile(r"\b(cats?|dogs?|kittens?|pupp(y|ies))\b", re.IGNORECASE)
SAID = ("/", "/model/info", "/openapi.json", "/docs", "/redoc")


Serve = Callable[..., InProcess]


@pytest.fixture
def serving(tmp_path: Path) -> Serve:
    """The app, in this process, with a model of these labels: `serving(["daisy", "rose"])`; without any, no model."""

    def serve(labels: Any = None, **metadata: Any) -> InProcess:
        folder = tmp_path / f"model-{time.monotonic_ns()}"
        if labels:
            models.publish(folder, labels, **metadata)
        return InProcess(MODEL_DIR=str(folder), THREADS="1")

    return serve


def photo() -> bytes:
    return (ROOT / "web" / "samples" / "rocket.jpg").read_bytes()


@pytest.mark.parametrize("path", SAID)
def test_a_service_of_flowers_names_no_cat(serving: Serve, path: str) -> None:
    words = serving(models.FLOWERS).get(path).text
    assert CAT.findall(words) == []


def test_the_page_as_it_is_sent_names_no_cat(serving: Serve) -> None:
    words = serving(models.FLOWERS).get("/", headers={"Accept": "text/html"}).text
    assert CAT.findall(words) == []


@pytest.mark.parametrize("path", SAID)
def test_without_a_usable_model_the_service_names_no_class(serving: Serve, path: str) -> None:
    words = serving().get(path).text
    assert CAT.findall(words) == []


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        (2, "Purrdict classifies photos: otter or newt. POST one to /predict."),
        (5, "Purrdict classifies photos: daisy, dandelion, rose, sunflower, or tulip. POST one to /predict."),
        (37, "Purrdict classifies photos into 37 classes. POST one to /predict."),
        (120, "Purrdict classifies photos into 120 classes. POST one to /predict."),
    ],
)
def test_the_root_names_few_classes_and_counts_many(serving: Serve, classes: int, says: str) -> None:
    body = serving(models.CLASSES[classes]).get("/").json()
    assert set(body) == {"message", "version", "status", "endpoints"}
    assert body["message"] == says


def test_the_root_writes_labels_as_people_do_and_counts_those_that_are_long(serving: Serve) -> None:
    assert "Car side or sea horse." in serving(["Car_side", "sea__horse"]).get("/").json()["message"]
    assert "into 2 classes" in serving(["a" * 70, "b" * 70]).get("/").json()["message"]


def test_without_a_usable_model_the_root_says_what_the_service_is_for(serving: Serve) -> None:
    body = serving().get("/").json()
    assert (body["message"], body["status"]) == (
        "Purrdict classifies photos. POST one to /predict.",
        "degraded",
    )


def _examples(schema: dict[str, Any], name: str) -> dict[str, Any]:
    fields = schema["components"]["schemas"][name]["properties"]
    return {field: entry["examples"][0] for field, entry in fields.items() if entry.get("examples")}


@pytest.mark.parametrize("classes", [2, 5, 37, 120])
def test_the_examples_of_the_documentation_are_answers_of_the_served_model(
    serving: Serve, classes: int
) -> None:
    labels = models.CLASSES[classes]
    client = serving(labels)
    schema = client.get("/openapi.json").json()
    answer = _examples(schema, "PredictionAnswer")
    assert answer["prediction"] in labels
    assert answer["confidence"] == answer["probabilities"][answer["prediction"]]
    assert set(answer["probabilities"]) <= set(labels)
    assert max(answer["probabilities"].values()) == answer["confidence"]
    assert answer["model_version"] == "3.1.0"
    assert _examples(schema, "BatchItem")["prediction"] in labels
    assert _examples(schema, "Heatmap")["label"] == answer["prediction"]
    assert _examples(schema, "Index")["message"] == client.get("/").json()["message"]
    assert _examples(schema, "Health")["model_version"] == "3.1.0"
    said, info = _examples(schema, "ModelInfo"), client.get("/model/info").json()
    for field in ("model_type", "num_parameters", "input_size", "test_accuracy"):
        assert said[field] == info[field], field
    assert set(said["classes"]) <= set(labels)


@pytest.mark.parametrize("classes", [2, 5])
def test_the_probabilities_of_an_example_name_every_class_and_sum_to_1(serving: Serve, classes: int) -> None:
    schema = serving(models.CLASSES[classes]).get("/openapi.json").json()
    probabilities = _examples(schema, "PredictionAnswer")["probabilities"]
    assert tuple(probabilities) == models.CLASSES[classes]
    assert sum(probabilities.values()) == pytest.approx(1)


def test_examples_of_many_classes_are_cut_short_and_say_so(serving: Serve) -> None:
    fields = serving(models.CLASSES[120]).get("/openapi.json").json()["components"]["schemas"]
    probabilities = fields["PredictionAnswer"]["properties"]["probabilities"]
    classes = fields["ModelInfo"]["properties"]["classes"]
    for entry in (probabilities, classes):
        assert len(entry["examples"][0]) == 5
        assert "The example names 5 of 120." in entry["description"]
    again = serving(models.FLOWERS).get("/openapi.json").json()["components"]["schemas"]
    assert "The example names" not in json.dumps(again), "of another app in the same process"


def test_a_figure_that_the_metadata_lacks_has_no_example(serving: Serve) -> None:
    client = serving(models.FLOWERS, metrics={}, parameters=None, architecture=None)
    said = _examples(client.get("/openapi.json").json(), "ModelInfo")
    assert not {"test_accuracy", "num_parameters", "model_type"} & set(said)


def test_the_documentation_is_made_when_it_is_asked_for_and_once(serving: Serve) -> None:
    client = serving(models.CLASSES[120])
    assert client.app.openapi_schema is None
    first = client.get("/openapi.json").text
    assert client.get("/openapi.json").text == first


@pytest.mark.parametrize("path", ["/", "/openapi.json", "/model/info"])
def test_labels_of_any_kind_are_told_as_they_are(serving: Serve, path: str) -> None:
    assert serving(models.ODD).get(path).status_code == 200


def test_labels_keep_their_raw_form_in_answers(serving: Serve) -> None:
    client = serving(models.ODD)
    answer = client.post("/predict?explain=true", files={"file": photo()}).json()
    assert tuple(answer["probabilities"]) == models.ODD
    assert answer["heatmap"]["label"] == answer["prediction"]
    assert client.get("/model/info").json()["classes"] == list(models.ODD)


def test_the_description_of_the_documentation_shows_markup_in_a_label_as_text(serving: Serve) -> None:
    info = serving(["<b>bold</b>", "a*b*c"]).get("/openapi.json").json()["info"]
    assert r"\<b\>bold\</b\> or a\*b\*c" in info["description"]


def test_labels_that_are_numbers_are_served_as_words(serving: Serve) -> None:
    client = serving([7, 10])
    assert client.get("/model/info").json()["classes"] == ["7", "10"]
    assert set(client.post("/predict", files={"file": photo()}).json()["probabilities"]) == {"7", "10"}


def test_all_probabilities_of_120_classes_are_answered(serving: Serve) -> None:
    answer = serving(models.CLASSES[120]).post("/predict", files={"file": photo()}).json()
    assert tuple(answer["probabilities"]) == models.CLASSES[120]


def test_the_command_lines_help_names_no_cat() -> None:
    for arguments in (["--help"], ["predict", "--help"], ["serve", "--help"]):
        assert CAT.findall(run(*arguments).stdout) == []


def test_the_command_line_prints_labels_as_people_write_them_and_json_keeps_them(tmp_path: Path) -> None:
    labels = ["Car_side", "Grand_piano"]
    folder = str(models.publish(tmp_path / "model", labels))
    path = ROOT / "web" / "samples" / "rocket.jpg"
    row = run("predict", path, path, MODEL_DIR=folder).stdout
    assert "Car side" in row or "Grand piano" in row
    assert "_" not in row.replace(str(path), "")
    assert json.loads(run("predict", "--json", path, MODEL_DIR=folder).stdout)["prediction"] in labels


def test_the_figures_of_the_command_line_stand_in_one_column(tmp_path: Path) -> None:
    folder = str(models.publish(tmp_path / "model", models.FLOWERS))
    files = []
    for name, colour in (("red", "#f00"), ("green", "#0f0"), ("blue", "#00f")):
        files.append(tmp_path / f"{name}.png")
        Image.new("RGB", (64, 64), colour).save(files[-1])
    rows = run("predict", *files, MODEL_DIR=folder).stdout.splitlines()
    assert len({len(row.split()[1]) for row in rows}) > 1, "labels of one length prove nothing"
    assert len({row.index("%") for row in rows}) == 1


def test_the_command_line_prints_labels_that_the_terminal_cannot(tmp_path: Path) -> None:
    folder = str(models.publish(tmp_path / "model", ["柴犬", "猫"]))
    path = ROOT / "web" / "samples" / "rocket.jpg"
    result = run("predict", path, MODEL_DIR=folder, encoding="ascii")
    assert (result.returncode, result.stderr) == (0, "")
    assert r"\u" in result.stdout


@pytest.mark.parametrize(
    "name", ["Dockerfile", "template.yaml", "compose.yaml", "vercel.json", "web/index.html"]
)
def test_what_describes_the_service_to_platforms_and_search_engines_names_no_class(name: str) -> None:
    assert CAT.findall((ROOT / name).read_text()) == []


def test_the_examples_are_of_the_model_word_for_word(tmp_path: Path) -> None:
    model = read_model(models.publish(tmp_path, models.FLOWERS[:3], metrics={}))
    rest = 0.00065
    assert _openapi._of_model(model) == {
        "prediction": "daisy", "label": "daisy", "confidence": 0.9987,
        "probabilities": {"daisy": 0.9987, "dandelion": rest, "rose": rest}, "model_version": "3.1.0",
        "model_type": "mean colour, linear", "num_parameters": 12, "classes": ["daisy", "dandelion", "rose"],
        "input_size": [32, 32], "test_accuracy": None, "metadata": {"version": "3.1.0"},
    }  # fmt: skip
    assert "Purrdict classifies photos. It says" in _openapi.description(None)
