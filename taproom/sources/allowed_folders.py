"""Which folders a run may read: whoever launches a run names a path, whoever runs the process says where paths may lie.

`$TAPROOM_ALLOWED_FOLDERS` lists the folders, separated as in PATH. It is part of a process's environment, which no run
configuration can change. `make ui` sets it to the inbox if it is not set. Where it is not set, a person has started the
process in a shell of their own, and may read what lies in the current folder, in theirs, and in the repo's data.
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
    """The folders that runs of this process may read, links resolved."""
    given = [folder for folder in os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep) if folder]
    return [Path(folder).expanduser().resolve() for folder in given or (Path.cwd(), Path.home(), DATA, inbox_root())]


def allowed_path(path: str | os.PathLike, asked_by: str) -> Path:
    """The path as it was given, `~` expanded, if it lies in an allowed folder once all links are followed.

    `asked_by` begins the error: the table, or where the path is configured. A folder's links count too. Raises
    `SourceError` when the path, or a link in it, leads out of the allowed folders; whether there is anything at the
    path does not matter.
    """
    given = Path(path).expanduser()
    folders = allowed_folders()
    for place in chain([given], _links_in(given)):
        target = place.resolve()
        if not any(target.is_relative_to(folder) for folder in folders):
            leads = "" if target == place else f", which is {str(target)!r},"
            raise SourceError(
                f"{asked_by}: {str(place)!r}{leads} may not be read here. Allowed are paths in "
                f"{', '.join(map(str, folders))}. Move it there, or have the one who runs Taproom set "
                f"{FOLDERS_VARIABLE} (folders separated by {os.pathsep!r}) and start it again."
            )
    return given


def _links_in(folder: Path) -> Iterator[Path]:
    """All links in a folder and its subfolders."""
    for parent, folders, files in os.walk(folder):
        yield from (entry for name in (*folders, *files) if (entry := Path(parent, name)).is_symlink())
