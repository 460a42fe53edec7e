"""A Docker Engine of the tests' own, and stand-ins for images where none can be pulled.

The engine keeps its data in a folder of the test's, makes no bridge and touches no firewall rule, so that it disturbs
no other on the machine. The stand-ins are a small Debian with the machine's Python: for `python:3.12-slim-bookworm`,
and for Ollama's image with llama.cpp's server and a program `ollama` that knows serve, list, show and pull.
"""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT, missing, require_program

HERE = Path(__file__).parent
PYTHON_IMAGE = "python:standin"
# What a Python that was built on Debian links to.
_PACKAGES = (
    "ca-certificates,libssl3,libffi8,libsqlite3-0,zlib1g,libbz2-1.0,liblzma5,libreadline8,libncursesw6,libexpat1,"
    "libuuid1,libgomp1"
)

OLLAMA = r"""#!/bin/bash
# Stands in for Ollama: `serve` is llama.cpp's server with SmolLM2, and there is no other model.
set -euo pipefail
answers() {
  address=${OLLAMA_HOST:-http://127.0.0.1:11434}
  address=${address#http://}
  exec 3<>"/dev/tcp/${address%:*}/${address##*:}"
  printf 'GET /v1/models HTTP/1.0\r\n\r\n' >&3
  read -r status <&3
  [[ $status == *" 200 "* ]]
}
case $1 in
  serve)
    # The folder of models is a volume, the only place where it may write.
    mkdir -p /root/.ollama/models
    exec python3.12 /opt/engine/engine.py --host 0.0.0.0 --port 11434
    ;;
  list) answers ;;
  show) echo "Error: model '$2' not found" >&2; exit 1 ;;
  pull) answers; sleep 1; echo "pulling $2: success" ;;
esac
"""


class Docker:
    """A running engine; `run` calls its client."""

    def __init__(self, address: str) -> None:
        self.environment = {
            **os.environ,
            "DOCKER_HOST": address,
            "DOCKER_BUILDKIT": "1",
            "COMPOSE_PROJECT_NAME": "writer-test",
        }

    def run(self, *command: str | Path, timeout: float = 600, check: bool = True) -> str:
        """Output of docker or docker-compose with these arguments."""
        result = subprocess.run(
            [str(part) for part in command],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not check or result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
        return result.stdout + result.stderr


def docker_program() -> str:
    """The client that came with the engine: a newer one may come first on PATH, without its plugins."""
    return "/usr/bin/docker" if Path("/usr/bin/docker").exists() else require_program("docker")


def _storage() -> str:
    """vfs works everywhere and copies every layer whole."""
    return "overlay2" if "overlay" in Path("/proc/filesystems").read_text() else "vfs"


@contextlib.contextmanager
def running_docker(folder: Path) -> Iterator[Docker]:
    """Starts an engine with its data in `folder`, and ends it with everything that it runs."""
    if os.geteuid() != 0:
        missing("a Docker Engine of one's own needs root")
    address = f"unix://{folder}/sock"
    command = [
        require_program("dockerd"),
        "--storage-driver",
        _storage(),
        "--bridge",
        "none",
        "--iptables=false",
        "--ip6tables=false",
    ]
    command += [
        "--data-root",
        f"{folder}/data",
        "--exec-root",
        f"{folder}/exec",
        "--pidfile",
        f"{folder}/pid",
        "--host",
        address,
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    docker = Docker(address)
    try:
        deadline = time.monotonic() + 60
        while "Server Version" not in docker.run(docker_program(), "info", check=False):
            assert process.poll() is None, (folder / "log").read_text()[-3000:]
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield docker
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=60)


def debian(root: Path) -> None:
    """Lays a small Debian into `root`; the first time it comes from the mirror that the machine's apt uses."""
    kept = ROOT / "build/standins/bookworm.tar"
    if not kept.exists():
        found = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(SITE)"], capture_output=True, text=True, check=False
        ).stdout.split()
        mirror = found[0] if found else "http://deb.debian.org/debian"
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            fresh = Path(folder, "root")
            command = [
                require_program("debootstrap"),
                "--variant=minbase",
                f"--include={_PACKAGES}",
                "bookworm",
            ]
            result = subprocess.run(
                [*command, str(fresh), mirror], capture_output=True, text=True, timeout=1200, check=False
            )
            assert result.returncode == 0, result.stdout[-3000:]
            shutil.rmtree(fresh / "var/cache/apt")
            subprocess.run(["tar", "-C", fresh, "-cf", f"{folder}/tar", "."], check=True)
            Path(folder, "tar").rename(kept)
    root.mkdir()
    subprocess.run(["tar", "-C", root, "-xpf", kept], check=True)


def make_root(folder: Path, python: str) -> Path:
    """A Debian with this Python in /usr/local and the machine's way to the package index."""
    root = folder / "root"
    debian(root)
    where = [python, "-c", "import sys; print(sys.base_prefix)"]
    base = Path(subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip())
    skip = shutil.ignore_patterns("test", "__pycache__", "*.a", "site-packages", "idlelib", "tkinter")
    for name in ("bin", "lib"):
        shutil.copytree(
            base / name, root / "usr/local" / name, symlinks=True, dirs_exist_ok=True, ignore=skip
        )
    (root / "usr/local/lib/python3.12/site-packages").mkdir(exist_ok=True)
    (root / "usr/local/bin/python").unlink(missing_ok=True)
    (root / "usr/local/bin/python").symlink_to("python3.12")
    for path in ("etc/pip.conf", "etc/ssl/certs/ca-certificates.crt", "etc/resolv.conf"):
        if Path("/", path).exists():
            shutil.copy("/" + path, root / path)
    subprocess.run(["chroot", root, "ldconfig"], check=True)
    return root


def import_image(docker: Docker, root: Path, name: str, *changes: str) -> None:
    """Makes an image out of a folder."""
    with subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE) as tar:
        command = [
            docker_program(),
            "import",
            *(part for change in changes for part in ("--change", change)),
            "-",
            name,
        ]
        subprocess.run(
            command, stdin=tar.stdout, env=docker.environment, check=True, capture_output=True, timeout=600
        )


def make_images(docker: Docker, folder: Path, ollama_image: str, python: str) -> None:
    """The stand-ins, and the writer's own image out of its Dockerfile."""
    root = make_root(folder, python)
    path = "ENV PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    import_image(docker, root, PYTHON_IMAGE, path)
    build(docker, folder, python)
    engine = root / "opt/engine"
    command = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(engine),
        "-r",
        str(HERE / "requirements.txt"),
    ]
    subprocess.run(command, check=True, timeout=600)
    shutil.copy(HERE / "engine.py", engine)
    (root / "usr/bin/ollama").write_text(OLLAMA)
    (root / "usr/bin/ollama").chmod(0o755)
    import_image(
        docker,
        root,
        ollama_image,
        path,
        "ENV PYTHONPATH=/opt/engine",
        'ENTRYPOINT ["/usr/bin/ollama"]',
        'CMD ["serve"]',
    )


def build(docker: Docker, folder: Path, python: str) -> None:
    """Builds services/writer/Dockerfile on the stand-in; only what an old engine cannot know is changed in it."""
    context = folder / "context"
    shutil.copytree(ROOT / "services/writer", context, ignore=shutil.ignore_patterns("__pycache__"))
    text = (context / "Dockerfile").read_text()
    text = re.sub(r"^# syntax=.*\n", "", text)
    text = re.sub(r"^FROM \S+", f"FROM {PYTHON_IMAGE}", text, flags=re.MULTILINE)
    text = text.replace("--start-interval=1s ", "")
    (context / "Dockerfile").write_text(text)
    docker.run(
        docker_program(), "build", "--network", "host", "--tag", "purrdict-writer", context, timeout=900
    )
