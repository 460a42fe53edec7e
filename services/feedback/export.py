"""Corrections → folders of photos that `export train` learns from.

DIR/train/LABEL/PHOTO.jpg     what people say a photo shows: corrections, and answers that were right
DIR/test/LABEL/PHOTO.jpg      with --test-percent, always the same photos
DIR/neither/PHOTO.jpg         those that show none of the labels: export train --neither DIR/neither
DIR/feedback.json             what was written, and what was left out
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from services.feedback.database import Database
from services.feedback.schema import NEITHER, feedback, photos
from services.feedback.settings import Settings

MANIFEST = "feedback.json"
_PAGE, _FETCHED = 500, 50
_NAME = re.compile(r"[0-9a-f]{24}\.jpg")
_REPORT_S = 5.0


class ExportError(Exception):
    """Nothing can be exported; the message says why."""


@dataclass(frozen=True)
class Decided:
    """A photo, what the majority says it shows, and where its bytes are."""

    sha256: str
    label: str
    seq: int


def export(
    settings: Settings,
    out: Path,
    *,
    labels: Sequence[str] | None = None,
    minimum: int = 1,
    test_percent: int = 0,
) -> Counter[str]:
    """Writes the photos below `out`, and says what it did; returns how many there are of each label.

    What is there already is kept, and what was deleted from the database since is taken away: after Ctrl-C, run
    it again.

    Raises ExportError or UnavailableError.
    """
    mark = _check(out)
    database = Database(settings.database_url)
    found: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    start = last = time.monotonic()
    try:
        for decided in _decide(database, minimum, labels, left_out):
            missing: list[tuple[Path, int]] = []
            for photo in decided:
                path = _path(out, photo, test_percent)
                found[photo.label] += 1
                if path.exists():
                    os.utime(path, (mark, mark))
                else:
                    missing.append((path, photo.seq))
            for first in range(0, len(missing), _FETCHED):
                _fetch(database, missing[first : first + _FETCHED], mark)
            if time.monotonic() - last > _REPORT_S:
                last = time.monotonic()
                print(f"  {sum(found.values()):,} photos, {sum(found.values()) / (last - start):,.0f} a second",
                      file=sys.stderr, flush=True)  # fmt: skip
        removed = _remove_others(out, mark)
        _manifest(out, mark, found, left_out)
    except OSError as error:
        raise ExportError(f"{error.filename or out}: {error.strerror}") from error
    finally:
        database.close()
    _report(out, found, left_out, removed)
    return found


def _check(out: Path) -> int:
    """Makes the folder unless it is there; returns this export's mark.

    Files that belong to this export get the mark as their time of change, so that no names need to be remembered. It is
    the time in whole seconds, and never that of the export before.
    """
    if out.exists() and not out.is_dir():
        raise ExportError(f"{out} is no folder.")
    if out.is_dir() and not (out / MANIFEST).exists() and any(out.iterdir()):
        raise ExportError(
            f"{out} holds other things, which an export must not change. Name a folder of its own, say "
            f"corrections, and train on both: python3 dev.py train {out} corrections"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        before = json.loads((out / MANIFEST).read_text(encoding="utf-8")) if (out / MANIFEST).exists() else {}
        mark = max(int(time.time()), int(before.get("mark", 0)) + 1)
        # Before anything is written: after Ctrl-C the next export has another mark.
        _manifest(out, mark, Counter(before.get("photos", {})), Counter(before.get("left_out", {})))
    except OSError as error:
        raise ExportError(f"{out}: {error.strerror}") from error
    except (ValueError, AttributeError, TypeError) as error:
        raise ExportError(f"{out / MANIFEST} is none of an export. Name another folder.") from error
    return mark


def _decide(
    database: Database, minimum: int, labels: Sequence[str] | None, left_out: Counter[str]
) -> Iterator[list[Decided]]:
    """What each photo shows, some hundred photos at a time, in the order of their hashes."""
    after = ""
    c = feedback.c
    while True:
        with database.reading() as connection:
            page = connection.scalars(
                sa.select(c.photo_sha256).where(c.photo_sha256 > after).distinct()
                .order_by(c.photo_sha256).limit(_PAGE)
            ).all()  # fmt: skip
            if not page:
                return
            votes = connection.execute(
                sa.select(c.photo_sha256, c.truth, sa.func.count(), sa.func.min(c.seq))
                .where(c.photo_sha256 > after, c.photo_sha256 <= page[-1])
                .group_by(c.photo_sha256, c.truth)
            ).all()
        after = page[-1]
        by_photo: dict[str, list[tuple[str, int, int]]] = {}
        for sha256, truth, count, seq in votes:
            by_photo.setdefault(sha256, []).append((truth, count, seq))
        decided = [_majority(sha256, opinions, minimum, left_out) for sha256, opinions in by_photo.items()]
        yield [photo for photo in decided if photo and _is_wanted(photo, labels, left_out)]


def _majority(
    sha256: str, opinions: list[tuple[str, int, int]], minimum: int, left_out: Counter[str]
) -> Decided | None:
    opinions = sorted(opinions, key=lambda opinion: -opinion[1])
    label, count, seq = opinions[0]
    if len(opinions) > 1 and opinions[1][1] == count:
        left_out["on which people do not agree"] += 1
    elif count < minimum:
        left_out[f"with fewer than {minimum} opinions that agree"] += 1
    else:
        return Decided(sha256, label, seq)
    return None


def _is_wanted(photo: Decided, labels: Sequence[str] | None, left_out: Counter[str]) -> bool:
    if Path(photo.label).name != photo.label or photo.label.startswith("."):
        left_out["of labels that cannot be the name of a folder"] += 1
        return False
    if labels is None or photo.label in labels or photo.label == NEITHER:
        return True
    left_out["of labels that were not asked for"] += 1
    return False


def _path(out: Path, photo: Decided, test_percent: int) -> Path:
    name = f"{photo.sha256[:24]}.jpg"
    if photo.label == NEITHER:
        return out / NEITHER / name
    # By its hash: a photo that was once for testing is never trained on.
    split = "test" if int(photo.sha256[-8:], 16) % 100 < test_percent else "train"
    return out / split / photo.label / name


def _fetch(database: Database, missing: list[tuple[Path, int]], mark: int) -> None:
    with database.reading() as connection:
        query = sa.select(photos.c.seq, photos.c.jpeg).where(photos.c.seq.in_([seq for _, seq in missing]))
        jpegs = {row.seq: row.jpeg for row in connection.execute(query)}
    for path, seq in missing:
        if seq in jpegs:  # deleted a moment ago otherwise
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(".part")
            draft.write_bytes(jpegs[seq])
            os.utime(draft, (mark, mark))
            os.replace(draft, path)


def _remove_others(out: Path, mark: int) -> int:
    """Takes away photos of earlier exports that this one did not mark: deleted since, or shown to be something else."""
    removed = 0
    for folder in [*out.glob("train/*"), *out.glob("test/*"), *out.glob(NEITHER)]:
        with os.scandir(folder) as entries:
            for entry in entries:
                ours = _NAME.fullmatch(entry.name) and int(entry.stat().st_mtime) != mark
                if ours or entry.name.endswith(".part"):
                    os.unlink(entry.path)
                    removed += 1
        if folder.name != NEITHER and not any(os.scandir(folder)):
            folder.rmdir()
    return removed


def _manifest(out: Path, mark: int, found: Counter[str], left_out: Counter[str]) -> None:
    content = {"mark": mark, "photos": found, "left_out": left_out}
    text = json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True)
    (out / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _report(out: Path, found: Counter[str], left_out: Counter[str], removed: int) -> None:
    width = max([len(label) for label in found] + [5])
    for label, count in sorted(found.items()):
        print(f"{label:<{width}}  {count:>7,}")
    for reason, count in sorted(left_out.items()):
        print(f"- left out: {count:,} photos {reason}")
    if removed:
        print(f"- taken away: {removed:,} photos of an earlier export that are not in the database any more")
    if not found:
        print("There are no photos yet: people send them with consent=true.")
        return
    neither = f" --neither {out / NEITHER}" if found[NEITHER] else ""
    if len([label for label in found if label != NEITHER]) > 1:
        print(f"train on them:  python3 dev.py train {out}{neither}")
    print(f"with your own:  python3 dev.py train photos {out}{neither}")
