"""The reduced runtime is enough for what is published; a model that needs more gets the whole one, and an answer."""

import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy import site as publishing
from tests.conftest import ROOT, require, require_program
from tests.web.actions import ANSWERED, NETWORK_ERRORS, choose_cat, facts, probabilities, ready
from tests.web.conftest import Visit
from tests.web.world import World

pytestmark = pytest.mark.browser

VERSIONS = sorted(path.parent.name for path in (ROOT / "model" / "versions").glob("*/model.onnx"))
REDUCED = "ort-wasm-simd-threaded.reduced.wasm"
WHOLE = "ort-wasm-simd-threaded.wasm"
# A model of none of whose functions anybody thought when the runtime was reduced.
TINY = ("otter", "newt")


def _runtimes(page: Any) -> list[str]:
    """The runtimes that are asked for from now on, by name, in order."""
    names: list[str] = []

    def note(request: Any) -> None:
        name = request.url.rsplit("/", 1)[-1].removesuffix(".gz")
        if name in (REDUCED, WHOLE):
            names.append(name)

    page.on("request", note)
    return names


def _cat_here(page: Any) -> None:
    """The cat, answered on this device."""
    choose_cat(page, wait="")
    page.wait_for_selector(ANSWERED, timeout=60_000)
    assert "this device" in facts(page)["Answered by"]


def _visit_here(visit: Visit, url: str, **options: Any) -> tuple[Any, list[str]]:
    page = visit("about:blank", **options)
    page.add_init_script("try { localStorage.setItem('purrdict.where', 'browser') } catch {}")
    names = _runtimes(page)
    page.goto(url)
    return page, names


@pytest.mark.parametrize("version", VERSIONS)
def test_every_published_version_runs_on_the_reduced_runtime(
    world: World, visit: Visit, version: str
) -> None:
    server = world.api(MODEL_VERSION=version)
    page = ready(visit(server.url))
    choose_cat(page)
    far = probabilities(page)
    page, names = _visit_here(visit, server.url)
    _cat_here(page)
    assert names == [REDUCED]
    assert f"model {version}" in facts(page)["Answered by"]
    assert probabilities(page) == pytest.approx(far, abs=0.02)


def test_a_model_of_own_classes_runs_on_the_reduced_runtime(
    world: World, visit: Visit, tmp_path: Path
) -> None:
    require("onnx")
    from deploy.runtime.models import BODY, own
    from tests.models import publish

    registry = publish(tmp_path / "registry", [f"kind {i}" for i in range(7)])
    target = next(registry.glob("versions/*"))
    weights = own(7)
    (target / "model.onnx").write_bytes(weights)
    description = json.loads((target / "metadata.json").read_text())
    size = json.loads((ROOT / "model/bodies" / BODY / "metadata.json").read_text())["input_size"]
    known = {"file": "model.onnx", "sha256": hashlib.sha256(weights).hexdigest(), "bytes": len(weights)}
    description |= {"input_size": size, "weights": known}
    (target / "metadata.json").write_text(json.dumps(description))
    page, names = _visit_here(visit, world.api(MODEL_DIR=str(registry)).url)
    _cat_here(page)
    assert names == [REDUCED]


def test_the_reduced_runtime_gives_the_same_as_the_whole_one_to_the_bit(tmp_path: Path) -> None:
    require("onnx")
    from deploy.runtime.models import models, write

    # All numbers of classes take a minute: after a change of the runtime, see deploy/runtime/README.md.
    write(tmp_path, models(classes=(8,)))
    check = ROOT / "deploy" / "runtime" / "check.mjs"
    done = subprocess.run(
        [require_program("node"), check, tmp_path, ROOT / "web" / "vendor" / "onnxruntime-web", "1"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("are the same") == len(VERSIONS) + 5


def test_a_model_that_needs_more_is_started_with_the_whole_runtime(world: World, visit: Visit) -> None:
    server = world.of(TINY)
    page = ready(visit(server.url))
    choose_cat(page)
    far = probabilities(page)
    page, names = _visit_here(visit, server.url)
    _cat_here(page)
    assert names == [REDUCED, WHOLE]
    assert probabilities(page) == pytest.approx(far, abs=0.02)


def test_the_need_of_the_whole_runtime_is_remembered_for_that_model(world: World, visit: Visit) -> None:
    page, names = _visit_here(visit, world.of(TINY).url)
    _cat_here(page)
    del names[:]
    page.reload()
    _cat_here(page)
    assert names == [WHOLE]
    # Another model is tried without it again: not at once, what is at hand will do.
    page.evaluate("localStorage.setItem('purrdict.runtime', 'of another model')")
    page.reload()
    _cat_here(page)
    assert page.evaluate("localStorage.getItem('purrdict.runtime')") is None


def test_a_runtime_that_stops_at_a_photo_is_replaced_and_the_photo_answered(
    world: World, visit: Visit
) -> None:
    page, names = _visit_here(visit, world.server.url)
    page.context.route("**/local/worker.js", _trapping)
    _cat_here(page)
    assert names == [REDUCED, WHOLE]
    assert page.inner_text("#verdict") == "Cat"


def test_a_batch_during_which_the_runtime_stops_is_answered_whole(world: World, visit: Visit) -> None:
    page, names = _visit_here(visit, world.server.url)
    page.context.route("**/local/worker.js", _trapping)
    page.wait_for_selector("#page")
    photo = (ROOT / "web" / "samples" / "chelsea.jpg").read_bytes()
    files = [{"name": f"{i}.jpg", "mimeType": "image/jpeg", "buffer": photo} for i in range(5)]
    page.locator("#files").set_input_files(files)
    page.wait_for_selector("#batch-json", timeout=60_000)
    assert page.locator('#batch-tiles .tile[data-state="answered"]').count() == 5
    assert names == [REDUCED, WHOLE]


def _trapping(route: Any) -> None:
    """The worker's script, in which the reduced runtime lacks what running a session takes."""
    response = route.fetch()
    lacking = """
const instantiate = WebAssembly.instantiate;
WebAssembly.instantiate = async (bytes, imports) => {
  const { instance, module } = await instantiate(bytes, imports);
  if (bytes.byteLength > 10_000_000) return { instance, module };
  const trap = new WebAssembly.Module(TRAP);
  const { stop } = new WebAssembly.Instance(trap).exports;
  const run = RUN;
  return { instance: { exports: { ...instance.exports, [run]: stop } }, module };
};
"""
    script = (ROOT / "web/vendor/onnxruntime-web/ort.wasm.bundle.min.js").read_text()
    (name,) = re.findall(r"_OrtRun=\w+\.(\w+)", script)
    # (module (func (export "stop") unreachable))
    trap = (
        "Uint8Array.of(0,97,115,109,1,0,0,0,1,4,1,96,0,0,3,2,1,0,7,8,1,4,115,116,111,112,0,0,10,5,1,3,0,0,11)"
    )
    lacking = lacking.replace("TRAP", trap).replace("RUN", json.dumps(name))
    route.fulfill(response=response, body=lacking + response.text())


def _published(world: World, tmp_path: Path, registry: Path) -> str:
    """A site of files with the model of a registry, as deploy/site.py makes it."""
    url = world.site(model=registry)
    folder = world.pages[max(world.pages)]
    publishing.pack(folder)
    publishing.configure(folder, weights=publishing.PACKED)
    return url


def test_a_site_of_files_sends_the_runtime_and_the_model_gzipped(
    world: World, visit: Visit, tmp_path: Path
) -> None:
    page = visit("about:blank", faults=NETWORK_ERRORS)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url.rsplit("/", 1)[-1]))
    page.goto(_published(world, tmp_path, ROOT / "model"))
    _cat_here(page)
    assert f"{REDUCED}.gz" in requests
    assert publishing.PACKED in requests
    assert not {"model.onnx", f"{WHOLE}.gz"} & set(requests)


ALLOWED: dict[str, Any] = {"service_workers": "allow", "faults": NETWORK_ERRORS + "|ERR_|did not arrive"}
KEPT = 'html[data-kept="all"]'


def _in_cache(page: Any) -> set[str]:
    names: list[str] = page.evaluate(
        """async () => (await Promise.all((await caches.keys()).map(async (name) =>
          (await (await caches.open(name)).keys()).map(({ url }) => url.split("/").at(-1))))).flat()"""
    )
    return set(names)


def test_a_site_of_files_keeps_what_it_needs_once_and_answers_offline(
    world: World, visit: Visit, tmp_path: Path
) -> None:
    page = visit(_published(world, tmp_path, ROOT / "model"), **ALLOWED)
    page.wait_for_selector(KEPT, timeout=90_000, state="attached")
    kept = _in_cache(page)
    assert {f"{REDUCED}.gz", publishing.PACKED} <= kept
    assert not {"model.onnx", f"{WHOLE}.gz"} & kept
    page.context.set_offline(True)
    page.reload()
    _cat_here(page)


def test_the_whole_runtime_is_kept_for_offline_use_where_the_model_needs_it(
    world: World, visit: Visit
) -> None:
    page, _ = _visit_here(visit, world.of(TINY).url, **ALLOWED)
    _cat_here(page)
    page.reload()
    page.wait_for_selector(KEPT, timeout=90_000, state="attached")
    assert f"{WHOLE}.gz" in _in_cache(page)
    page.context.set_offline(True)
    page.reload()
    _cat_here(page)
