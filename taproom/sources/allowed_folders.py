"""Which folders a run may read: a run's configuration names a path, the environment of its process limits the paths.

`$TAPROOM_ALLOWED_FOLDERS` lists the folders, separated as in PATH. A run configuration cannot change it. `make ui` sets
it to the inbox if it is not set. Anywhere else it is only unset if a person has started the process in their own shell;
it may then read files in the current folder, in their home folder, in the repo's data and in the inbox.
"""

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from taproom.errors import SourceError
from taproom.sources.inbox import inbox_root

FOLDERS_VARIABLE = "TAPROOM_ALLOWED_FOLDERS"
DATA = Path(__file__).resolve().parents[2] / "data"


def allowed_folders() -> list[Path]:
    """The folders that runs of this process may read, with links resolved."""
    given = [folder for folder in os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep) if folder]
    return [Path(folder).expanduser().resolve() for folder in given or (Path.cwd(), Path.home(), DATA, inbox_root())]


def allowed_path(path: str | os.PathLike, asked_by: str) -> Path:
    """The path as it was given, with `~` expanded, if it is in an allowed folder once all links are followed.

    Args:
        path: a file or folder, which need not exist.
        asked_by: the table, or the place where the path is configured; the error begins with it.

    Raises `SourceError` if the path, or for a folder any link in it, leads out of the allowed folders.

    >>> allowed_path("data/inbox", "reviews").as_posix()
    'data/inbox'
    """
    given = Path(path).expanduser()
    folders = allowed_folders()
    for link_or_path in chain([given], _links_in(given)):
        target = link_or_path.resolve()
        if not any(target.is_relative_to(folder) for folder in folders):
            leads_to = "" if target == link_or_path else f", which leads to {str(target)!r},"
            raise SourceError(
                f"{asked_by}: {str(link_or_path)!r}{leads_to} may not be read here. Allowed are paths in "
                f"{', '.join(map(str, folders))}. Move it there, or have the person who runs Taproom set "
                f"{FOLDERS_VARIABLE} (folders separated by {os.pathsep!r}) and start it again."
            )
    return given


def _links_in(folder: Path) -> Iterator[Path]:
    """All links in a folder and its subfolders."""
    for parent, folders, files in os.walk(folder):
        yield from (entry for name in (*folders, *files) if (entry := Path(parent, name)).is_symlink())
