"""Run again after whatever ended it: what is missing is scored, nothing twice."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bulk import job as job_module
from bulk import output as output_module
from tests.bulk.conftest import Run, rows_of
from tests.conftest import ROOT, clean_environment

Score = Callable[..., Run]


def test_a_second_run_has_nothing_to_do(score: Score, photos: Path) -> None:
    first = score(photos)
    before = {path: path.stat().st_mtime_ns for path in (first.out / "parts").iterdir()}
    second = score(photos)
    assert second.status == 0
    assert "this run 0" in second.printed
    assert {path: path.stat().st_mtime_ns for path in (first.out / "parts").iterdir()} == before


def test_new_photos_are_scored_by_the_next_run(
    score: Score, photos: Path, small: Callable[[int], bytes]
) -> None:
    score(photos)
    (photos / "a" / "000-new.jpg").write_bytes(small(77))
    run = score(photos)
    assert "this run 1" in run.printed
    assert len(run.rows) == 44
    assert len({row["path"] for row in run.rows}) == 44


def test_errors_that_may_be_gone_are_scored_again_when_asked(
    score: Score, photos: Path, tmp_path: Path, small: Callable[[int], bytes]
) -> None:
    names = [
        str(photos / "a" / "001.jpg"),
        str(photos / "late.jpg"),
        str(photos / "never.jpg"),
        str(photos / "empty.png"),
    ]
    (tmp_path / "list").write_text("\n".join(names))
    score(tmp_path / "list")
    (photos / "late.jpg").write_bytes(small(5))
    assert "this run 0" in score(tmp_path / "list").printed
    run = score(tmp_path / "list", "--retry-errors")
    assert "this run 2" in run.printed
    kinds = {Path(row["path"]).name: row["error_kind"] for row in run.rows}
    assert kinds == {"001.jpg": None, "late.jpg": None, "never.jpg": "missing", "empty.png": "empty"}


@pytest.mark.process
def test_a_run_that_is_killed_and_one_after_it_give_the_rows_of_an_undisturbed_one(
    score: Score, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = score(photos, out="whole").rows
    process = slowly(photos, tmp_path / "out", workers=2)
    assert process.stdout
    for _ in range(3):
        assert process.stdout.readline() == "part\n"
    process.kill()
    process.wait()
    process.stdout.close()
    there = len(rows_of(tmp_path / "out"))
    assert 0 < there < len(undisturbed)
    run = score(photos, "--batch", "4")
    assert f"this run {len(undisturbed) - there}," in run.printed
    assert without_items(run.rows) == without_items(undisturbed)


# The command itself, with a word and a wait after each part, so that a test can kill it in between.
_SLOW = """
import sys, time
from bulk import job, output
from bulk.__main__ import main
job._PART_S = 0.0
write = output.Output.write
def slow(*arguments):
    write(*arguments)
    print("part", flush=True)
    time.sleep(0.2)
output.Output.write = slow
sys.exit(main(sys.argv[1:]))
"""


def slowly(photos: Path, out: Path, workers: int, stderr: int | None = None) -> subprocess.Popen[str]:
    job = [
        "score",
        str(photos),
        "--out",
        str(out),
        "--batch",
        "4",
        "--engine",
        "local",
        "--workers",
        str(workers),
    ]
    return subprocess.Popen(
        [sys.executable, "-c", _SLOW, *job], cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, text=True,
        stderr=stderr,
    )  # fmt: skip


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_what_is_scored_and_says_how_to_go_on(
    score: Score, photos: Path, tmp_path: Path, number: signal.Signals
) -> None:
    process = slowly(photos, tmp_path / "out", workers=1, stderr=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == "part\n"
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "run the same command again" in errors
    assert "Traceback" not in errors
    there = len(rows_of(tmp_path / "out"))
    assert 0 < there < 43
    run = score(photos, "--batch", "4")
    assert len(run.rows) == len({row["path"] for row in run.rows}) == 43
    assert f"this run {43 - there}," in run.printed


@pytest.mark.process
def test_an_interrupt_in_the_middle_of_a_write_waits_for_its_end(
    score: Score, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "_PART_S", 0.0)
    write = output_module.Output.write

    def interrupted(self: output_module.Output, *arguments: object) -> None:
        signal.raise_signal(signal.SIGINT)
        write(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(output_module.Output, "write", interrupted)
        first = score(photos, "--batch", "8")
    assert first.status == 130
    assert len(first.rows) >= 8
    run = score(photos, "--batch", "8")
    assert len(run.rows) == len({row["path"] for row in run.rows}) == 43


def test_another_model_version_is_refused(
    score: Score, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score(photos)
    monkeypatch.setenv("MODEL_VERSION", "0.2.0")
    run = score(photos)
    assert run.status == 2
    latest = (ROOT / "model" / "latest").read_text().strip()
    assert f"model version is {latest}, not 0.2.0" in run.errors


@pytest.mark.parametrize("package", ["pillow", "onnxruntime"])
def test_other_decoders_are_refused(score: Score, photos: Path, package: str) -> None:
    path = score(photos).out / "job.json"
    job = json.loads(path.read_text())
    job["packages"][package] = "1.0"
    path.write_text(json.dumps(job))
    assert "its packages is" in score(photos).errors


def test_the_folder_of_another_job_is_refused(score: Score, photos: Path) -> None:
    score(photos)
    run = score(photos / "a")
    assert run.status == 2
    assert "holds another job" in run.errors
    assert len(run.rows) == 43


def test_a_folder_with_other_things_is_refused(score: Score, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("precious")
    run = score(photos)
    assert run.status == 2
    assert "holds other things" in run.errors
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


def test_two_jobs_do_not_write_into_one_folder(score: Score, photos: Path, tmp_path: Path) -> None:
    out = score(photos).out
    # Another process: a lock does not keep its own process out on every system.
    code = (
        f"import filelock, sys; lock = filelock.FileLock({str(out / '.lock')!r}); lock.acquire()\n"
        "print('got', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == "got\n"
        run = score(photos)
        other.communicate("")
    assert run.status == 2
    assert "Another job writes" in run.errors
    assert score(photos).status == 0


def without_items(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """The rows without the numbers, which depend on the order of listing."""
    return [{name: value for name, value in row.items() if name != "item"} for row in rows]
