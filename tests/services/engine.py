"""A real Docker Engine for the tests: the one that runs here, or one that the tests start for themselves.

Where images can be pulled (PURRDICT_IMAGES=published, as on GitHub) the published ones are used. Elsewhere the tests
start an engine of their own in build/engine, and make stand-ins for the base images from Debian's packages and from
this machine's Python and Node: what runs in containers then is real but for the base. `python -m tests.services.engine`
makes them beforehand, which takes minutes of waiting for packages.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks import _pythons
from tests.conftest import ROOT, missing

ENGINE = ROOT / "build" / "engine"
PUBLISHED = os.environ.get("PURRDICT_IMAGES") == "published"
MIRROR = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
BASE = "purrdict-stand-in:bookworm"
_DEBIAN = (
    "ca-certificates,libssl3,libffi8,libsqlite3-0,zlib1g,libbz2-1.0,liblzma5,libreadline8,libncursesw6,libexpat1,"
    "wget"
)
# What docker-entrypoint.sh of the published image does, as far as compose.yaml needs it.
_POSTGRES_ENTRYPOINT = """#!/bin/sh
set -eu
export PATH=/usr/lib/postgresql/15/bin:$PATH PGDATA=/var/lib/postgresql/15/docker
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  [ -n "$POSTGRES_PASSWORD" ] || { echo "Error: superuser password is not specified." >&2; exit 1; }
  mkdir -p "$PGDATA" && chmod 700 "$PGDATA"
  printf '%s' "$POSTGRES_PASSWORD" >/tmp/password
  initdb -D "$PGDATA" -U "$POSTGRES_USER" --pwfile=/tmp/password --auth-host=scram-sha-256 -E UTF8 >/dev/null
  rm /tmp/password
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  pg_ctl -D "$PGDATA" -o "-c listen_addresses=" -w start
  createdb -U "$POSTGRES_USER" "$POSTGRES_DB"
  pg_ctl -D "$PGDATA" -m fast -w stop
fi
exec "$@" -c listen_addresses='*'
"""
_PULLED_FROM = {
    "python:3.12-slim-bookworm": 'COPY python /usr/local\nRUN ldconfig && python --version\nCMD ["python3"]',
    "node:24-bookworm-slim": "COPY node /usr/local\nENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt",
    "nginxinc/nginx-unprivileged:1.29.4-alpine": (
        "RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends nginx-light >/dev/null\n"
        "COPY nginx.conf /etc/nginx/nginx.conf\nUSER 33\nCMD [\"nginx\", \"-g\", \"daemon off;\"]"
    ),
    "postgres:18-bookworm": (
        "RUN groupadd -g 999 postgres && useradd -u 999 -g 999 -d /var/lib/postgresql postgres && apt-get update -qq "
        "&& apt-get install -y -qq --no-install-recommends postgresql-15 >/dev/null && rm -rf /var/lib/postgresql/* "
        "&& chown postgres:postgres /var/lib/postgresql "
        # As in the published image: a tmpfs has the mode of the folder that it hides.
        "&& install -d -o postgres -g postgres -m 3777 /var/run/postgresql\n"
        "ENV PATH=/usr/lib/postgresql/15/bin:$PATH PGDATA=/var/lib/postgresql/15/docker\n"
        "COPY entrypoint.sh /entrypoint.sh\nENTRYPOINT [\"sh\", \"/entrypoint.sh\"]\nCMD [\"postgres\"]"
    ),
}  # fmt: skip
_NGINX = """pid /tmp/nginx.pid;
error_log stderr;
events {}
http {
  include /etc/nginx/mime.types;
  default_type application/octet-stream;
  access_log off;
  client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
  include /etc/nginx/conf.d/*.conf;
}
"""


@dataclass(frozen=True)
class Engine:
    """An engine that answers; `docker` is the client that goes with it."""

    docker: str
    environment: dict[str, str]

    def run(self, *arguments: str, cwd: Path = ROOT, check: bool = True, timeout: float = 900) -> str:
        """Runs the client; returns what it printed. Raises AssertionError with it when it fails."""
        result = subprocess.run(
            [self.docker, *arguments], cwd=cwd, env={**os.environ, **self.environment}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=timeout,
        )  # fmt: skip
        assert not check or result.returncode == 0, f"docker {' '.join(arguments)}:\n{result.stdout[-6000:]}"
        return result.stdout


@contextmanager
def engine() -> Iterator[Engine]:
    """The engine to use, with every base image that the Dockerfiles and compose.yaml name."""
    if PUBLISHED:
        docker = shutil.which("docker") or missing("docker is not installed")
        found = Engine(docker, {"DOCKER_BUILDKIT": "1"})
        found.run("compose", "version")
        yield found
        return
    with _own() as started:
        _make_stand_ins(started)
        yield started


def stand_in_files(folder: Path) -> None:
    """Lets Debian's older engine build on images that nobody pulled: no digests, no syntax, no newer options."""
    for path in [folder / "Dockerfile", *(folder / "services").glob("*/Dockerfile")]:
        text = path.read_text(encoding="utf-8")
        text = re.sub(r"^# syntax=.*\n", "", text)
        text = re.sub(r"@sha256:[0-9a-f]{64}", "", text).replace(" --start-interval=1s", "")
        path.write_text(text, encoding="utf-8")
    services = yaml.safe_load((folder / "compose.yaml").read_text(encoding="utf-8"))["services"]
    changes: dict[str, Any] = {}
    for name, service in services.items():
        # In place of --start-interval, which the older engine does not know: it would first look after 30 s.
        changes[name] = {"healthcheck": {"interval": "2s"}}
        if "build" in service:
            changes[name]["build"] = {"network": "host", "context": service["build"]}
    (folder / "compose.override.yaml").write_text(yaml.safe_dump({"services": changes}), encoding="utf-8")


@contextmanager
def _own() -> Iterator[Engine]:
    for program in ("dockerd", "debootstrap"):
        if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin"):
            missing(f"{program} is not installed: run .ci/engine, as root")
    if os.geteuid() != 0:
        missing(
            "a Docker Engine of the tests' own needs root; with one that can pull images, set PURRDICT_IMAGES=published"
        )
    plugins = ENGINE / "config" / "cli-plugins" / "docker-compose"
    if not plugins.exists():
        missing("docker compose is not installed: run .ci/engine")
    # Sockets have short names: a checkout may lie deep.
    runtime = Path(f"/tmp/purrdict-engine-{os.getpid()}")
    runtime.mkdir(mode=0o700)
    address = f"unix://{runtime}/sock"
    command = ["dockerd", "--data-root", str(ENGINE / "data"), "--exec-root", str(runtime / "exec"), "-p",
               str(runtime / "pid"), "-H", address]  # fmt: skip
    with (ENGINE / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        # Debian's client goes with Debian's engine; another may come first on PATH.
        client = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else str(shutil.which("docker"))
        started = Engine(
            client, {"DOCKER_HOST": address, "DOCKER_CONFIG": str(ENGINE / "config"), "DOCKER_BUILDKIT": "1"}
        )
        deadline = time.monotonic() + 90
        while "Server Version" not in started.run("info", check=False):
            log_end = (ENGINE / "log").read_text()[-3000:]
            assert process.poll() is None, log_end
            assert time.monotonic() < deadline, log_end
            time.sleep(0.3)
        yield started
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
        shutil.rmtree(runtime, ignore_errors=True)


def _make_stand_ins(engine: Engine) -> None:
    there = engine.run("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    if BASE not in there:
        _import_base(engine)
    for name, instructions in _PULLED_FROM.items():
        if name not in there:
            print(f"a stand-in for {name} ...", file=sys.stderr, flush=True)
            context = ENGINE / "context"
            shutil.rmtree(context, ignore_errors=True)
            context.mkdir(parents=True)
            _fill(context, name)
            (context / "Dockerfile").write_text(f"FROM {BASE}\n{instructions}\n")
            engine.run("build", "--network", "host", "--tag", name, str(context))
            shutil.rmtree(context)


def _import_base(engine: Engine) -> None:
    print("a stand-in for Debian's base image ...", file=sys.stderr, flush=True)
    root = ENGINE / "root"
    if os.path.ismount(root / "proc"):
        # Left by a debootstrap that was interrupted: what lies there is the machine's own.
        subprocess.run(["umount", str(root / "proc")], check=True)
    shutil.rmtree(root, ignore_errors=True)
    for command in (
        ["debootstrap", "--variant=minbase", f"--include={_DEBIAN}", "bookworm", str(root), MIRROR],
        ["cp", "/etc/ssl/certs/ca-certificates.crt", str(root / "etc/ssl/certs/ca-certificates.crt")],
    ):
        result = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        assert result.returncode == 0, result.stdout[-2000:]
    # Nobody minds a stand-in that a power cut broke.
    (root / "etc/dpkg/dpkg.cfg.d/fast").write_text("force-unsafe-io\n")
    (root / "etc/pip.conf").write_text("[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n")
    subprocess.run(["tar", "-C", str(root), "-cf", str(ENGINE / "base.tar"), "."], check=True)
    engine.run("import", str(ENGINE / "base.tar"), BASE)
    (ENGINE / "base.tar").unlink()
    shutil.rmtree(root)


def _fill(context: Path, name: str) -> None:
    if name.startswith("python"):
        found = _pythons.find() or missing("no Python 3.12 on this machine")
        prefix = Path(
            subprocess.check_output([found, "-c", "import sys; print(sys.base_prefix)"], text=True).strip()
        )
        left_out = shutil.ignore_patterns(
            "__pycache__", "test", "tests", "idlelib", "*.a", "share", "site-packages"
        )
        shutil.copytree(prefix, context / "python", symlinks=True, ignore=left_out)
        packages = next((prefix / "lib").glob("python3.*")) / "site-packages"
        target = context / "python" / packages.relative_to(prefix)
        for package in ("pip", *(path.name for path in packages.glob("pip-*"))):
            shutil.copytree(packages / package, target / package)
    elif name.startswith("node"):
        node = Path(shutil.which("node") or missing("Node is not installed")).resolve()
        npm = Path(shutil.which("npm") or missing("npm is not installed")).resolve().parent.parent
        (context / "node" / "bin").mkdir(parents=True)
        shutil.copy2(node, context / "node" / "bin" / "node")
        shutil.copytree(npm, context / "node" / "lib" / "node_modules" / "npm", symlinks=True)
        (context / "node" / "bin" / "npm").symlink_to("../lib/node_modules/npm/bin/npm-cli.js")
    elif name.startswith("nginx"):
        (context / "nginx.conf").write_text(_NGINX)
    else:
        (context / "entrypoint.sh").write_text(_POSTGRES_ENTRYPOINT)


if __name__ == "__main__":
    with engine():
        pass
