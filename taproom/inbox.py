"""The inbox: folders into which people drop files, one folder a chain.

A file is taken once it has settled: same size and same modification time on two looks some seconds apart, because a
copy under way is not yet a file. `inbox.toml` beside the files says how to read them.
"""

import os
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taproom.errors import SourceError

INBOX_VARIABLE = "TAPROOM_INBOX"
DEFAULT_INBOX = Path(__file__).resolve().parents[1] / "data" / "inbox"
SETTINGS_FILE = "inbox.toml"
_NOT_DATA = {SETTINGS_FILE, "README.md"}


@dataclass(frozen=True)
class Look:
    """What a file looked like, and since when (seconds since the epoch) it has looked so."""

    size_bytes: int
    modified_ns: int
    since: float


def inbox_folder(chain: str) -> Path:
    """The folder for the files of `chain`: in `$TAPROOM_INBOX`, by default `data/inbox`."""
    return Path(os.environ.get(INBOX_VARIABLE) or DEFAULT_INBOX) / chain


def look(folder: Path, before: dict[str, Look], now: float | None = None) -> dict[str, Look]:
    """How the data files in `folder` look now; `since` is kept where nothing changed since `before`.

    Hidden files, folders, links and the inbox's own texts are passed over.
    """
    now = time.time() if now is None else now
    looks = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name.startswith(".") or path.name in _NOT_DATA or path.is_symlink() or not path.is_file():
            continue
        status = path.stat()
        if not status.st_size:
            continue
        known = before.get(path.name)
        unchanged = known and (known.size_bytes, known.modified_ns) == (status.st_size, status.st_mtime_ns)
        looks[path.name] = known if unchanged else Look(status.st_size, status.st_mtime_ns, now)
    return looks


def read_settings(folder: Path) -> dict[str, Any]:
    """What `inbox.toml` says (nothing where there is none); a `SourceError` when it is not TOML."""
    path = folder / SETTINGS_FILE
    if not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SourceError(f"{path} is not TOML in UTF-8: {error}. Correct or remove it.") from error
