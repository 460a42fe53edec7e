"""The Kubernetes files: rendered by kustomize, held to the published schemas, and to what the images really are."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from api._server import LINGER_BYTES
from api._settings import DEFAULT_MAX_UPLOAD_BYTES
from tests.conftest import ROOT, missing, require_program

pytestmark = pytest.mark.operate

KUBERNETES = ROOT / "deploy" / "kubernetes"
VALIDATOR = ROOT / "build" / "operate" / "bin" / "kubernetes-validate"
# The oldest release that is still supported, and the newest that the validator knows.
RELEASES = ("1.34", "1.37")
FOLDERS = {
    "base": {"api"},
    "overlays/feedback": {"api", "gateway", "feedback"},
    "overlays/writer": {"api", "gateway", "writer"},
    "overlays/full": {"api", "gateway", "feedback", "writer"},
}
DOCKERFILES = {"api": ROOT, **{name: ROOT / "services" / name for name in ("gateway", "feedback", "writer")}}
Document = dict[str, Any]


@dataclass
class Image:
    """What the last stage of a Dockerfile says of running it."""

    environment: dict[str, str]
    user: int
    ports: set[int]
    command: list[str]
    paths: set[str]


def image(name: str) -> Image:
    text = (DOCKERFILES[name] / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    last = text[text.rindex("\nFROM ") :]
    found = Image({}, 0, set(), [], set())
    for line in last.splitlines():
        instruction, _, rest = line.strip().partition(" ")
        if instruction == "ENV":
            found.environment |= dict(pair.split("=", 1) for pair in shlex.split(rest))
        elif instruction == "USER":
            found.user = int(rest)
        elif instruction == "EXPOSE":
            found.ports |= {int(port) for port in rest.split()}
        elif instruction == "CMD":
            found.command = json.loads(rest)
        elif instruction == "COPY":
            found.paths.add(rest.split()[-1])
    return found


def rendered(folder: str) -> list[Document]:
    kustomize = require_program("kustomize", "kubectl")
    command = [kustomize, "build"] if kustomize.endswith("kustomize") else [kustomize, "kustomize"]
    result = subprocess.run(
        [*command, str(KUBERNETES / folder)], capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert not result.stderr, f"warnings: {result.stderr}"
    return list(yaml.safe_load_all(result.stdout))


@pytest.fixture(scope="module", params=list(FOLDERS))
def folder(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def documents(folder: str) -> list[Document]:
    return rendered(folder)


def of_kind(documents: list[Document], kind: str) -> dict[str, Document]:
    return {one["metadata"]["name"]: one for one in documents if one["kind"] == kind}


def pods(documents: list[Document]) -> Iterator[tuple[str, Document, Document]]:
    """Each deployment's name, its pod and the pod's only container."""
    for name, one in of_kind(documents, "Deployment").items():
        pod = one["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        yield name, pod, container


def config_of(documents: list[Document], container: Document) -> dict[str, str]:
    """The settings that a container gets from its config maps."""
    maps = of_kind(documents, "ConfigMap")
    found: dict[str, str] = {}
    for source in container["envFrom"]:
        if name := source.get("configMapRef", {}).get("name"):
            found |= maps[name]["data"]
    return found


def validate(path: Path, release: str) -> subprocess.CompletedProcess[str]:
    if not VALIDATOR.exists():
        missing("kubernetes-validate is not installed: bash .ci/operate --install")
    return subprocess.run(
        [str(VALIDATOR), "--kubernetes-version", release, "--strict", str(path)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("release", RELEASES)
def test_kubernetes_takes_every_file(
    folder: str, documents: list[Document], release: str, tmp_path: Path
) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    result = validate(path, release)
    assert result.returncode == 0, result.stdout + result.stderr
    print(f"{folder}: {len(documents)} objects are valid for Kubernetes {release}")


@pytest.mark.parametrize("wrong", ["replicas: many", "replicaz: 2"])
def test_the_validator_notices_what_kubernetes_would_refuse(wrong: str, tmp_path: Path) -> None:
    text = (KUBERNETES / "components/writer/writer.yaml").read_text(encoding="utf-8")
    path = tmp_path / "wrong.yaml"
    path.write_text(text.replace("replicas: 1", wrong), encoding="utf-8")
    assert validate(path, RELEASES[-1]).returncode != 0


def test_every_folder_has_the_services_that_its_name_says(folder: str, documents: list[Document]) -> None:
    assert set(of_kind(documents, "Deployment")) == FOLDERS[folder]
    assert set(of_kind(documents, "Service")) == FOLDERS[folder]
    assert {one["metadata"].get("namespace", "purrdict") for one in documents} == {"purrdict"}


def test_commands_ports_and_users_are_those_of_the_images(documents: list[Document]) -> None:
    for name, pod, container in pods(documents):
        made = image(name)
        assert container["image"].partition(":")[0] == ("purrdict" if name == "api" else f"purrdict-{name}")
        assert "command" not in container, f"{name}: the image's own command runs"
        assert "args" not in container
        assert pod["securityContext"]["runAsUser"] == made.user != 0
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        settings = {**made.environment, **config_of(documents, container)}
        assert ports["http"] in made.ports
        assert ports["http"] == int(settings["FEEDBACK_PORT" if name == "feedback" else "PORT"])
        metrics = settings["FEEDBACK_METRICS_PORT" if name == "feedback" else "METRICS_PORT"]
        assert ports["metrics"] == int(metrics), f"{name}: what is declared is where it listens"
        assert "0.0.0.0" in made.command or settings.get("HOST") == "0.0.0.0"


def test_probes_ask_paths_that_the_services_have(documents: list[Document]) -> None:
    sources = {
        "api": "api/_routes/info.py", "gateway": "services/gateway/src/health.js",
        "feedback": "services/feedback/routes/health.py", "writer": "services/writer/app.py",
    }  # fmt: skip
    for name, _, container in pods(documents):
        source = (ROOT / sources[name]).read_text(encoding="utf-8")
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container[kind]
            asked = probe.get("httpGet") or probe["tcpSocket"]
            assert asked["port"] == "http"
            if path := asked.get("path"):
                assert f'"{path}"' in source, f"{name}: nobody answers {path}"
        assert container["readinessProbe"].get("timeoutSeconds", 1) < 60


def test_no_probe_of_life_depends_on_what_another_program_does(documents: list[Document]) -> None:
    for name, _, container in pods(documents):
        path = container["livenessProbe"].get("httpGet", {}).get("path")
        # Feedback's tells of its database, the gateway's of all services, the writer's of its engine.
        assert path != "/health" or name == "api"


def test_pods_run_as_nobody_read_only_and_with_limits(documents: list[Document]) -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    for name, pod, container in pods(documents):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        assert pod["automountServiceAccountToken"] is False
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
        }  # fmt: skip
        # Containers write nowhere else; /tmp is in memory, and has an end.
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert volumes[mounts["/tmp"]["name"]]["emptyDir"] == {"medium": "Memory", "sizeLimit": "64Mi"}
        assert all(mount.get("readOnly") for path, mount in mounts.items() if path != "/tmp")
        limits, theirs = container["resources"]["limits"], compose[name]["deploy"]["resources"]["limits"]
        assert limits["memory"] == theirs["memory"].replace("M", "Mi")
        assert cores(limits["cpu"]) == float(theirs["cpus"])
        assert cores(container["resources"]["requests"]["cpu"]) <= cores(limits["cpu"])


def cores(text: str) -> float:
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def test_a_volume_of_models_lies_where_the_image_has_its_own() -> None:
    (container,) = [container for name, _, container in pods(rendered("overlays/full")) if name == "api"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts["registry"] in image("api").paths
    settings = (ROOT / "api/_settings.py").read_text(encoding="utf-8")
    assert 'model_dir: Path = ROOT / "model"' in settings, "and where the service looks for them"


def test_services_and_the_ingress_lead_to_pods_that_there_are(folder: str, documents: list[Document]) -> None:
    labels = {
        name: one["spec"]["template"]["metadata"]["labels"]
        for name, one in of_kind(documents, "Deployment").items()
    }
    for name, service in of_kind(documents, "Service").items():
        assert service["spec"]["selector"].items() <= labels[name].items()
        compose_url = f"http://{name}:{service['spec']['ports'][0]['port']}"
        assert service["spec"]["ports"][0]["targetPort"] == "http"
        assert compose_url in (ROOT / "compose.yaml").read_text(encoding="utf-8") or name in ("gateway",)
    (ingress,) = of_kind(documents, "Ingress").values()
    (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
    assert path["backend"]["service"]["name"] == ("api" if folder == "base" else "gateway")


def test_addresses_in_the_settings_are_those_of_services_here(documents: list[Document]) -> None:
    services = {
        f"http://{name}:{one['spec']['ports'][0]['port']}"
        for name, one in of_kind(documents, "Service").items()
    }
    for name, _, container in pods(documents):
        for variable, value in config_of(documents, container).items():
            if variable.endswith("_URL") and variable != "LLM_URL":
                assert value in services, f"{name}: {variable}"


def test_no_setting_is_misspelled(documents: list[Document]) -> None:
    sources = {
        "api": "api/_settings.py", "gateway": "services/gateway/src/settings.js",
        "feedback": "services/feedback/settings.py", "writer": "services/writer/settings.py",
    }  # fmt: skip
    for name, _, container in pods(documents):
        source = (ROOT / sources[name]).read_text(encoding="utf-8")
        for variable in config_of(documents, container):
            assert f'"{variable}"' in source, f"{name} has no setting {variable}"


def test_no_secret_is_in_the_files() -> None:
    for path in KUBERNETES.rglob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^kind: Secret$", text, re.MULTILINE), path
        assert not re.search(r"(KEY|SECRET|PASSWORD|DATABASE_URL)=", text), path


def test_scaling_and_disruption_leave_the_service_answering(documents: list[Document]) -> None:
    for name, scaler in of_kind(documents, "HorizontalPodAutoscaler").items():
        spec = scaler["spec"]
        assert spec["scaleTargetRef"]["name"] == name
        assert 2 <= spec["minReplicas"] < spec["maxReplicas"]
        (metric,) = spec["metrics"]
        assert metric["resource"]["name"] == "cpu"
        deployment = of_kind(documents, "Deployment")[name]
        assert "replicas" not in deployment["spec"], "applying the files again must not undo what it did"
        budget = of_kind(documents, "PodDisruptionBudget")[name]["spec"]
        assert budget["maxUnavailable"] == 1
        assert budget["selector"] == deployment["spec"]["selector"]


def test_pods_have_the_time_to_answer_what_they_began(documents: list[Document]) -> None:
    for name, pod, container in pods(documents):
        (paused,) = re.findall(
            r"(\d{4}|\d)\)", " ".join(container["lifecycle"]["preStop"]["exec"]["command"])
        )
        pause = int(paused) / (1000 if len(paused) == 4 else 1)
        assert container["lifecycle"]["preStop"]["exec"]["command"][0] == image(name).command[0]
        assert pod["terminationGracePeriodSeconds"] > pause + 20


def test_the_network_is_closed_but_for_what_is_named(folder: str, documents: list[Document]) -> None:
    policies = of_kind(documents, "NetworkPolicy")
    assert policies["default"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert "egress" not in policies["api"]["spec"], "the classifier calls nobody"
    reached = policies["api"]["spec"]["ingress"][0]["from"]
    if folder == "base":
        assert reached == [{"namespaceSelector": {}}]
    else:
        assert reached[0]["podSelector"]["matchExpressions"][0]["values"] == ["gateway", "feedback"]
    for name in FOLDERS[folder] - {"api", "gateway"}:
        (only,) = policies[name]["spec"]["ingress"][0]["from"]
        assert only == {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "gateway"}}}
        assert {"port": 53, "protocol": "UDP"} in policies[name]["spec"]["egress"][-1]["ports"]


def test_what_prometheus_is_told_is_what_the_pods_declare(documents: list[Document]) -> None:
    for name, one in of_kind(documents, "Deployment").items():
        template = one["spec"]["template"]
        (container,) = template["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert template["metadata"]["annotations"]["prometheus.io/port"] == str(ports["metrics"]), name
        static = (ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8")
        assert f"{name}:{ports['metrics']}" in static


def test_a_door_opened_for_a_pod_is_one_that_the_pod_has(documents: list[Document]) -> None:
    ports = {name: {port["name"] for port in container["ports"]} for name, _, container in pods(documents)}
    for name, policy in of_kind(documents, "NetworkPolicy").items():
        chosen = policy["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/name")
        for rule in policy["spec"].get("ingress", []):
            for port in rule.get("ports", []):
                known = [ports[chosen]] if chosen else ports.values()
                assert any(port["port"] in names for names in known), f"{name}: {port}"


def test_the_cluster_itself_refuses_pods_that_ask_for_more(documents: list[Document]) -> None:
    (namespace,) = of_kind(documents, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_ingress_lets_through_what_the_services_take(documents: list[Document]) -> None:
    (ingress,) = of_kind(documents, "Ingress").values()
    said = ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"]
    # Beyond its limit a service answers with a sentence, for as long as it hears a client out; the ingress could not.
    assert int(said.removesuffix("m")) * 1_000_000 >= max(DEFAULT_MAX_UPLOAD_BYTES, LINGER_BYTES)
