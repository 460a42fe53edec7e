"""The rules and the dashboard: promtool reads them, and they name only metrics that the services really have."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest

from tests.conftest import ROOT, InProcess, require_program

PROMETHEUS = ROOT / "deploy" / "prometheus"
TESTS = ("drift.test.yml", "service.test.yml")
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "purrdict.json").read_text(encoding="utf-8"))
OURS = re.compile(r"\b(?:purrdict|feedback|writer|gateway|process)_[a-z_]+\b")


def promtool(*arguments: str | Path, cwd: Path = PROMETHEUS) -> subprocess.CompletedProcess[str]:
    program = require_program("promtool")
    return subprocess.run(
        [program, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False, timeout=300
    )


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / "rules.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries() -> dict[str, str]:
    """The query of each panel of the dashboard, with its variables filled in as Grafana would."""
    return {
        f"{panel['title']} {target['refId']}": target["expr"].replace("$__rate_interval", "5m")
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", [])
    }


@pytest.mark.operate
def test_promtool_understands_the_configuration_and_the_rules() -> None:
    for arguments in (
        ("check", "config", "--syntax-only", "prometheus.yml"),
        ("check", "rules", "rules.yml"),
    ):
        result = promtool(*arguments)
        print(result.stdout)
        assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.operate
def test_the_rules_alarm_when_they_should_and_at_no_other_time() -> None:
    result = promtool("test", "rules", *TESTS)
    print(result.stdout)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.operate
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (">= 500", ">= 10"),
        ("+ 0.1)", "+ 0.9)"),
        ("- 0.05", "- 0.5"),
        ("distance:1d > 0.3", "distance:1d > 0.9"),
        ('{recognized="false"}[1d]', "[1d]"),
        ("quantile(0.99", "quantile(0.5"),
    ],
)
def test_the_tests_of_the_rules_notice_a_broken_one(right: str, wrong: str, tmp_path: Path) -> None:
    text = (PROMETHEUS / "rules.yml").read_text(encoding="utf-8")
    assert right in text
    (tmp_path / "rules.yml").write_text(text.replace(right, wrong), encoding="utf-8")
    for name in TESTS:
        shutil.copy(PROMETHEUS / name, tmp_path)
    assert promtool("check", "rules", "rules.yml", cwd=tmp_path).returncode == 0
    assert promtool("test", "rules", *TESTS, cwd=tmp_path).returncode != 0


@pytest.mark.operate
def test_promtool_understands_every_query_of_the_dashboard(tmp_path: Path) -> None:
    asked = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries().values())]
    assert len(asked) > 20
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": asked}]}), encoding="utf-8")
    result = promtool("check", "rules", path)
    assert result.returncode == 0, result.stdout + result.stderr


def names_of(text: str) -> set[str]:
    """The series of a scrape."""
    return {re.split(r"[{ ]", line, maxsplit=1)[0] for line in text.splitlines() if line and line[0] != "#"}


def scraped(cat_jpeg: bytes) -> set[str]:
    """The names of all series that the classifier, feedback and the writer have; the gateway's from its source."""
    from services.feedback.metrics import Metrics as FeedbackMetrics
    from services.writer.admission import Admission
    from services.writer.metrics import Metrics as WriterMetrics

    with InProcess(METRICS_PORT="9") as app:
        app.post("/predict", files={"file": cat_jpeg})
        app.post("/predict", files={"file": b"no photo"})
        found = names_of(generate_latest(app.app.state.metrics.registry).decode())
    feedback = FeedbackMetrics(lambda: 0)
    feedback.request("/health", "GET", 200, 0.1)
    with feedback.batch(1):
        pass
    writer = WriterMetrics()
    writer.watch(Admission(1, 1))
    writer.request("/write", "POST", 200, 1, {"task": "listing", "finish_reason": "stop"})
    for registry in (feedback.registry, writer.registry):
        found |= names_of(generate_latest(registry).decode())
    source = (ROOT / "services/gateway/src/metrics.js").read_text(encoding="utf-8")
    for name in re.findall(r'name: "(gateway_\w+)"', source):
        found |= {name, f"{name}_bucket"}
    return found


def test_rules_and_dashboard_name_only_metrics_that_there_are(cat_jpeg: bytes) -> None:
    pytest.importorskip("sqlalchemy", reason="feedback's packages are not installed")
    there = scraped(cat_jpeg)
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for text in [*queries().values(), *(rule["expr"] for rule in rules())]:
        assert set(OURS.findall(re.sub(r'"[^"]*"', "", text))) - {"process_"} <= there, text
        assert set(re.findall(r"\bpurrdict:[a-z0-9_:]+", text)) <= recorded, text


def test_every_metric_is_explained_and_every_alert_too(cat_jpeg: bytes) -> None:
    page = (ROOT / "docs" / "OPERATIONS.md").read_text(encoding="utf-8")
    ours = {name for name in scraped(cat_jpeg) if not name.startswith("process_")}
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in ours}
    assert {name for name in families if f"`{name}`" not in page} == set()
    assert {
        rule["alert"] for rule in rules() if "alert" in rule and f"`{rule['alert']}`" not in page
    } == set()


def test_the_dashboard_can_be_imported_anywhere() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in DASHBOARD["panels"]:
        if panel["type"] == "row":
            continue
        assert panel["targets"], panel["title"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}, (
            "nobody's own"
        )
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
    cells = [
        (panel["gridPos"]["x"] + dx, panel["gridPos"]["y"] + dy)
        for panel in DASHBOARD["panels"]
        for dx in range(panel["gridPos"]["w"])
        for dy in range(panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells)), "no panel lies on another"


@pytest.mark.operate
def test_a_real_prometheus_scrapes_the_service_and_evaluates_the_rules(
    cat_jpeg: bytes, tmp_path: Path
) -> None:
    import time

    import httpx

    from benchmarks import _house
    from tests.conftest import free_port

    program = require_program("prometheus")
    port = free_port()
    with contextlib.ExitStack() as stack:
        api = stack.enter_context(_house.api(METRICS_PORT="on", METRICS_KEY="the-right-one"))
        (tmp_path / "key").write_text("the-right-one", encoding="utf-8")
        target = api.metrics_url.removeprefix("http://").removesuffix("/metrics")
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(PROMETHEUS / "rules.yml")],
            "scrape_configs": [
                {"job_name": "purrdict", "static_configs": [{"targets": [target]}],
                 "authorization": {"credentials_file": str(tmp_path / "key")}}
            ],
        }  # fmt: skip
        path = tmp_path / "prometheus.yml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        process = subprocess.Popen(
            [program, f"--config.file={path}", f"--storage.tsdb.path={tmp_path / 'data'}",
             f"--web.listen-address=127.0.0.1:{port}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        stack.callback(process.wait, 20)
        stack.callback(process.terminate)

        def ask(query: str) -> list[Any]:
            with contextlib.suppress(httpx.TransportError):
                answer = httpx.get(
                    f"http://127.0.0.1:{port}/api/v1/query", params={"query": query}, trust_env=False
                )
                # Until it is ready it says so, in words and with 503.
                if answer.is_success:
                    return list(answer.json()["data"]["result"])
            return []

        deadline = time.monotonic() + 60
        for query in (
            "up == 1",
            'purrdict_predictions_total{label="cat",recognized="true"} > 0',
            "purrdict:card",
        ):
            while not (found := ask(query)):
                httpx.post(f"{api.url}/predict", files={"file": cat_jpeg}, trust_env=False)
                assert time.monotonic() < deadline, f"never: {query}"
                time.sleep(0.2)
            print(query, "→", found[0]["metric"], found[0]["value"][1])


def test_the_tools_are_named_where_they_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="promtool"):
        promtool("--version")
