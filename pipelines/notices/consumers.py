"""What is reported to consumers: tables that have a new version with other rows."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import dagster as dg

from assets.table import CONTRACTS, table_and_part
from pipelines.notices.delivery import Finding, Kind
from pipelines.notices.links import table_link
from pipelines.notices.notice import Entry, Notice, subject_of
from pipelines.notices.records import Records
from pipelines.records import recorded_value, version_in_record
from taproom.errors import DamagedFileError, UnknownTableError

# A version is recorded after it was committed. A newest version that has no record after this time will not get one: a
# batch was removed, or the run was killed in between. While newer ones follow without a record, the table waits.
RECORDED_WITHIN = timedelta(minutes=5)
MOST_RECORDS = 1000


class RowChanges(NamedTuple):
    """Rows that a version has added, does not have any more, and has with other values."""

    added: int
    gone: int
    changed: int


def new_versions(records: Records, reported: Mapping[str, int] | None) -> Finding:
    """The tables whose newest version is not the one in `reported` and has other rows, an entry each.

    `reported` has the version of each table. Where it is None, nothing is new yet.
    """
    heads = records.heads
    if reported is None:
        return Finding(None, heads)
    after, entries = dict(reported), []
    for table, keys in sorted(_keys_by_table(records).items()):
        old, head = reported.get(table), heads.get(table)
        if head is None or head == old:
            continue
        # If the newest version is the lower one, the warehouse was lost and made again.
        new = range(head if old is None or old > head else old + 1, head + 1)
        changes = _row_changes(records, keys, new, since=_commit_time(records, table, new[0]))
        if head not in changes and _is_young(records, table, head):
            continue  # until the next evaluation
        after[table] = head
        if any(changes.get(version) != RowChanges(0, 0, 0) for version in new):
            entries.append(entry_of(table, old, new, changes))
    subject = subject_of("New version", entries) if entries else ""
    return Finding(Notice("new_version", subject, tuple(entries), records.time) if entries else None, after)


CONSUMER_KINDS: Mapping[str, Kind[Records]] = {"new_version": new_versions}


def _keys_by_table(records: Records) -> dict[str, list[dg.AssetKey]]:
    keys: dict[str, list[dg.AssetKey]] = {}
    for key in sorted(records.tables):
        keys.setdefault(table_and_part(key)[0], []).append(key)
    return keys


def _commit_time(records: Records, table: str, version: int) -> datetime | None:
    """When a version was committed; None if its commit is damaged or lost."""
    try:
        return records.warehouse.commit_of(table, version)["time"]
    except (DamagedFileError, UnknownTableError):
        return None


def _is_young(records: Records, table: str, version: int) -> bool:
    """Whether a version may still be recorded."""
    made = _commit_time(records, table, version)
    return made is not None and records.time - made < RECORDED_WITHIN


def _row_changes(
    records: Records, keys: Sequence[dg.AssetKey], versions: range, since: datetime | None
) -> dict[int, RowChanges | None]:
    """What each recorded version has changed; None where the run did not compare it, because it is large."""
    after = (since - timedelta(minutes=1)).timestamp() if since else None
    changes: dict[int, RowChanges | None] = {}
    for key in keys:
        of_asset = dg.AssetRecordsFilter(asset_key=key, after_timestamp=after)
        for record in records.instance.fetch_materializations(of_asset, limit=MOST_RECORDS).records:
            version = version_in_record(record, records.warehouse, key)
            if version is not None and version in versions:
                # The newest records come first, and those of a version after its first have found it unchanged.
                numbers = [recorded_value(record, f"rows_{what}") for what in RowChanges._fields]
                changes[version] = None if None in numbers else RowChanges(*numbers)
    return changes


def entry_of(table: str, old: int | None, new: range, changes: Mapping[int, RowChanges | None]) -> Entry:
    """The entry of a table with the versions `new` after `old`; `changes` has what each has changed if it is known."""
    known = [change for version in new if (change := changes.get(version)) is not None]
    total = RowChanges(*map(sum, zip(*known, strict=True))) if len(known) == len(new) else None
    rows = "; rows: " + ", ".join(f"{count:,} {what}" for what, count in total._asdict().items()) if total else ""
    before = "" if old is None else f", after version {old}"
    facts: dict[str, Any] = {"table": table, "old_version": old, "new_version": new[-1]}
    facts["contract_version"] = CONTRACTS[table].version
    facts |= {f"rows_{what}": getattr(total, what, None) for what in RowChanges._fields}
    text = f"{table} has version {new[-1]}{before}{rows}"
    return Entry(f"{table}@{new[-1]}", table, text, {"table": table_link(table)}, facts)
