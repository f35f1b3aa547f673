"""The inbox: folders into which people drop files, one folder a chain; and the keys that files are known by.

A file is taken once it has settled: same size and same modification time on two looks some seconds apart, because a
copy under way is not yet a file. `inbox.toml` beside the files says how to read them.
"""

import hashlib
import os
import re
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taproom.errors import SourceError

INBOX_VARIABLE = "TAPROOM_INBOX"
DEFAULT_INBOX = Path(__file__).resolve().parents[2] / "data" / "inbox"
SETTINGS_FILE = "inbox.toml"
PLATE_MAP_FILE = "plate_map.csv"
_NOT_DATA = {SETTINGS_FILE, PLATE_MAP_FILE, "README.md"}


@dataclass(frozen=True)
class Look:
    """What a file looked like, and since when (seconds since the epoch) it has looked so."""

    size_bytes: int
    modified_ns: int
    since: float


@dataclass(frozen=True)
class Drop:
    """What a dropped file is: what it is called, the configuration that reads it, and what it still waits for."""

    called: str
    config: dict[str, Any]
    waits_for: str = ""


def inbox_root() -> Path:
    """The folder of all inboxes: `$TAPROOM_INBOX`, by default `data/inbox`."""
    return Path(os.environ.get(INBOX_VARIABLE) or DEFAULT_INBOX)


def inbox_folder(chain: str) -> Path:
    """The folder for the files of `chain`."""
    return inbox_root() / chain


def look(folder: Path, before: dict[str, Look], now: float | None = None) -> dict[str, Look]:
    """How the data files in `folder` look now, by their path in it; `since` is kept where nothing changed."""
    now = time.time() if now is None else now
    looks = {}
    for path in data_files(folder):
        status = path.stat()
        if not status.st_size:
            continue
        name = path.relative_to(folder).as_posix()
        known = before.get(name)
        unchanged = known and (known.size_bytes, known.modified_ns) == (status.st_size, status.st_mtime_ns)
        looks[name] = known if unchanged else Look(status.st_size, status.st_mtime_ns, now)
    return looks


def data_files(folder: Path) -> Iterator[Path]:
    """The data files in `folder` and in the folders that lie in it, sorted.

    Hidden files and folders, links and the inbox's own texts are passed over.
    """
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name.startswith(".") or path.name in _NOT_DATA or path.is_symlink():
            continue
        if path.is_file():
            yield path
        else:
            yield from data_files(path)


def of_file(settings: dict[str, Any], path: Path) -> dict[str, Any]:
    """The settings of one file: of those that name files (`replaces`), what they say of this one.

    Raises `SourceError` where `replaces` is no table.
    """
    by_file = settings.get("replaces", {})
    if not isinstance(by_file, dict):
        raise SourceError(f'{SETTINGS_FILE}: `replaces` is {by_file!r}. Wanted: a table, [replaces], of "new" = "old".')
    replaced = by_file.get(path.name)
    others = {name: value for name, value in settings.items() if name != "replaces"}
    return {**others, "replaces": replaced} if replaced else others


def find_batch(folder: Path, key: str, dropped: Callable[[Path, dict[str, Any]], Drop]) -> tuple[Path, Drop] | None:
    """The data file in `folder` that is the batch `key`, with what `dropped` says of it; None where there is none.

    `dropped` takes a file and the inbox's settings. Only files of a fitting name are hashed.
    """
    settings = read_settings(folder)
    digest = key.rpartition("-")[2]
    for path in data_files(folder):
        drop = dropped(path, settings)
        if not drop.waits_for and file_key(drop.called, digest) == key and file_sha256(path).startswith(digest):
            return path, drop
    return None


def file_sha256(path: Path) -> str:
    """Hash a file's bytes without holding them in memory; 64 hex digits. Raises OSError when it cannot be read."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_key(name: str, content_sha256: str) -> str:
    """A partition's key: a name and the first 8 hex digits of the content's hash, as in `june.csv-1f2e3d4c`.

    At most 80 of the characters A-Z a-z 0-9 . _ - with neither a leading nor two successive dots: a key is a name
    inside a folder, never a way out of it, and no special syntax to whoever reads it. The same content under the same
    name always has the same key.
    """
    key = re.sub(r"[^A-Za-z0-9._-]", "_", f"{name[:71]}-{content_sha256[:8]}")
    return re.sub(r"\.{2,}", ".", key).lstrip(".-")


def read_settings(folder: Path) -> dict[str, Any]:
    """What `inbox.toml` says (nothing where there is none); a `SourceError` when it is not TOML."""
    path = folder / SETTINGS_FILE
    if not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SourceError(f"{path} is not TOML in UTF-8: {error}. Correct or remove it.") from error
