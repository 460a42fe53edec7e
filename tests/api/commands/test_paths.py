"""Which files are meant by what was typed."""

from pathlib import Path

import pytest

from api._commands.paths import find, is_searched, photos_among


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def made(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"")


def found(*arguments: str) -> list[str]:
    return [path.as_posix() for path in find(arguments).files]


def test_files_come_in_the_order_of_what_was_typed_and_of_their_names_within_it() -> None:
    made("b/2.jpg", "b/10.jpg", "b/a/1.jpg", "a.jpg", "z.jpg")
    assert found("z.jpg", "b", "a.jpg") == ["z.jpg", "b/10.jpg", "b/2.jpg", "b/a/1.jpg", "a.jpg"]
    assert found("?.jpg") == ["a.jpg", "z.jpg"]


def test_what_is_not_there_is_among_them_so_that_it_is_answered() -> None:
    answer = find(["nowhere.jpg"])
    assert ([path.name for path in answer.files], answer.problems) == (["nowhere.jpg"], [])


def test_a_link_that_leads_nowhere_is_there_whatever_its_name_looks_like() -> None:
    Path("link[1].jpg").symlink_to("nowhere")
    assert found("link[1].jpg") == ["link[1].jpg"]


def test_a_wildcard_that_matches_a_folder_means_what_is_in_it() -> None:
    made("cats/1.jpg", "cats/in/2.jpg", "cats/1.xmp", "cars.jpg")
    answer = find(["ca*"])
    assert [path.as_posix() for path in answer.files] == ["cars.jpg", "cats/1.jpg", "cats/in/2.jpg"]
    assert (answer.left_out, answer.problems) == (1, [])


def test_with_two_stars_each_file_is_meant_once() -> None:
    made("cats/1.jpg", "cats/in/2.jpg")
    assert found("**/*") == found("**") == ["cats/1.jpg", "cats/in/2.jpg"]


def test_a_wildcard_without_a_match_is_said_and_the_rest_is_found() -> None:
    made("a.jpg")
    answer = find(["*.gif", "a.jpg"])
    assert ([path.name for path in answer.files], answer.problems) == (["a.jpg"], ["no file matches *.gif"])


@pytest.mark.parametrize(
    "name", ["@eaDir", "__MACOSX", "$RECYCLE.BIN", "LOST.DIR", "lost.dir", ".thumbnails", ".git"]
)
def test_folders_of_previews_and_rubbish_are_not_searched(name: str) -> None:
    made(f"photos/{name}/1.jpg", "photos/2.jpg", f"photos/deep/{name}/3.jpg")
    assert found("photos") == ["photos/2.jpg"]
    assert not is_searched(name)


def test_other_folders_are_searched_and_hidden_files_are_no_photos() -> None:
    made("photos/eaDir/1.jpg", "photos/.hidden.jpg")
    answer = find(["photos"])
    assert [path.as_posix() for path in answer.files] == ["photos/eaDir/1.jpg"]
    assert answer.left_out == 0, "a hidden file is not even counted"


@pytest.mark.parametrize("suffix", [".aae", ".xmp", ".json", ".thm", ".pp3", ".dop", ".db", ".ini", ".AAE"])
def test_notes_beside_photos_are_left_out_whatever_they_are_called(suffix: str) -> None:
    made(f"photos/another{suffix}", "photos/1.jpg")
    answer = find(["photos"])
    assert ([path.name for path in answer.files], answer.left_out) == (["1.jpg"], 1)


@pytest.mark.parametrize("suffix", [".mov", ".mp4", ".MOV"])
def test_a_video_is_left_out_where_it_is_the_moving_part_of_a_photo_beside_it(suffix: str) -> None:
    made(f"photos/IMG_1{suffix}", "photos/img_1.HEIC", f"photos/IMG_2{suffix}", "photos/IMG_2.xmp")
    made(f"elsewhere/IMG_1{suffix}")
    answer = find(["photos"])
    assert [path.name for path in answer.files] == [f"IMG_2{suffix}", "img_1.HEIC"]
    assert answer.left_out == 2
    assert found("elsewhere") == [f"elsewhere/IMG_1{suffix}"], "alone it is a file that is answered"


def test_two_videos_of_one_name_are_no_photo_with_a_moving_part() -> None:
    assert photos_among(["a.mov", "a.mp4"]) == ["a.mov", "a.mp4"]


def test_a_pipe_in_a_folder_is_no_file() -> None:
    import os

    made("photos/1.jpg")
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes here")
    os.mkfifo("photos/pipe.jpg")
    assert found("photos") == found("photos/*") == ["photos/1.jpg"]
