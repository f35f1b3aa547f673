"""New files and folders for people, which get their names when they are complete.

What is written has a temporary name beside the final one, and is deleted if anything fails. Tables are written by
`taproom.warehouse.storage`.
"""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from taproom.errors import InputError, StorageError


@contextmanager
def new_file(target: str | os.PathLike) -> Iterator[Path]:
    """A path to write to, which is renamed to `target` when the context ends without an error.

    Raises:
        InputError: `target` exists.
        StorageError: it cannot be written, for example because the disk is full.
    """
    target = Path(target)
    if target.exists():
        raise InputError(f"{target} exists; wanted the name of a new file. Choose another.")
    with _renamed(target) as part:
        part.touch(exist_ok=False)
        yield part


@contextmanager
def new_folder(target: str | os.PathLike) -> Iterator[Path]:
    """A folder to write to, which is renamed to `target` when the context ends without an error.

    Raises:
        InputError: `target` exists and is not an empty folder.
        StorageError: it cannot be written, for example because the disk is full.
    """
    target = Path(target)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} exists and is not an empty folder; wanted the name of a new one. Choose another.")
    with _renamed(target) as part:
        part.mkdir(parents=True)
        yield part


@contextmanager
def _renamed(target: Path) -> Iterator[Path]:
    part = target.with_name(f".{target.name}-{uuid.uuid4().hex[:8]}.part")
    try:
        yield part
        part.replace(target)
    except OSError as error:
        raise StorageError(
            f"{target} could not be written: {error.strerror or error}. Nothing was left there. Free some space, check "
            "the permissions, or choose another place."
        ) from error
    finally:
        with suppress(OSError):
            part.unlink() if part.is_file() else shutil.rmtree(part)
