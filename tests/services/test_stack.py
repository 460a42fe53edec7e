"""compose.yaml on a real Docker Engine, without the writer: built, used, every container killed, nothing lost."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks._platform import copy_checkout
from tests.conftest import ROOT, free_port
from tests.services.engine import PUBLISHED, Engine, engine, stand_in_files

pytestmark = pytest.mark.services
# With the gateway and the database. The profile `writer` is brought up by tests/services/writer/test_compose.py.
PROFILE = "feedback"
# A tenth of a second more than nothing: what one client may send in a minute must not be what stops the test.
LIMITS = {"RATE_LIMIT": "1000000", "FEEDBACK_PER_HOUR": "1000000"}


@dataclass
class Stack:
    """The project in a folder of its own, with all services but the writer and its engine."""

    engine: Engine
    folder: Path
    secrets: dict[str, str]
    ports: dict[str, int]
    times: dict[str, float] = field(default_factory=dict)

    def compose(self, *arguments: str, check: bool = True) -> str:
        return self.engine.run("compose", "--profile", PROFILE, *arguments, cwd=self.folder, check=check)

    def timed(self, name: str, *arguments: str) -> None:
        start = time.monotonic()
        self.compose(*arguments)
        self.times[name] = time.monotonic() - start
        print(f"{name}: {self.times[name]:.1f} s")

    def client(self) -> httpx.Client:
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.ports['GATEWAY_PORT']}", trust_env=False, timeout=60
        )

    def containers(self) -> dict[str, dict[str, Any]]:
        """What the engine says of each service's container."""
        ids = self.compose("ps", "--all", "--quiet").split()
        found = json.loads(self.engine.run("inspect", *ids))
        return {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in found}

    def ids(self) -> set[str]:
        """All feedback that is stored, as the owner sees it."""
        found: set[str] = set()
        cursor = None
        with self.client() as http:
            while True:
                parameters = {"limit": "1000", **({"cursor": cursor} if cursor else {})}
                answer = http.get(
                    "/feedback", params=parameters, headers={"X-API-Key": self.secrets["FEEDBACK_ADMIN_KEY"]}
                )
                assert answer.status_code == 200, answer.text
                found |= {row["id"] for row in answer.json()["feedback"]}
                cursor = answer.json()["next"]
                if cursor is None:
                    return found


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = copy_checkout(tmp_path_factory.mktemp("stack") / "purrdict")
    printed = subprocess.check_output(
        [sys.executable, "-m", "services.feedback", "secrets"], cwd=ROOT, text=True
    )
    ports = {"GATEWAY_PORT": free_port(), "WEB_PORT": free_port()}
    # On loopback only: this machine may be anybody's.
    chosen = {name: f"127.0.0.1:{port}" for name, port in ports.items()} | LIMITS
    (folder / ".env").write_text(printed + "".join(f"{name}={value}\n" for name, value in chosen.items()))
    if not PUBLISHED:
        stand_in_files(folder)
    with engine() as found:
        made = Stack(found, folder, dict(line.split("=", 1) for line in printed.splitlines()), ports)
        try:
            made.timed("build", "build")
            made.timed("up to healthy, images built", "up", "--wait", "--wait-timeout", "180")
            yield made
        except BaseException:
            print(made.compose("ps", "--all", check=False), made.compose("logs", "--tail", "40", check=False))
            raise
        finally:
            made.compose("down", "--volumes", "--timeout", "20", check=False)


def test_everything_becomes_healthy_within_half_a_minute(stack: Stack) -> None:
    containers = stack.containers()
    assert containers.keys() >= {"api", "web", "gateway", "feedback", "postgres"}
    for name, container in containers.items():
        assert container["State"]["Health"]["Status"] == "healthy", name
    assert stack.times["up to healthy, images built"] < (30 if PUBLISHED else 60)


def test_every_container_is_limited_read_only_and_without_rights(stack: Stack) -> None:
    for name, container in stack.containers().items():
        host = container["HostConfig"]
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert host["Memory"] > 0, name
        assert host["PidsLimit"] > 0, name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert container["Config"]["User"] not in ("", "0", "root"), name
        # What is published is published where .env says, and nothing else is.
        published = [port for ports in host["PortBindings"].values() for port in ports]
        assert bool(published) == (name in ("gateway", "web")), name


def test_no_secret_is_in_an_image_or_in_the_file(stack: Stack) -> None:
    for name in ("purrdict", "purrdict-gateway", "purrdict-feedback"):
        history = stack.engine.run("history", "--no-trunc", name) + stack.engine.run("inspect", name)
        for value in stack.secrets.values():
            assert value not in history
    for value in stack.secrets.values():
        assert value not in (stack.folder / "compose.yaml").read_text()


def test_a_photo_and_its_correction_go_through_the_gateway(stack: Stack, cat_jpeg: bytes) -> None:
    with stack.client() as http:
        config = http.get("/config.json").json()
        assert config["feedback"] == f"http://127.0.0.1:{stack.ports['GATEWAY_PORT']}/"
        assert "writer" not in config or "writer" in stack.containers()
        assert http.get("/", headers={"Accept": "text/html"}).text.startswith("<!doctype html>")
        health = http.get("/health").json()
        assert (health["status"], health["services"]["feedback"]) == ("healthy", "healthy")
        answer = http.post("/predict", files={"file": cat_jpeg})
        said = answer.json()
        print(json.dumps(said))
        assert said["prediction"] == "cat"
        fields = {"request_id": answer.headers["x-request-id"], "model_version": said["model_version"],
                  "prediction": "cat", "confidence": said["confidence"], "recognized": "true",
                  "correction": "dog", "consent": "true"}  # fmt: skip
        sent = http.post("/feedback", data=fields, files={"photo": ("p.jpg", cat_jpeg)})
        print(sent.text)
        assert sent.status_code == 201
        assert sent.json()["photo_stored"] is True
        stranger = http.post("/feedback", json={**fields, "confidence": 1.0, "recognized": True, "correction": "rabbit",
                                                "consent": False, "request_id": "x"})  # fmt: skip
        assert stranger.status_code == 422, "feedback asked the classifier for its labels"
        assert http.get("/metrics").status_code == 404
    export = stack.compose(
        "exec", "-T", "feedback", "python", "-m", "services.feedback", "export", "--out", "/tmp/photos"
    )
    assert re.search(r"^dog\s+1$", export, re.MULTILINE), export


def test_only_feedback_reaches_the_database(stack: Stack) -> None:
    code = "require('net').connect(5432, 'postgres').on('error', (e) => { console.log(e.code); process.exit(0) })"
    said = stack.compose(
        "exec", "-T", "gateway", "node", "-e", f"{code}.on('connect', () => process.exit(9))"
    )
    assert "ENOTFOUND" in said or "EAI_AGAIN" in said


class Sender(threading.Thread):
    """Sends photos and corrections without a pause, and keeps what came back."""

    def __init__(self, stack: Stack, photo: bytes) -> None:
        super().__init__(daemon=True)
        self.stack, self.photo = stack, photo
        self.stop = threading.Event()
        self.statuses: Counter[str] = Counter()
        self.stored: set[str] = set()
        self.wrong: list[str] = []

    def run(self) -> None:
        while not self.stop.is_set():
            with self.stack.client() as http:
                try:
                    while not self.stop.is_set():
                        self._note("/predict", http.post("/predict", files={"file": self.photo}))
                        said = {"request_id": uuid.uuid4().hex, "model_version": "1.0.0", "prediction": "cat",
                                "confidence": 0.9, "recognized": True, "correction": "dog"}  # fmt: skip
                        self._note("/feedback", http.post("/feedback", json=said))
                except httpx.TransportError as error:
                    # Only the door itself can do that.
                    self.statuses[type(error).__name__] += 1
                    time.sleep(0.05)

    def _note(self, path: str, answer: httpx.Response) -> None:
        self.statuses[f"{path} {answer.status_code}"] += 1
        if answer.status_code in (200, 201):
            if path == "/feedback":
                self.stored.add(answer.json()["id"])
            elif answer.json()["prediction"] != "cat":
                self.wrong.append(answer.text)
        elif answer.status_code not in (502, 503, 504) or not answer.json().get("detail", "").endswith("."):
            self.wrong.append(f"{answer.status_code} {answer.text[:200]}")


def wait_healthy(stack: Stack, name: str) -> None:
    deadline = time.monotonic() + 120
    while True:
        state = stack.containers()[name]["State"]
        if state["Running"] and state["Health"]["Status"] == "healthy":
            return
        assert time.monotonic() < deadline, f"{name} did not come back: {state}"
        time.sleep(0.5)


@pytest.mark.parametrize("name", ["api", "feedback", "postgres", "web", "gateway"])
def test_a_container_that_is_killed_comes_back_and_nobody_gets_worse_than_a_sentence(
    stack: Stack, name: str, cat_jpeg: bytes
) -> None:
    before = stack.ids()
    senders = [Sender(stack, cat_jpeg) for _ in range(3)]
    for sender in senders:
        sender.start()
    time.sleep(1.5)
    killed = stack.containers()[name]
    if os.geteuid() == 0 and not PUBLISHED:
        # As a crash: the engine starts it again by itself.
        os.kill(killed["State"]["Pid"], signal.SIGKILL)
    else:
        stack.compose("kill", name)
        stack.compose("start", name)
    deadline = time.monotonic() + 60
    while stack.containers()[name]["State"]["StartedAt"] == killed["State"]["StartedAt"]:
        assert time.monotonic() < deadline, f"{name} was not started again"
        time.sleep(0.2)
    wait_healthy(stack, name)
    time.sleep(1.5)
    statuses: Counter[str] = Counter()
    for sender in senders:
        sender.stop.set()
        sender.join(timeout=90)
        statuses += sender.statuses
    print(f"{name} killed: {dict(statuses)}")
    assert [wrong for sender in senders for wrong in sender.wrong] == []
    assert statuses["/predict 200"] > 0
    assert statuses["/feedback 201"] > 0
    if name != "gateway":
        assert not [status for status in statuses if not status.startswith("/")], (
            "the door was open all the time"
        )
    stored = {found for sender in senders for found in sender.stored}
    assert before | stored <= stack.ids(), "what was answered with 201 is there"


def test_feedback_is_there_after_all_was_taken_down_and_up_again(stack: Stack) -> None:
    before = stack.ids()
    assert before
    stack.timed("down", "down", "--timeout", "30")
    assert stack.compose("ps", "--all", "--quiet").split() == []
    stack.timed("up again", "up", "--wait", "--wait-timeout", "180")
    assert before <= stack.ids()


def test_without_a_profile_only_the_page_and_the_classifier_are_started(stack: Stack) -> None:
    listed = stack.engine.run("compose", "config", "--services", cwd=stack.folder).split()
    assert sorted(listed) == ["api", "web"]
