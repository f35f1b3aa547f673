"""The figures (PNG) of published rows, stored beside the tables.

Each is stored under the content hash of its rows, and the newest one also under the name of its table or part.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pyarrow.fs as pafs

from taproom.warehouse.storage import Storage

if TYPE_CHECKING:
    from taproom.warehouse.publishing import Published

FOLDER = "_figures"

_FIGURE_PATH = re.compile(rf"{FOLDER}/\w+/[0-9a-f]{{64}}\.png")


def put_figure(storage: Storage, published: "Published", png: bytes, part: str | None = None) -> str:
    """Store the figure of published rows; see `Warehouse.put_figure`."""
    newest = f"{FOLDER}/{published.table}{f'-{part}' if part else ''}.png"
    for path in (_path(published.table, published.content_hash), newest):
        with storage.errors(f"{path} could not be written to {storage.root}"):
            storage.replace(path, png, is_durable=False)
    return storage.uri(newest)


def figure(storage: Storage, table: str, content_hash: str) -> bytes | None:
    """The figure of rows with this content hash; see `Warehouse.figure`."""
    path = _path(table, content_hash)
    return storage.read(path) if _FIGURE_PATH.fullmatch(path) else None


def other_figures(storage: Storage, table: str, content_hashes: Iterable[str | None]) -> dict[str, pafs.FileInfo]:
    """The figures of a table, by path, other than those of rows with these content hashes."""
    folder = f"{FOLDER}/{table}"
    found = {f"{folder}/{info.base_name}": info for info in storage.listing(folder)}
    wanted = {_path(table, content_hash) for content_hash in content_hashes}
    return {path: info for path, info in found.items() if path not in wanted}


def _path(table: str, content_hash: str | None) -> str:
    return f"{FOLDER}/{table}/{content_hash}.png"
