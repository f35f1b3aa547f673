"""Sources with an address, whose small files of the same format a web server of this machine gives, for tests."""

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served_sources(folder: Path, archives: Mapping[str, tuple[bytes, list[str]]]) -> Iterator[Path]:
    """A list of sources, of each its archive and the members of it; gives the folder of the files that are served.

    The list has the archives' own hashes and sizes; the cache is empty.
    """
    files = folder / "served"
    files.mkdir()
    for name, (content, _) in archives.items():
        (files / name).write_bytes(content)
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(files))) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        tables = [
            _table(name, f"http://127.0.0.1:{server.server_port}/{name}", content, members)
            for name, (content, members) in archives.items()
        ]
        (folder / "sources.toml").write_text("\n".join(tables))
        patch.setenv("TAPROOM_SOURCES", str(folder / "sources.toml"))
        patch.setenv("TAPROOM_CACHE", str(folder / "cache"))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield files
        finally:
            server.shutdown()
            thread.join()


def zipped(name: str, content: bytes) -> bytes:
    """A zip archive of one file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def _table(name: str, address: str, content: bytes, members: list[str]) -> str:
    values = {
        "from": address, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), "members": members,
        "licence": "CC0", "citation": "nobody", "description": "a small file of the same format",
    }  # fmt: skip
    return "\n".join([f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())])
