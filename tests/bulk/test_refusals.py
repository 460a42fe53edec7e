"""What ends a job, and that it says what to do."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bulk.__main__ import main
from tests.bulk.conftest import Run
from tests.conftest import ROOT, clean_environment, missing

Score = Callable[..., Run]


@pytest.mark.parametrize("notes", [[], ["a.xmp", ".hidden.jpg", "b.json"]])
def test_a_folder_without_photos_is_refused_and_leaves_nothing(
    score: Score, tmp_path: Path, notes: list[str]
) -> None:
    (tmp_path / "empty").mkdir()
    for name in notes:
        (tmp_path / "empty" / name).write_text("x")
    run = score(tmp_path / "empty")
    assert run.status == 2
    assert "no photo in there" in run.errors
    assert not run.out.exists()


def test_what_is_not_there_is_refused(score: Score, tmp_path: Path) -> None:
    run = score(tmp_path / "none")
    assert run.status == 2
    assert "none is not there" in run.errors


def test_a_file_that_is_no_list_is_refused(score: Score, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"\0" * 100)
    run = score(tmp_path / "data.bin")
    assert run.status == 2
    assert "neither a folder nor a list" in run.errors


def test_answers_are_not_written_among_the_photos(score: Score, photos: Path) -> None:
    run = score(photos, out="photos/answers")
    assert run.status == 2
    assert "lies in" in run.errors


@pytest.mark.process
def test_a_folder_that_disappears_ends_the_job_instead_of_counting_as_missing(
    score: Score, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bulk import job, output

    monkeypatch.setattr(job, "_PART_S", 0.0)
    away = tmp_path / "away"
    write = output.Output.write

    def unplugged(self: output.Output, *arguments: object) -> None:
        write(self, *arguments)  # type: ignore[arg-type]
        if photos.exists():
            photos.rename(away)

    with monkeypatch.context() as patch:
        patch.setattr(output.Output, "write", unplugged)
        run = score(photos, "--batch", "4")
    assert run.status == 2
    assert "no longer there" in run.errors
    assert all(row["error_kind"] != "missing" for row in run.rows)
    away.rename(photos)
    run = score(photos, "--batch", "4")
    assert len(run.rows) == 43
    assert "missing" not in run.summary["errors"]


@pytest.mark.process
def test_a_full_disk_ends_the_job_with_what_to_do(photos: Path, tmp_path: Path) -> None:
    if not shutil.which("unshare"):
        missing("unshare is not installed")
    small, out = tmp_path / "small", tmp_path / "small" / "out"
    small.mkdir()
    score = [sys.executable, "-m", "bulk", "score", str(photos), "--engine", "local", "--out", str(out)]
    # A file system of its own with little room, which goes away with the process.
    script = (
        f'mount -t tmpfs -o size=600k none "{small}" && dd if=/dev/zero of="{small}/filler" bs=1k count=480 '
        f'2>/dev/null; "$@"; code=$?; ls -A "{out}/parts"; exit $code'
    )
    result = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", *score],
        cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "unshare failed" in result.stderr or "mount:" in result.stderr:
        missing(f"no file system of its own can be made here: {result.stderr.strip()}")
    assert result.returncode == 2, result.stderr
    assert "cannot be written" in result.stderr
    assert "No space left on device" in result.stderr or "disk is full" in result.stderr
    assert "run the same command again" in result.stderr
    assert "Traceback" not in result.stderr
    assert ".unfinished" not in result.stdout


def test_a_read_only_folder_is_refused(photos: Path, tmp_path: Path, score: Score) -> None:
    (tmp_path / "out").write_text("a file")
    run = score(photos)
    assert run.status == 2
    assert "is a file" in run.errors


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["score", "--help"])
    text = capsys.readouterr().out
    for word in ("s3://", "shard-{000..099}.tar", "Run the same command again", "requirements-ray.txt"):
        assert word in text


def test_address_and_the_local_engine_contradict_each_other(score: Score, photos: Path) -> None:
    assert "Leave one of them out" in score(photos, "--address", "auto").errors
