"""Where a warehouse lies: a folder or an object store, with durable writes, time limits and errors by name.

Here belongs what pyarrow's file systems and deltalake's stores need to be told alike. What the files mean does not.

The environment configures an object store for both libraries: `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`, `AWS_REGION`,
`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`.
"""

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow.fs as pafs

from taproom.errors import StorageError

# A server that says nothing for so long is given up, after one more try.
CONNECT_SECONDS = 5
REQUEST_SECONDS = 10
_TRIES = 2
# Of a local folder pyarrow lists names and then looks at each: one that a writer has renamed meanwhile is an error.
_VANISHED = 9


class Storage:
    """The files under `root`, a folder or an object store's URL. Paths are relative to it, with slashes."""

    def __init__(self, root: str) -> None:
        """Open `root`; nothing is asked of it and nothing is created yet.

        Raises `StorageError` where a URL carries keys or options: both belong in the environment, which is not printed.
        """
        self.options: dict[str, str] = {}  # deltalake's
        if root.startswith(("s3://", "s3a://")):
            url = urlsplit(root)
            if "@" in url.netloc or url.query:
                raise StorageError(
                    f"The warehouse's URL ({url.scheme}://{url.hostname}...) has keys or options in it. Give those in "
                    f"the environment (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL ...) and the URL as {url.scheme}://bucket/path."
                )
            self.root = root.rstrip("/")
            self.files, self._base = _s3(), f"{url.netloc}{url.path}".rstrip("/")
            self.options = {
                "connect_timeout": f"{CONNECT_SECONDS}s",
                "timeout": f"{REQUEST_SECONDS}s",
                "max_retries": str(_TRIES - 1),
                "retry_timeout": f"{_TRIES * REQUEST_SECONDS}s",
            }
        elif "://" in root:
            self.root = root.rstrip("/")
            self.files, self._base = pafs.FileSystem.from_uri(root)
        else:
            self.files, self._base = pafs.LocalFileSystem(), str(Path(root).resolve())
            self.root = self._base
        self.is_local = isinstance(self.files, pafs.LocalFileSystem)

    def uri(self, path: str) -> str:
        """The address of a path, as deltalake takes it."""
        return f"{self.root}/{path}"

    def read(self, path: str) -> bytes | None:
        """The bytes of a file; None where there is no such file. Raises `StorageError` where the storage fails."""
        with self.errors(f"{path} could not be read from {self.root}"):
            try:
                with self.files.open_input_file(self._full(path)) as stream:
                    return stream.read()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                return None

    def listing(self, folder: str = "", recursive: bool = False) -> list[pafs.FileInfo]:
        """What lies in a folder, nothing where there is none; `path` of each is relative to the folder.

        Raises `StorageError` where the storage fails: a bucket that is missing or refused is no empty folder.
        """
        selector = pafs.FileSelector(self._full(folder), allow_not_found=True, recursive=recursive)
        with self.errors(f"{self.uri(folder) if folder else self.root} could not be listed"):
            for _ in range(_VANISHED):
                with suppress(FileNotFoundError):
                    found = self.files.get_file_info(selector)
                    break
            else:
                found = self.files.get_file_info(selector)
            if not found and isinstance(self.files, pafs.S3FileSystem):
                bucket = self._base.partition("/")[0]
                if self.files.get_file_info(bucket).type == pafs.FileType.NotFound:
                    raise FileNotFoundError(f"there is no bucket {bucket!r}")
        return found

    def names(self, folder: str) -> list[str]:
        """Names of what lies in a folder, nothing where there is none. Raises as `listing` does."""
        if not self.is_local:
            return [info.base_name for info in self.listing(folder)]
        with self.errors(f"{self.uri(folder)} could not be listed"):
            try:
                return [path.name for path in Path(self._full(folder)).iterdir()]
            except (FileNotFoundError, NotADirectoryError):
                return []

    def relative(self, info: pafs.FileInfo, folder: str) -> str:
        """The path that `listing(folder)` found, relative to the folder."""
        return info.path.removeprefix(f"{self._full(folder)}/")

    def size(self, path: str) -> int | None:
        """Bytes of a file; None where there is no such file."""
        with self.errors(f"{path} could not be looked at in {self.root}"):
            return self.files.get_file_info(self._full(path)).size

    def write(self, path: str, content: bytes, is_durable: bool = True) -> None:
        """Write a new file and, in a local folder, have the disk confirm it and its name. Raises `OSError`.

        One that need not be durable is not confirmed.
        """
        full = self._full(path)
        folder = full.rpartition("/")[0]
        is_new_folder = self.is_local and not Path(folder).is_dir()
        self.files.create_dir(folder, recursive=True)
        try:
            with self.files.open_output_stream(full) as stream:
                stream.write(content)
            if is_durable:
                self.sync(path, is_new_folder)
        except OSError:
            with suppress(OSError):
                self.files.delete_file(full)  # or what was written of it would keep a full disk full
            raise

    def replace(self, path: str, content: bytes, is_durable: bool = True) -> None:
        """As `write`, in place of a file that may be there: a reader finds the old bytes or the new ones."""
        if not self.is_local:
            self.write(path, content)
            return
        beside = f"{path.partition('/')[0]}/_{uuid.uuid4().hex[:8]}.part"
        self.write(beside, content, is_durable)
        self.files.create_dir(self._full(path).rpartition("/")[0], recursive=True)
        self.files.move(self._full(beside), self._full(path))
        if is_durable:
            self.sync(path)

    def delete(self, path: str) -> None:
        """Delete a file. Raises `OSError`."""
        self.files.delete_file(self._full(path))

    def sync(self, path: str, is_new_folder: bool = False) -> None:
        """Have the disk confirm a file and its name, and its folders' names if they are new. Raises `OSError`.

        An object store has confirmed what it has taken.
        """
        if self.is_local:
            folders = list(Path(path).parents)
            for each in (path, *(folders if is_new_folder else folders[:1])):
                _sync(Path(self._base, each))

    @contextmanager
    def errors(self, what: str) -> Iterator[None]:
        """Turn the storage's own errors into a `StorageError`: what failed, why, and what to do about it."""
        try:
            yield
        except OSError as error:
            raise StorageError(f"{what}: {reason(error)}. {self.what_to_check}") from error

    @property
    def what_to_check(self) -> str:
        """What to do when the storage fails, for an error's message."""
        return "Free room, check the disk or mend the permissions." if self.is_local else _ADVICE

    def _full(self, path: str) -> str:
        return f"{self._base}/{path}" if path else self._base


_ADVICE = (
    "Check that the server answers, the bucket's name, AWS_ENDPOINT_URL (with AWS_ALLOW_HTTP=true for http), "
    "AWS_REGION, and that the key of AWS_ACCESS_KEY_ID may read and write there."
)


def reason(error: BaseException) -> str:
    """What a library says went wrong, in one line: no colours, no backtrace."""
    text = re.split(r"(?i)\n?(stack )?backtrace|\s0: ", re.sub(r"\x1b\[[0-9;]*m|↳", "", str(error)))[0]
    return " ".join(text.split())[:300].rstrip(". ")


def _s3() -> pafs.S3FileSystem:
    return pafs.S3FileSystem(
        endpoint_override=os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"),
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
        connect_timeout=CONNECT_SECONDS,
        request_timeout=REQUEST_SECONDS,
        retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=_TRIES),
    )


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
