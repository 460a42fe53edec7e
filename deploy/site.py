"""Builds the site for GitHub Pages: the page, the published model beside it, and the address of the API.

    python3 deploy/site.py FOLDER --api https://purrdict.example

The page can run the model in the browser, so it gets the files that the API serves as /model/. Without --api it
always does. files.json names every file with its digest, so that browsers keep the page for use without a network. With
--site, the address where it will be published, links to it show a picture where people share them.
"""

import argparse
import gzip
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
# The model as the page fetches it, beside model.onnx.
PACKED = "model.onnx.gz"


def main(arguments: list[str] | None = None) -> int:
    """Writes the site; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder to write; it must not exist")
    parser.add_argument(
        "--api", default="", metavar="URL", help="address of the API, with its path if it has one"
    )
    parser.add_argument("--site", default="", metavar="URL", help="address where the site will be published")
    parser.add_argument("--feedback", default="", metavar="URL", help="address of the feedback service")
    parser.add_argument("--writer", default="", metavar="URL", help="address of the writer service")
    options = parser.parse_args(arguments)
    for name in ("site", "feedback", "writer"):
        if not _is_address(getattr(options, name)):
            print(f"error: --{name}: {getattr(options, name)!r} is no address.", file=sys.stderr)
            return 2
    api = options.api.strip().rstrip("/")
    if not _is_address(api):
        print(f"error: {api!r} is not a URL. Write one like https://purrdict.example.", file=sys.stderr)
        return 2
    if os.path.lexists(options.folder):
        print(f"error: {options.folder} exists. Name a new folder.", file=sys.stderr)
        return 2
    try:
        write(options.folder, api, options.site, feedback=options.feedback, writer=options.writer)
    except OSError as error:
        print(f"error: {error.filename or options.folder}: {error.strerror or error}.", file=sys.stderr)
        return 2
    print(f"{options.folder}: the page, the model and {'the API at ' + api if api else 'no API'}")
    return 0


def _is_address(url: str) -> bool:
    return not url or (urlsplit(url).scheme in ("http", "https") and bool(urlsplit(url).netloc))


def write(site: Path, api: str, address: str = "", **services: str) -> None:
    """Copies web/ and the published model into `site` and writes its config.json and files.json.

    Args:
        address: where the site will be published; "" where nobody says.
        services: addresses of the services beside the API, by name; "" for none.

    Raises:
        OSError: there is no published model, or the site cannot be written.
    """
    version = (ROOT / "model/latest").read_text(encoding="utf-8-sig").strip()
    shutil.copytree(ROOT / "web", site, ignore=shutil.ignore_patterns("node_modules", ".*", "package*.json"))
    (site / "model").mkdir()
    for name in ("model.onnx", "metadata.json"):
        shutil.copy2(ROOT / "model/versions" / version / name, site / "model" / name)
    pack(site)
    if address:
        name_site(site / "index.html", address)
    configure(site, api=api, weights=PACKED, **{name: url for name, url in services.items() if url})


def pack(site: Path) -> None:
    """Puts the model gzipped beside the model, a quarter smaller: hosts of files don't compress it by themselves."""
    packed = gzip.compress((site / "model/model.onnx").read_bytes(), 9, mtime=0)
    (site / "model" / PACKED).write_bytes(packed)


def name_site(page: Path, address: str) -> None:
    """Makes the address of the preview picture whole: who shows links to others takes no other."""
    text = page.read_text(encoding="utf-8")
    picture = '<meta property="og:image" content="'
    base = address.rstrip("/") + "/"
    page.write_text(text.replace(picture, picture + base), encoding="utf-8")


def configure(site: Path, **config: object) -> None:
    """Writes config.json, and files.json of everything that is in `site` then."""
    path = site / "config.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps({**known, **config, "offline": True}, indent=2) + "\n", encoding="utf-8")
    files = {
        file.relative_to(site).as_posix(): {"bytes": file.stat().st_size, "sha256": _digest(file)}
        for file in _all_files(site)
        # Packed with brotli it is of use only to servers that say so (api/_routes/page.py).
        if file.suffix != ".br" and file.name != "files.json"
    }
    version = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]
    (site / "files.json").write_text(json.dumps({"version": version, "files": files}), encoding="utf-8")


def _all_files(folder: Path) -> list[Path]:
    """Those behind links to folders, too."""
    walk = os.walk(folder, followlinks=True)
    return sorted(Path(directory, name) for directory, _, names in walk for name in names)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
