"""Feeds of new versions beside the pages, for feed readers and programs: JSON Feed 1.1 and Atom (RFC 4287).

They depend only on the history of the tables: the same versions give the same bytes, and a version has the same id in
both feeds for as long as it is in them.
"""

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

from taproom.warehouse.warehouse import Warehouse

MOST_VERSIONS = 100
MOST_OF_A_TABLE = 10  # so that a table of many batches does not fill the feed
JSON_FEED, ATOM = "feed.json", "feed.xml"
TITLE = "Taproom: new versions of tables"

_NAMESPACE = uuid.UUID("8f6d3f0c-6a4b-4d56-9a53-0c1f0e5b7a21")
_ATOM_NAMESPACE = "http://www.w3.org/2005/Atom"


@dataclass(frozen=True)
class NewVersion:
    """A version of a table whose rows differ from those of the version before.

    Attributes:
        table: the table.
        version: its version.
        time: when it was committed, UTC.
        partition: the batch (the study) that was committed; None: the whole table.
        rows: rows of the table, or of the partition.
        origin: the run and the hash of the rows, which another warehouse's version of this number does not share.
    """

    table: str
    version: int
    time: datetime
    partition: str | None
    rows: int | None
    origin: str

    @property
    def id(self) -> str:
        """A URN that no other version has."""
        return f"urn:uuid:{uuid.uuid5(_NAMESPACE, f'{self.table}/{self.version}/{self.origin}')}"

    @property
    def title(self) -> str:
        """Table and version."""
        return f"{self.table}, version {self.version}"

    @property
    def text(self) -> str:
        """What was committed, in a sentence."""
        rows = "" if self.rows is None else f": {self.rows:,} rows"
        of = f" of {self.partition}" if self.partition else ""
        return f"{self.table} has version {self.version}{rows}{of}."

    @property
    def page(self) -> str:
        """The page of the table, relative to the feeds."""
        return f"tables/{self.table}.html"


def newest_versions(warehouse: Warehouse, tables: Iterable[str]) -> list[NewVersion]:
    """The newest versions of some tables, the newest first; at most `MOST_VERSIONS`, and `MOST_OF_A_TABLE` of each.

    Raises:
        DamagedLogError: the log of a table is damaged.
    """
    found = [version for table in tables for version in _versions_of(warehouse, table)]
    return sorted(found, key=lambda each: (each.time, each.table, each.version), reverse=True)[:MOST_VERSIONS]


def feeds(versions: Sequence[NewVersion], address: str | None = None) -> dict[str, bytes]:
    """Both feeds, by their paths.

    Args:
        versions: the newest first.
        address: where the pages are served, without a slash at the end. Without it links are relative in Atom, and left
            out of the JSON feed, which knows no relative ones.
    """
    return {JSON_FEED: _json_feed(versions, address), ATOM: _atom(versions, address)}


def _versions_of(warehouse: Warehouse, table: str) -> list[NewVersion]:
    """The newest versions of a table, newest first, without those that only have other settings."""
    hashes: dict[str | None, str | None] = {}
    found = []
    for commit in reversed(warehouse.history(table)):
        partition, content_hash = commit["partition"], commit["content_hash"]
        if content_hash is None or hashes.get(partition) != content_hash:
            origin = f"{commit['run_id']}/{content_hash}"
            found.append(NewVersion(table, commit["version"], commit["time"], partition, commit["rows"], origin))
        hashes[partition] = content_hash
    return found[: -MOST_OF_A_TABLE - 1 : -1]


def _json_feed(versions: Sequence[NewVersion], address: str | None) -> bytes:
    feed: dict[str, Any] = {"version": "https://jsonfeed.org/version/1.1", "title": TITLE}
    if address:
        feed |= {"home_page_url": f"{address}/index.html", "feed_url": f"{address}/{JSON_FEED}"}
    feed["items"] = [
        {
            "id": version.id,
            **({"url": f"{address}/{version.page}"} if address else {}),
            "title": version.title,
            "content_text": version.text,
            "date_published": _timestamp(version.time),
        }
        for version in versions
    ]
    return (json.dumps(feed, indent=1, ensure_ascii=False) + "\n").encode()


def _atom(versions: Sequence[NewVersion], address: str | None) -> bytes:
    base = f"{address}/" if address else ""
    feed = ElementTree.Element("feed", xmlns=_ATOM_NAMESPACE)
    _add(feed, "id", f"urn:uuid:{uuid.uuid5(_NAMESPACE, address or '')}")
    _add(feed, "title", TITLE)
    _add(feed, "updated", _timestamp(versions[0].time if versions else datetime.fromtimestamp(0, UTC)))
    _add(feed, "link", rel="self", type="application/atom+xml", href=f"{base}{ATOM}")
    _add(feed, "link", rel="alternate", type="text/html", href=f"{base}index.html")
    _add(_add(feed, "author"), "name", "Taproom")
    for version in versions:
        entry = _add(feed, "entry")
        _add(entry, "id", version.id)
        _add(entry, "title", version.title)
        _add(entry, "updated", _timestamp(version.time))
        _add(entry, "link", rel="alternate", type="text/html", href=f"{base}{version.page}")
        _add(entry, "content", version.text, type="text")
    ElementTree.indent(feed, " ")
    return ElementTree.tostring(feed, encoding="utf-8", xml_declaration=True) + b"\n"


def _add(parent: ElementTree.Element, name: str, text: str | None = None, **attributes: str) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, name, attributes)
    element.text = text
    return element


def _timestamp(time: datetime) -> str:
    return time.isoformat(timespec="seconds")
