"""Sources with an address, whose small files of the same format a web server of this machine gives, for tests."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.serving import file_server, serving


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
        serving(file_server(files)) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        tables = [
            _table(name, f"http://127.0.0.1:{server.server_port}/{name}", content, members)
            for name, (content, members) in archives.items()
        ]
        (folder / "sources.toml").write_text("\n".join(tables))
        patch.setenv("TAPROOM_SOURCES", str(folder / "sources.toml"))
        patch.setenv("TAPROOM_CACHE", str(folder / "cache"))
        yield files


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
