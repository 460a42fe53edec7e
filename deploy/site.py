"""Builds the site for GitHub Pages: the page, the published model beside it, and the address of the API.

    python3 deploy/site.py FOLDER --api https://purrdict.example

The page can run the model in the browser, so it gets the files that the API serves as /model/. Without --api it always
does.
"""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str] | None = None) -> int:
    """Writes the site; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder to write; it must not exist")
    parser.add_argument(
        "--api", default="", metavar="URL", help="address of the API, with its path if it has one"
    )
    options = parser.parse_args(arguments)
    api = options.api.strip().rstrip("/")
    if api and (urlsplit(api).scheme not in ("http", "https") or not urlsplit(api).netloc):
        print(f"error: {api!r} is not a URL. Write one like https://purrdict.example.", file=sys.stderr)
        return 2
    if os.path.lexists(options.folder):
        print(f"error: {options.folder} exists. Name a new folder.", file=sys.stderr)
        return 2
    try:
        write(options.folder, api)
    except OSError as error:
        print(f"error: {error.filename or options.folder}: {error.strerror or error}.", file=sys.stderr)
        return 2
    print(f"{options.folder}: the page, the model and {'the API at ' + api if api else 'no API'}")
    return 0


def write(site: Path, api: str) -> None:
    """Copies web/ and the published model into `site` and writes its config.json.

    Raises:
        OSError: there is no published model, or the site cannot be written.
    """
    version = (ROOT / "model/latest").read_text(encoding="utf-8-sig").strip()
    shutil.copytree(ROOT / "web", site, ignore=shutil.ignore_patterns("node_modules", ".*", "package*.json"))
    (site / "model").mkdir()
    for name in ("model.onnx", "metadata.json"):
        shutil.copy2(ROOT / "model/versions" / version / name, site / "model" / name)
    config = json.loads((site / "config.json").read_text(encoding="utf-8"))
    (site / "config.json").write_text(json.dumps({**config, "api": api}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
