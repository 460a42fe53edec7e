"""GET / /health /model/info /docs /redoc: what the old service's clients and today's browsers find."""

import hashlib
import re

import httpx
import pytest

from api._photo.formats import READABLE
from api._routes.info import API_VERSION
from tests.conftest import ROOT, InProcess


def test_the_root_answers_programs_in_json_and_browsers_with_the_page(client: httpx.Client) -> None:
    to_program = client.get("/")
    body = to_program.json()
    assert set(body) == {"message", "version", "status", "endpoints"}
    assert (body["version"], body["status"]) == ("1.0.0", "running")
    to_browser = client.get("/", headers={"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"})
    assert to_browser.headers["Content-Type"].startswith("text/html")
    assert "<title>" in to_browser.text
    for response in (to_program, to_browser):
        assert "Accept" in [name.strip() for name in response.headers["Vary"].split(",")]


def test_every_endpoint_that_the_root_names_exists(client: httpx.Client) -> None:
    for path in client.get("/").json()["endpoints"].values():
        assert client.get(path).status_code in (200, 405), path


def test_the_root_names_what_there_is(client: httpx.Client) -> None:
    api = {
        "health": "/health",
        "predict": "/predict",
        "predict_batch": "/predict/batch",
        "model_info": "/model/info",
    }
    documentation = {"docs": "/docs", "redoc": "/redoc", "openapi": "/openapi.json"}
    assert client.get("/").json()["endpoints"] == api | documentation
    with InProcess(ENABLE_DOCS="no", FEEDBACK_URL="/feedback", WRITER_URL="https://writer.example/") as app:
        services = {"feedback": "/feedback", "writer": "https://writer.example/"}
        assert app.get("/").json()["endpoints"] == api | services
    with InProcess(ROOT_PATH="/prod") as app:
        assert app.get("/prod/").json()["endpoints"]["docs"] == "/prod/docs"


def test_health_is_healthy(client: httpx.Client) -> None:
    body = client.get("/health").json()
    assert (body["status"], body["model_loaded"], body["device"]) == ("healthy", True, "cpu")
    assert body["model_version"] == (ROOT / "model" / "latest").read_text().strip()
    assert body["timestamp"].endswith("Z")


def test_model_info_keeps_the_old_keys_and_adds_the_published_metadata(client: httpx.Client) -> None:
    body = client.get("/model/info").json()
    assert body["model_loaded"] is True
    assert body["classes"] == ["cat", "dog"]
    assert body["input_size"] == [body["metadata"]["input_size"]] * 2
    assert body["num_parameters"] == body["metadata"]["parameters"]
    assert body["test_accuracy"] == body["metadata"]["metrics"]["test"]["accuracy"] > 0.9212
    assert body["model_type"]


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_documentation_pages_are_there(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    for source in re.findall(r'(?:src|href)="([^"]+)"', response.text):
        if not source.startswith("data:"):
            asset = client.get(f"/{source}")
            assert asset.status_code == 200, source
            assert asset.headers["Content-Type"].startswith(("text/javascript", "text/css"))
            assert client.get(f"/{source}", headers={"Accept-Encoding": "identity"}).text == asset.text


def test_the_documentation_pages_need_no_other_host(client: httpx.Client) -> None:
    for path in ("/docs", "/redoc"):
        response = client.get(path)
        assert "//" not in re.sub(r"<!.*?>", "", response.text)
        assert "http" not in response.headers["Content-Security-Policy"]


def test_every_operation_documents_its_errors_and_every_field_has_an_example(client: httpx.Client) -> None:
    schema = client.get("/openapi.json").json()
    for path in ("/predict", "/predict/batch"):
        operation = schema["paths"][path]["post"]
        assert {"200", "400", "408", "413", "422", "503"} <= set(operation["responses"])
        assert operation["requestBody"]["required"]
    for name, model in schema["components"]["schemas"].items():
        for field, description in model.get("properties", {}).items():
            documented = {"description", "examples", "default", "items", "$ref", "anyOf"} & set(description)
            assert documented, f"{name}.{field} says nothing"


def test_the_documentation_shows_what_to_send_and_an_example_of_each_error(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    photo = {"type": "string", "format": "binary"}
    photos = {"type": "array", "items": photo, "minItems": 1, "maxItems": 32}
    for path, name, field in (("/predict", "file", photo), ("/predict/batch", "files", photos)):
        operation = paths[path]["post"]
        content = operation["requestBody"]["content"]
        form = {"type": "object", "required": [name], "properties": {name: field}}
        assert content.pop("multipart/form-data") == {"schema": form}
        raw = {f"image/{kind.lower()}": {"schema": photo} for kind in READABLE}
        assert content == (raw if path == "/predict" else {})
        for status in ("400", "408", "413", "422", "503"):
            response = operation["responses"][status]
            told = response["content"]["application/json"]
            assert told["schema"] == {"$ref": "#/components/schemas/Error"}
            assert told["example"]["detail"].endswith(".")
            assert response["description"].endswith(".")
        assert operation["tags"] == ["prediction"]
        assert "401" not in operation["responses"]
    for path in ("/", "/health", "/model/info"):
        assert paths[path]["get"]["tags"] == ["information"]
        assert paths[path]["get"]["summary"]
    assert set(paths) == {"/", "/health", "/model/info", "/predict", "/predict/batch"}
    assert paths["/health"]["get"]["responses"]["503"]["content"]["application/json"]["schema"][
        "$ref"
    ].endswith("/Health")
    with InProcess(API_KEYS="right") as app:
        locked = app.get("/openapi.json").json()["paths"]["/predict"]["post"]
    assert locked["responses"]["401"]["content"]["application/json"]["example"] == {
        "detail": "The API key is wrong."
    }
    assert locked["security"] == [{"APIKeyHeader": []}, {"HTTPBearer": []}]


def test_the_documentation_is_of_this_service_under_its_licence(client: httpx.Client) -> None:
    told = client.get("/openapi.json").json()["info"]
    assert (told["title"], told["version"]) == ("Purrdict", API_VERSION)
    assert told["license"] == {"name": "MIT", "identifier": "MIT"}


def test_the_model_that_runs_can_be_fetched_and_need_not_be_fetched_twice(client: httpx.Client) -> None:
    published = client.get("/model/info").json()["metadata"]
    digest = published["weights"]["sha256"]
    for path, kind, tag, coding in (
        ("/model/metadata.json", "application/json", f'"{digest}-metadata"', "gzip"),
        ("/model/model.onnx", "application/octet-stream", f'"{digest}"', "identity"),
        ("/model/model.onnx", "application/octet-stream", f'"{digest}-gzip"', "gzip"),
    ):
        takes = {"Accept-Encoding": coding}
        response = client.get(path, headers=takes)
        assert response.headers["Content-Type"] == kind
        assert (response.headers["ETag"], response.headers["Cache-Control"]) == (tag, "no-cache")
        again = client.get(path, headers={**takes, "If-None-Match": tag})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
        assert again.headers["Cache-Control"] == "no-cache"
        assert client.get(path, headers={**takes, "If-None-Match": '"another"'}).status_code == 200
    assert client.get("/model/metadata.json").json() == published
    assert hashlib.sha256(client.get("/model/model.onnx").content).hexdigest() == digest


def test_a_wrong_path_or_method_is_a_sentence_not_a_crash(client: httpx.Client) -> None:
    assert client.get("/nowhere").status_code == 404
    assert client.get("/predict").status_code == 405
    assert client.delete("/health").status_code == 405
    assert client.get("/../api/_settings.py").status_code == 404
    assert client.get("/%2e%2e/requirements.txt").status_code == 404


def test_the_page_is_served_with_its_files_and_they_revalidate(client: httpx.Client) -> None:
    script = client.get("/app.js")
    assert script.headers["Content-Type"].startswith("text/javascript")
    assert client.get("/app.js", headers={"If-None-Match": script.headers["ETag"]}).status_code == 304
    assert client.get("/package.json").status_code == 404


def test_the_documentation_groups_what_is_predicted_and_what_is_told(client: httpx.Client) -> None:
    groups: dict[str, set[str]] = {}
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for operation in methods.values():
            (tag,) = operation["tags"]
            groups.setdefault(tag, set()).add(path)
    assert groups == {
        "prediction": {"/predict", "/predict/batch"},
        "information": {"/", "/health", "/model/info"},
    }


def test_the_documentation_names_the_fields_of_the_forms(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path, field in (("/predict", "file"), ("/predict/batch", "files")):
        form = paths[path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert (form["type"], form["required"], list(form["properties"])) == ("object", [field], [field])
