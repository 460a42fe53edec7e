"""Removes from an environment what a deployed service never imports: tests, build tools, the installer itself.

    python deploy/prune.py              the environment of this Python
    python deploy/prune.py FOLDER       packages installed with `pip install --target FOLDER`

Vercel, Lambda and the container each run it after installing (vercel.json, Makefile, Dockerfile). The list is short on
purpose: only whole folders that no module of the service imports, so that the packages keep working.
A folder that is already gone is no error, because build caches restore environments that were pruned before.
"""

import shutil
import sys
import sysconfig
from pathlib import Path

# Package → its folders to remove. An empty list removes the whole package with its metadata.
UNUSED = {
    "numpy": ["**/tests", "f2py", "_core/include", "_core/lib"],
    "onnxruntime": ["transformers", "quantization", "tools", "datasets"],
    "pip": [],
    # The old API of pydantic. FastAPI tries to import it and works without it.
    "pydantic": ["v1"],
}


def main(arguments: list[str]) -> int:
    """Prunes the given folder, or this environment; returns the exit status."""
    if len(arguments) > 1 or arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 0 if len(arguments) == 1 else 2
    site_packages = Path(arguments[0] if arguments else sysconfig.get_path("platlib")).resolve()
    if not (site_packages / "onnxruntime").is_dir():
        print(
            f"error: {site_packages} holds no onnxruntime: not an environment of Purrdict.", file=sys.stderr
        )
        return 2
    saved = 0
    for package, patterns in UNUSED.items():
        if not (site_packages / package).is_dir():
            continue  # only an environment with an installer has pip
        for folder in _folders(site_packages, package, patterns):
            saved += sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            try:
                shutil.rmtree(folder)
            except OSError as error:
                print(f"error: {folder} cannot be removed: {error.strerror}.", file=sys.stderr)
                return 2
    print(f"pruned {saved / 1e6:.1f} MB from {site_packages.name}")
    return 0


def _folders(site_packages: Path, package: str, patterns: list[str]) -> list[Path]:
    if not patterns:
        return [site_packages / package, *site_packages.glob(f"{package}-*.dist-info")]
    found = {folder for pattern in patterns for folder in (site_packages / package).glob(pattern)}
    # The innermost first: a folder may be inside another one of the list.
    return sorted((folder for folder in found if folder.is_dir()), key=lambda folder: -len(folder.parts))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
