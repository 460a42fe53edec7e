"""Lists the licences of everything that is deployed: python docs/licenses.py writes docs/LICENSES.md.

It lists the packages of requirements.txt, requirements-serve.txt and requirements-operate.txt, and the third-party
files in this repository.
Versions and licences are read from what is installed, so run it in the environment of the tests (.venv).
"""

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.markers import Marker

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "LICENSES.md"
REQUIREMENTS = ("requirements.txt", "requirements-serve.txt", "requirements-operate.txt")

# Third-party files in this repository, by folder: name, licence, and the file with its text.
WEB = {
    "api/_docs": ("Swagger UI, SmartBear, and ReDoc, Redocly", "Apache-2.0, MIT", "LICENSES"),
    "web/samples": (
        "photos of scikit-image's `data` and of GCompris",
        "CC0-1.0, public domain",
        "LICENSE.md",
    ),
    "web/vendor/onnxruntime-web": ("ONNX Runtime Web, Microsoft", "MIT", "LICENSE, ThirdPartyNotices.txt"),
}

# Older packages state the licence as free text or as a classifier only.
_WORDS = {
    "BSD License": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "MIT license": "MIT",
    "Apache 2.0": "Apache-2.0",
    "Apache-2.0 license": "Apache-2.0",
}

# Not in the package's own fields: its wheel contains libheif and libde265 as separate, replaceable files, as the LGPL
# requires.
_WITH_LIBRARIES = {"pi-heif": "BSD-3-Clause AND LGPL-3.0-or-later"}

_LINUX = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}

_NOTICE = re.compile(r"^(licen[cs]e|copying|notice|third.?party)", re.IGNORECASE)

_HEAD = """# Licences of what is deployed

Made by `python docs/licenses.py`; a test holds it to what is installed. Purrdict itself is under the
[MIT licence](../LICENSE). Each package's own licence files, those of the libraries inside the wheels included, are
deployed with it, in its `.dist-info` folder or beside its code.

| package | version | licence | licence files |
| --- | --- | --- | --- |
"""


def main() -> int:
    """Writes the list; returns the exit status."""
    TARGET.write_text(text(), encoding="utf-8")
    print(f"wrote {TARGET.relative_to(ROOT)}")
    return 0


def text() -> str:
    """The list as Markdown."""
    rows = [_row(name, version) for name, version in sorted(pins().items())]
    web = [
        f"| {what} (`{folder}`) | {licence} | {files} |"
        for folder, (what, licence, files) in sorted(WEB.items())
    ]
    table = "\n".join(["", "| files | licence | text |", "| --- | --- | --- |", *web, ""])
    return _HEAD + "\n".join(rows) + "\n" + table


def pins() -> dict[str, str]:
    """Every pinned package that is deployed on Linux, with its version."""
    found = {}
    for name in REQUIREMENTS:
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
            if match := re.match(r"([A-Za-z0-9._-]+)==([^\s;\\]+)\s*(;[^\\]*)?", line):
                marker = (match.group(3) or "").lstrip("; ").strip()
                if not marker or Marker(marker).evaluate(_LINUX):
                    found[match.group(1).lower()] = match.group(2)
    return found


def licence_of(package: Distribution) -> str:
    """The licence as an SPDX expression where the package knows one."""
    metadata = package.metadata
    if stated := _WITH_LIBRARIES.get(package.name.replace("_", "-")):
        return stated
    if expression := metadata["License-Expression"]:
        return str(expression)
    words = (metadata["License"] or "").strip()
    classifiers = [
        value.rsplit(" :: ", 1)[-1]
        for value in metadata.get_all("Classifier") or []
        if value.startswith("License")
    ]
    stated = words if words and len(words) < 40 else " / ".join(classifiers)
    return _WORDS.get(stated, stated) or "UNKNOWN"


def _row(name: str, version: str) -> str:
    try:
        package = distribution(name)
    except PackageNotFoundError:
        sys.exit(
            f"error: {name} is not installed; run this in the environment of the tests: python3 dev.py install"
        )
    if package.version != version:
        sys.exit(
            f"error: {name} is {package.version} here, {version} in the requirements: python3 dev.py install"
        )
    files = sorted({
        Path(str(file)).name
        for file in package.files or []
        if _NOTICE.search(Path(str(file)).name) and (".dist-info" in str(file) or len(Path(str(file)).parts) == 2)
    })  # fmt: skip
    return f"| {name} | {version} | {licence_of(package)} | {', '.join(files) or 'none in the wheel'} |"


if __name__ == "__main__":
    sys.exit(main())
