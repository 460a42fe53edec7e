"""`python -m bulk score`: one row a photo, whatever the photo is and wherever it lies."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.bulk.conftest import Run, noise, tar_of
from tests.conftest import encode

Score = Callable[..., Run]


def test_every_photo_of_a_folder_has_exactly_one_row(score: Score, photos: Path) -> None:
    run = score(photos)
    assert run.status == 0
    paths = [row["path"] for row in run.rows]
    expected = sorted(str(path) for path in photos.rglob("*") if path.is_file() and path.suffix != ".xmp")
    assert paths == expected
    assert len(expected) == 43


def test_a_row_says_what_the_service_says_and_more(score: Score, photos: Path, cat_jpeg: bytes) -> None:
    (photos / "chelsea.jpg").write_bytes(cat_jpeg)
    [row] = [row for row in score(photos).rows if row["path"].endswith("chelsea.jpg")]
    assert row["label"] == "cat"
    assert row["recognized"] is True
    assert row["confidence"] == row["probability_cat"] > 0.9
    assert row["probability_cat"] + row["probability_dog"] == pytest.approx(1)
    assert (row["width"], row["height"], row["error"], row["error_kind"]) == (451, 300, None, None)
    assert row["model_version"] == Path("model/latest").read_text().strip()


def test_a_photo_without_an_answer_says_why(score: Score, photos: Path) -> None:
    (photos / "huge.png").write_bytes(encode(Image.new("1", (6000, 6000)), "PNG"))
    os.symlink(photos / "nowhere", photos / "link.jpg")
    rows = {Path(row["path"]).name: row for row in score(photos).rows}
    kinds = {name: rows[name]["error_kind"] for name in rows if rows[name]["error"]}
    assert kinds == {
        "broken.jpg": "damaged",
        "empty.png": "empty",
        "words.doc": "no image",
        "huge.png": "too large",
        "link.jpg": "missing",
    }
    assert "empty" in rows["empty.png"]["error"]
    assert rows["broken.jpg"]["label"] is None
    assert rows["broken.jpg"]["probability_cat"] is None


def test_a_photo_in_a_list_twice_has_one_row(score: Score, photos: Path, tmp_path: Path) -> None:
    lines = [str(path) for path in sorted(photos.rglob("*.jpg"))]
    (tmp_path / "list").write_text("\ufeff" + "\r\n".join([*lines, "", *lines]), encoding="utf-8")
    run = score(tmp_path / "list")
    assert [row["path"] for row in run.rows] == lines


def test_what_a_list_names_and_is_not_there_has_a_row_each(
    score: Score, photos: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    names = [
        *(str(photos / f"none-{n}.jpg") for n in range(700)),
        str(photos),
        str(tmp_path / "pipe"),
        "/dev/zero",
    ]
    (tmp_path / "list.txt").write_text("\n".join(names))
    run = score(tmp_path / "list.txt")
    assert run.summary["errors"] == {"missing": 700, "unreadable": 3}
    assert run.summary["photos"] == 703


def test_names_that_are_no_utf8_have_rows(score: Score, photos: Path, small: Callable[[int], bytes]) -> None:
    name = os.fsencode(photos) + b"/caf\xe9.jpg"
    with open(name, "wb") as file:
        file.write(small(3))
    [row] = [row for row in score(photos).rows if "caf" in row["path"]]
    assert row["path"].endswith("caf\\xe9.jpg")
    assert row["label"] == "cat"


@pytest.mark.parametrize("compression", ["", "gz"])
def test_a_tar_shard_gives_a_row_for_each_photo_in_it(
    score: Score, tmp_path: Path, small: Callable[[int], bytes], compression: str
) -> None:
    files = {
        f"{n:04d}.{kind}": small(n) if kind == "jpg" else b"1" for n in range(20) for kind in ("jpg", "cls")
    }
    for shard in ("000", "001"):
        (tmp_path / f"s-{shard}.tar{compression and '.gz'}").write_bytes(tar_of(files, compression))
    run = score(str(tmp_path / f"s-{{000..001}}.tar{compression and '.gz'}"))
    assert len(run.rows) == 40
    assert all(row["label"] for row in run.rows)
    assert run.rows[0]["path"] == f"{tmp_path}/s-000.tar{compression and '.gz'}/0000.jpg"


def test_a_shard_that_is_cut_off_gives_its_photos_and_says_so(
    score: Score, tmp_path: Path, small: Callable[[int], bytes]
) -> None:
    data = tar_of({f"{n}.jpg": small(n) for n in range(9)})
    (tmp_path / "whole.tar").write_bytes(data)
    (tmp_path / "cut.tar").write_bytes(data[: data.index(small(5)) + 100])
    (tmp_path / "none.tar").write_bytes(b"")
    (tmp_path / "noise.tar").write_bytes(os.urandom(5000))
    run = score(*(tmp_path / f"{name}.tar" for name in ("whole", "cut", "none", "noise")))
    cut = [row for row in run.rows if "/cut.tar" in row["path"]]
    assert [row["path"].rpartition("/")[2] for row in cut] == [
        "cut.tar",
        "0.jpg",
        "1.jpg",
        "2.jpg",
        "3.jpg",
        "4.jpg",
    ]
    assert cut[0]["error_kind"] == "cut off"
    assert "5 first files" in cut[0]["error"] or "6 first files" in cut[0]["error"]
    assert len([row for row in run.rows if "/whole.tar" in row["path"]]) == 9
    assert {row["path"].rpartition("/")[2] for row in run.rows if row["error_kind"] == "unreadable"} >= {
        "noise.tar"
    }


def test_parquet_gives_a_row_for_each_of_its_rows(
    score: Score, tmp_path: Path, small: Callable[[int], bytes]
) -> None:
    values = [small(n) for n in range(30)]
    values[7] = None  # type: ignore[call-overload]
    values[8] = b""
    struct = pyarrow.array([{"bytes": value, "path": "x"} for value in values])
    pq.write_table(
        pyarrow.table({"image": struct, "name": ["n"] * 30}), tmp_path / "a.parquet", row_group_size=8
    )
    pq.write_table(pyarrow.table({"photo": values, "md5": [b"1"] * 30}), tmp_path / "b.parquet")
    run = score(tmp_path / "a.parquet", tmp_path / "b.parquet")
    assert len(run.rows) == 60
    for name in "ab":
        rows = {row["path"].rpartition("#")[2]: row for row in run.rows if f"/{name}.parquet" in row["path"]}
        assert set(rows) == {str(number) for number in range(30)}
        assert rows["7"]["error_kind"] == "missing"
        assert rows["8"]["error_kind"] == "empty"
        assert rows["9"]["label"] == "cat"


def test_damaged_parquet_has_a_row_for_each_photo_that_its_footer_promises(
    score: Score, tmp_path: Path, small: Callable[[int], bytes]
) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pyarrow.table({"photo": [small(n) for n in range(20)]}), path, compression="none")
    data = bytearray(path.read_bytes())
    data[4:60] = os.urandom(56)
    path.write_bytes(data)
    (tmp_path / "b.parquet").write_bytes(b"PAR1 nothing")
    run = score(path, tmp_path / "b.parquet")
    assert len([row for row in run.rows if "/a.parquet#" in row["path"]]) == 20
    assert [row["error_kind"] for row in run.rows if "/b.parquet" in row["path"]] == ["unreadable"]


def test_explain_adds_heatmaps(score: Score, tmp_path: Path, cat_jpeg: bytes) -> None:
    (tmp_path / "cat.jpg").write_bytes(cat_jpeg)
    [row] = score(tmp_path / "cat.jpg", "--explain").rows
    assert len(row["heatmap"]) > 3
    assert max(map(max, row["heatmap"])) == pytest.approx(1)


def test_the_summary_counts_and_the_contact_sheet_shows_the_least_sure(score: Score, photos: Path) -> None:
    (photos / "<b>noise&.jpg").write_bytes(noise(1))
    run = score(photos)
    counted = sum(run.summary["labels"].values()) + run.summary["unrecognized"]
    assert counted + sum(run.summary["errors"].values()) == run.summary["photos"] == 44
    assert "error: damaged" in run.printed
    page = (run.out / "least-sure.html").read_text()
    sure = sorted(row["confidence"] for row in run.rows if row["recognized"])
    assert f"{sure[0]:.1%}" in page
    assert page.count("<img") == min(48, len(sure))
    assert "<b>noise" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_job_says_what_its_answers_depend_on(score: Score, photos: Path) -> None:
    job = json.loads((score(photos).out / "job.json").read_text())
    assert job["inputs"] == [str(photos)]
    assert len(job["model_sha256"]) == 64
    assert set(job["packages"]) >= {"pillow", "onnxruntime", "numpy"}
