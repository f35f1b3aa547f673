"""The inbox: folders into which people drop files, one folder for each chain; and the partition keys of files.

A file is read once it has settled, that is, once two looks some seconds apart find the same size and modification time:
a file may still be being copied. `inbox.toml` in the folder says how to read the files. The inbox may be a prefix of an
object store; then the folders are a copy of it (`inbox_copy`).

Here belongs what is the same for every chain. What a dropped file means to a chain belongs to the chain's assets.
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
from taproom.object_store import SCHEMES, endpoint
from taproom.sources.cache import cache_folder
from taproom.sources.inbox_copy import move_object, update_copy

INBOX_VARIABLE = "TAPROOM_INBOX"
DEFAULT_INBOX = Path(__file__).resolve().parents[2] / "data" / "inbox"
SETTINGS_FILE = "inbox.toml"
PLATE_MAP_FILE = "plate_map.csv"
REMOVED_FOLDER = ".removed"
_NOT_DATA = {SETTINGS_FILE, PLATE_MAP_FILE, "README.md"}


@dataclass(frozen=True)
class Look:
    """The size and modification time of a file, and since when it has had them (seconds since the epoch)."""

    size_bytes: int
    modified_ns: int
    since: float


@dataclass(frozen=True)
class Drop:
    """A dropped file: its name, the configuration that reads it, and what it still waits for (empty: nothing)."""

    called: str
    config: dict[str, Any]
    waits_for: str = ""


def inbox_root() -> Path:
    """The folder that holds all inboxes: `$TAPROOM_INBOX`, by default `data/inbox`.

    Of a URL, the folder of its copy, in the cache folder.
    """
    given = os.environ.get(INBOX_VARIABLE) or str(DEFAULT_INBOX)
    if given.startswith(SCHEMES):
        return cache_folder() / "inbox" / hashlib.sha256(f"{endpoint()} {given}".encode()).hexdigest()[:16]
    return Path(given)


def inbox_folder(chain: str) -> Path:
    """The inbox of a chain. In an object store: a copy of it, as it is now.

    Raises:
        SourceError: the object store cannot be read.
    """
    folder = inbox_root() / chain
    if url := _inbox_url(chain):
        update_copy(url, folder)
    return folder


def set_aside(chain: str, path: Path) -> None:
    """Move a file of a chain's inbox to the folder `.removed` there, which is not read.

    Raises:
        SourceError: the object store refuses.
    """
    folder = inbox_root() / chain
    name = path.relative_to(folder).as_posix()
    if url := _inbox_url(chain):
        move_object(url, name, f"{REMOVED_FOLDER}/{name}")
        path.unlink(missing_ok=True)
        return
    target = folder / REMOVED_FOLDER / name
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)


def _inbox_url(chain: str) -> str | None:
    """The URL of a chain's inbox; None where it is a folder."""
    given = os.environ.get(INBOX_VARIABLE, "")
    return f"{given.rstrip('/')}/{chain}" if given.startswith(SCHEMES) else None


def look(folder: Path, before: dict[str, Look], now: float | None = None) -> dict[str, Look]:
    """Look at the data files in a folder.

    Args:
        folder: the inbox of a chain.
        before: the result of the last look.
        now: seconds since the epoch; None takes the clock.

    Returns:
        The look of each file that is not empty, by its path in the folder. `since` stays if nothing has changed.
    """
    now = time.time() if now is None else now
    looks = {}
    for path in data_files(folder):
        status = path.stat()
        if not status.st_size:
            continue
        name = path.relative_to(folder).as_posix()
        known = before.get(name)
        if known is None or (known.size_bytes, known.modified_ns) != (status.st_size, status.st_mtime_ns):
            known = Look(status.st_size, status.st_mtime_ns, now)
        looks[name] = known
    return looks


def data_files(folder: Path) -> Iterator[Path]:
    """The data files in a folder and its subfolders, sorted; none if the folder does not exist.

    Hidden files and folders, links, and the inbox's own files (`inbox.toml`, the plate map, README.md) are skipped.
    """
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name.startswith(".") or path.name in _NOT_DATA or path.is_symlink():
            continue
        if path.is_file():
            yield path
        else:
            yield from data_files(path)


def of_file(settings: dict[str, Any], path: Path) -> dict[str, Any]:
    """The inbox's settings for one file: the table `replaces`, which is by file, becomes the entry of this file.

    Raises `SourceError` if `replaces` is not a table.

    >>> of_file({"source": "table", "replaces": {"july.csv": "june.csv"}}, Path("inbox/july.csv"))
    {'source': 'table', 'replaces': 'june.csv'}
    >>> of_file({"source": "table", "replaces": {"july.csv": "june.csv"}}, Path("inbox/may.csv"))
    {'source': 'table'}
    """
    by_file = settings.get("replaces", {})
    if not isinstance(by_file, dict):
        raise SourceError(f'{SETTINGS_FILE}: `replaces` is {by_file!r}. Wanted: a table, [replaces], of "new" = "old".')
    replaced = by_file.get(path.name)
    others = {name: value for name, value in settings.items() if name != "replaces"}
    return {**others, "replaces": replaced} if replaced else others


def find_batch(folder: Path, key: str, dropped: Callable[[Path, dict[str, Any]], Drop]) -> tuple[Path, Drop] | None:
    """Find the data file of a batch.

    Args:
        folder: the inbox of a chain.
        key: the batch's partition key.
        dropped: gives the `Drop` of a file, from its path and the inbox's settings.

    Returns:
        The file and its `Drop`; None if there is no such file. Only files whose name fits the key are hashed.
    """
    settings = read_settings(folder)
    digest = key.rpartition("-")[2]
    for path in data_files(folder):
        drop = dropped(path, settings)
        if not drop.waits_for and file_key(drop.called, digest) == key and file_sha256(path).startswith(digest):
            return path, drop
    return None


def file_sha256(path: Path) -> str:
    """Hash a file's bytes without holding them in memory: 64 hex digits. Raises OSError if it cannot be read."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_key(name: str, content_sha256: str) -> str:
    """A partition key: a name and the first 8 hex digits of the content's SHA-256.

    At most 80 of the characters A-Z a-z 0-9 . _ - without a leading dot or two dots in a row. A key can thus be used as
    the name of a file or folder, cannot lead out of a folder, and needs no quoting. The same content under the same
    name always has the same key.

    >>> file_key("../June ales.csv", "1f2e3d4c5b6a")
    '_June_ales.csv-1f2e3d4c'
    """
    key = re.sub(r"[^A-Za-z0-9._-]", "_", f"{name[:71]}-{content_sha256[:8]}")
    return re.sub(r"\.{2,}", ".", key).lstrip(".-")


def read_settings(folder: Path) -> dict[str, Any]:
    """The settings in `inbox.toml`, empty if there is no such file. Raises `SourceError` if it is not TOML."""
    path = folder / SETTINGS_FILE
    if not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise SourceError(f"{path} is not TOML in UTF-8: {error}. Correct or remove it.") from error
