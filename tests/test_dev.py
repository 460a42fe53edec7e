"""dev.py: Ctrl-C lets the program that it started end by itself."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import dev
from tests.conftest import ROOT, clean_environment


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to a process group")
def test_ctrl_c_waits_for_the_program_to_finish_what_it_does(tmp_path: Path) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import signal, sys, time\n"
        "def end(*_):\n    time.sleep(1); print('ended well', flush=True); sys.exit(0)\n"
        "signal.signal(signal.SIGINT, end)\nprint('ready', flush=True)\ntime.sleep(60)\n"
    )
    code = (
        "import sys, dev; dev.install = lambda steps: 0; dev.PYTHON = sys.executable; "
        f"dev.COMMANDS['slow'] = ([], [{str(slow)!r}]); sys.exit(dev.main(['slow']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)  # dev.py must have gone on to wait
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert output == "ended well\n"
    assert process.returncode == 0


def test_an_unknown_command_shows_the_available_ones() -> None:
    result = subprocess.run(
        [sys.executable, "dev.py", "deploy"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "python3 dev.py serve" in result.stdout


def test_training_names_its_photos_from_where_the_user_is(tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()  # a folder of that name must not be taken for the program
    (tmp_path / "photos" / "only").mkdir(parents=True)
    (tmp_path / "photos" / "only" / "1.jpg").touch()
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import dev; dev.install = lambda steps: 0; "
        "dev.PYTHON = sys.executable; sys.exit(dev.main(['train', 'photos']))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert "photos has only only" in result.stderr


def test_training_and_serving_install_no_pytorch() -> None:
    import dev

    for command in ("serve", "train"):
        steps, _ = dev.COMMANDS[command]
        names = [name for step in steps for name in step if name.endswith(".txt")]
        for name in names:
            assert "torch" not in (ROOT / name).read_text(encoding="utf-8").replace("PyTorch", ""), name


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13), (3, 14)])
def test_every_supported_python_is_accepted(
    version: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", (*version, 0, "final", 0))
    monkeypatch.setattr(dev, "install", lambda steps: 7)
    assert dev.main(["install"]) == 7


@pytest.mark.parametrize(
    ("version", "says"),
    [((3, 10), "3.11"), ((3, 15), "onnxruntime"), ((3, 16), "onnxruntime"), ((4, 0), "onnxruntime")],
)
def test_any_other_python_is_refused_with_the_reason(
    version: tuple[int, int], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (*version, 0, "final", 0))
    monkeypatch.setattr(dev, "install", lambda steps: pytest.fail("something was installed"))
    assert dev.main(["serve"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: Purrdict needs Python 3.11 to 3.14")
    assert says in message


def test_every_text_names_the_supported_pythons() -> None:
    first, last = dev.SUPPORTED
    assert f"Python {'.'.join(map(str, first))} to {'.'.join(map(str, last))}" in (
        ROOT / "README.md"
    ).read_text(encoding="utf-8")
