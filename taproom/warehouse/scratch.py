"""Scratch files: what blocks of work on a cluster pass on to later ones, too large for the process that sent them.

They are in a folder of the warehouse, since that is what all workers can reach, and are deleted when the step ends.
Those of a step that was killed are deleted by the sweep (`taproom.warehouse.sweep`).
"""

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from taproom.errors import DamagedFileError
from taproom.warehouse.storage import Storage

FOLDER = "_scratch"


@dataclass(frozen=True)
class Scratch:
    """A folder of scratch files, whose names are the SHA-256 of their bytes.

    Attributes:
        root: folder or address of the warehouse.
        folder: in the warehouse.
    """

    root: str
    folder: str

    def write(self, content: bytes) -> str:
        """Write a file; gives its name. Files with the same bytes are one file.

        Raises:
            StorageError: the storage fails.
        """
        name = hashlib.sha256(content).hexdigest()
        storage = Storage(self.root)
        with storage.errors(f"{self.folder}/{name} could not be written to {self.root}"):
            # A block whose worker was lost is computed again and writes the same files.
            storage.replace(f"{self.folder}/{name}", content, is_durable=False)
        return name

    def read(self, name: str) -> pa.Buffer:
        """The bytes of a file.

        Raises:
            DamagedFileError: the file is gone, or its bytes are not those that were written.
            StorageError: the storage fails.
        """
        content = Storage(self.root).read_buffer(f"{self.folder}/{name}")
        if content is None or hashlib.sha256(content).hexdigest() != name:
            raise DamagedFileError(
                f"{self.root}/{self.folder}/{name} is not as a worker has written it. Check that all workers reach the "
                "same warehouse, and run the step again."
            )
        return content


@contextmanager
def scratch(root: str) -> Iterator[Scratch]:
    """Yield a new folder of scratch files in a warehouse, which is deleted when the block is left."""
    storage, folder = Storage(root), f"{FOLDER}/{uuid.uuid4().hex[:8]}"
    try:
        yield Scratch(root, folder)
    finally:
        with storage.errors(f"{folder} could not be deleted from {root}"):
            storage.delete_folder(folder)
