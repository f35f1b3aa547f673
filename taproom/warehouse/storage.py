"""Where a warehouse is stored: a folder or an object store, with durable writes, time limits and named errors.

Here belongs what pyarrow's file systems and deltalake's stores have in common. What the files mean does not. The
environment configures an object store for both libraries (`taproom.object_store`).
"""

import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs
from deltalake.exceptions import DeltaError

from taproom import object_store
from taproom.errors import StorageError
from taproom.object_store import reason

WAREHOUSE_VARIABLE = "TAPROOM_WAREHOUSE"
_REPO = Path(__file__).resolve().parents[2]
DEFAULT_WAREHOUSE = _REPO / "data" / "warehouse"
# pyarrow lists the names of a local folder, then looks at each file: it fails if a writer has renamed one meanwhile.
_LISTING_TRIES = 10


def default_root() -> str:
    """`$TAPROOM_WAREHOUSE`, or `data/warehouse` in the repo.

    Raises:
        StorageError: the variable is not set, and this package was installed outside the repo.
    """
    if named := os.environ.get(WAREHOUSE_VARIABLE):
        return named
    if not (_REPO / "pyproject.toml").is_file():
        raise StorageError(
            f"No warehouse was given. Name its folder or URL: taproom.open(root), or set {WAREHOUSE_VARIABLE}."
        )
    return str(DEFAULT_WAREHOUSE)


class Storage:
    """The files under `root`, a folder or an object store's URL. Paths are relative to it, with slashes.

    >>> import tempfile
    >>> storage = Storage(tempfile.mkdtemp())
    >>> storage.write("beers/notes.txt", b"ale")
    >>> storage.names("beers"), storage.size("beers/notes.txt"), storage.read("beers/notes.txt")
    (['notes.txt'], 3, b'ale')
    >>> storage.read("beers/other.txt") is None
    True
    """

    def __init__(self, root: str) -> None:
        """Open `root`, without reading from it or creating it.

        Raises:
            StorageError: a URL is of an unknown kind, or has keys or options in it. These belong in the environment,
                which is not printed.
        """
        self.options: dict[str, str] = {}  # for deltalake
        if root.startswith(object_store.SCHEMES):
            self.root = root.rstrip("/")
            self._base = object_store.bucket_and_path(root, "The warehouse's URL")
            self.files = object_store.s3_files()
            self.options = {
                "connect_timeout": f"{object_store.CONNECT_SECONDS}s",
                "timeout": f"{object_store.REQUEST_SECONDS}s",
                "max_retries": str(object_store.TRIES - 1),
                "retry_timeout": f"{object_store.TRIES * object_store.REQUEST_SECONDS}s",
            }
        elif "://" in root:
            self.root = root.rstrip("/")
            try:
                self.files, self._base = pafs.FileSystem.from_uri(root)
            except pa.ArrowInvalid as error:
                raise StorageError(
                    f"The warehouse {root!r} cannot be opened: {reason(error)}. Give a folder, or a URL as "
                    "s3://bucket/path."
                ) from error
        else:
            self.files, self._base = pafs.LocalFileSystem(), str(Path(root).resolve())
            self.root = self._base
        self.is_local = isinstance(self.files, pafs.LocalFileSystem)
        self.is_object_store = isinstance(self.files, pafs.S3FileSystem)

    def uri(self, path: str) -> str:
        """The address of a path, as deltalake takes it."""
        return f"{self.root}/{path}"

    def read(self, path: str) -> bytes | None:
        """The bytes of a file; None where there is no such file.

        Raises:
            StorageError: the storage fails.
        """
        content = self.read_buffer(path)
        return None if content is None else content.to_pybytes()

    def read_buffer(self, path: str) -> pa.Buffer | None:
        """As `read`, as a buffer of Arrow's, without a copy."""
        with self.errors(f"{path} could not be read from {self.root}"):
            try:
                with self.files.open_input_file(self._full(path)) as stream:
                    return stream.read_buffer()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                return None

    def read_into(self, path: str, content: pa.Buffer, parts: Iterable[tuple[int, int]]) -> bool:
        """Copy parts of a file (start, end) to the same places of a buffer of its size; False without such a file.

        Of a file of another size nothing is copied.

        Raises:
            StorageError: the storage fails.
        """
        whole = memoryview(content)
        with self.errors(f"{path} could not be read from {self.root}"):
            try:
                with self.files.open_input_file(self._full(path)) as stream:
                    for start, end in parts if stream.size() == len(whole) else ():
                        stream.seek(start)
                        stream.readinto(whole[start:end])
                return True
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                return False

    def listing(self, folder: str = "", recursive: bool = False) -> list[pafs.FileInfo]:
        """The files and folders in a folder; empty where there is no such folder. See `relative` for their paths.

        Raises:
            StorageError: the storage fails. A bucket that is missing or refused does not count as an empty folder.
        """
        selector = pafs.FileSelector(self._full(folder), allow_not_found=True, recursive=recursive)
        with self.errors(f"{self.uri(folder) if folder else self.root} could not be listed"):
            found = self._file_infos(selector)
            if not found and self.is_object_store:
                bucket = self._base.partition("/")[0]
                if self.files.get_file_info(bucket).type == pafs.FileType.NotFound:
                    raise FileNotFoundError(f"there is no bucket {bucket!r}")
        return found

    def names(self, folder: str) -> list[str]:
        """Names of the files and folders in a folder; empty where there is no such folder. Raises as `listing` does."""
        if not self.is_local:
            return [info.base_name for info in self.listing(folder)]
        with self.errors(f"{self.uri(folder)} could not be listed"):
            try:
                return [path.name for path in Path(self._full(folder)).iterdir()]
            except (FileNotFoundError, NotADirectoryError):
                return []

    def relative(self, info: pafs.FileInfo, folder: str) -> str:
        """The path of an entry of `listing(folder)`, relative to the folder."""
        return info.path.removeprefix(f"{self._full(folder)}/")

    def size(self, path: str) -> int | None:
        """Bytes of a file; None where there is no such file."""
        with self.errors(f"{path} could not be examined in {self.root}"):
            return self.files.get_file_info(self._full(path)).size

    def write(self, path: str, content: bytes, is_durable: bool = True) -> None:
        """Write a new file. In a local folder, if `is_durable`, the disk confirms the file and its name.

        Raises:
            OSError: it could not be written. What was written of it is deleted.
        """
        is_new_folder = self.is_local and not Path(self._full(path)).parent.is_dir()
        self._make_folder_of(path)
        try:
            self._put(path, content)
            if is_durable:
                self.sync(path, is_new_folder)
        except OSError:
            with suppress(OSError):
                self.delete(path)  # or a full disk would stay full
            raise

    def replace(self, path: str, content: bytes, is_durable: bool = True) -> None:
        """As `write`, but over a file that may exist: a reader finds either the old bytes or the new ones.

        If it fails, the old file stays.
        """
        if not self.is_local:
            self._make_folder_of(path)
            self._put(path, content)  # not `write`, which would delete the old object after a failure
            return
        temporary = f"{path.partition('/')[0]}/_{uuid.uuid4().hex[:8]}.part"
        self.write(temporary, content, is_durable)
        self._make_folder_of(path)
        self.files.move(self._full(temporary), self._full(path))
        if is_durable:
            self.sync(path)

    def delete(self, path: str) -> None:
        """Delete a file. Raises `OSError`."""
        self.files.delete_file(self._full(path))

    def delete_folder(self, path: str) -> None:
        """Delete a folder with all that is in it, if there is one. Raises `OSError`."""
        with suppress(FileNotFoundError):
            self.files.delete_dir(self._full(path))

    def sync(self, path: str, is_new_folder: bool = False) -> None:
        """Have the disk confirm a file and its name, and its folders' names if they are new (`fsync`).

        An object store needs no such call: it has confirmed what it accepted.

        Raises:
            OSError: the disk does not confirm it.
        """
        if self.is_local:
            folders = list(Path(path).parents)
            for each in (Path(path), *(folders if is_new_folder else folders[:1])):
                _sync(Path(self._base, each))

    @contextmanager
    def errors(self, what: str) -> Iterator[None]:
        """Turn an `OSError` into a `StorageError` that says what failed, why, and what to do about it."""
        try:
            yield
        except OSError as error:
            raise StorageError(f"{what}: {reason(error)}. {self._what_to_check}") from error

    @contextmanager
    def write_errors(self, table: str, what_next: str = "run the step again") -> Iterator[None]:
        """As `errors`, for a write to a table, also of errors of deltalake."""
        try:
            yield
        except (OSError, DeltaError) as error:
            raise StorageError(
                f"{table} could not be written to {self.uri(table)}: {reason(error)}. {self._what_to_check} "
                f"The last version is as it was; {what_next}."
            ) from error

    @property
    def _what_to_check(self) -> str:
        return "Free some space, check the disk or the permissions." if self.is_local else object_store.CHECK_THE_SERVER

    def _make_folder_of(self, path: str) -> None:
        if not self.is_object_store:  # which has no folders, only names with slashes
            self.files.create_dir(self._full(path).rpartition("/")[0], recursive=True)

    def _put(self, path: str, content: bytes) -> None:
        with self.files.open_output_stream(self._full(path)) as stream:
            stream.write(content)

    def _file_infos(self, selector: pafs.FileSelector) -> list[pafs.FileInfo]:
        for _ in range(_LISTING_TRIES - 1):
            with suppress(FileNotFoundError):
                return self.files.get_file_info(selector)
        return self.files.get_file_info(selector)

    def _full(self, path: str) -> str:
        return f"{self._base}/{path}" if path else self._base


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
