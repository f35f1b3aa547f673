"""Reviews read out of a file, in Arrow record batches of bounded size, one row a review.

A file (CSV, TSV, JSON, Parquet or a dump of beer reviews) comes from people. A row that cannot be read is therefore
rejected, with its line and the reason, and the other rows are kept; a value that a review can be without is left out,
and counted. A file that cannot be read at all, or of which too many rows are rejected, is a `SourceError`.

Here belongs the reader that puts the steps together. Each step has a module of its own:

- `review_files`: what is known of a file before it is read;
- `record_lines`, `text_rows`, `parquet_rows`: from a file to rows of strings (`review_rows`);
- `review_fields`: from strings to fields, and which values are bad;
- `field_values`: how numbers, times and ids are written;
- `repeated_reviews`: which rows are the same review;
- `rejected_rows`: reasons, counts, and the rejected rows that are kept.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from taproom.errors import SourceError
from taproom.progress import progress
from taproom.sources import review_fields as fields
from taproom.sources.characters import is_storable
from taproom.sources.field_values import microseconds, score, whole_id
from taproom.sources.parquet_rows import parquet_rows
from taproom.sources.rejected_rows import LeftOutValues, Reason, RejectedRows, ValueReason
from taproom.sources.repeated_reviews import SettledReviews
from taproom.sources.review_files import ReviewFile
from taproom.sources.review_rows import Rows
from taproom.sources.spool import Spool
from taproom.sources.text_rows import rows_as_they_are, text_rows

# The reason for a row whose text or item is a value that is left out elsewhere.
_ROW_REASONS = {
    ValueReason.NOT_ONE_VALUE: Reason.UNREADABLE,
    ValueReason.WRONG_ENCODING: Reason.WRONG_ENCODING,
    ValueReason.NUL_BYTE: Reason.NUL_BYTE,
    ValueReason.ROUNDED_ID: Reason.NO_ITEM,
}


class ReviewReader:
    r"""Reads one file: a stream of reviews and, once that has been consumed, the rejected rows.

    Args:
        file: the file, and how to read its columns.
        batch: the value of the column `batch` in every row.
        collection: the value of the column `collection` in every row.
        schema: that of the table `reviews`.
        rows_per_batch: the most rows of a batch.

    Raises `SourceError` if the file is missing or empty, its format is unknown, its encoding cannot be used, or its
    mapping names a field that a review does not have.

    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp(), "beers.csv")
    >>> _ = path.write_text("item_id,overall,text\n1,15,Hoppy\n2,good,Sweet\n")
    >>> names = ("review_id", "item_id", "item_name", "reviewer_id", "text")
    >>> schema = pa.schema({**dict.fromkeys(names, pa.string()), "time": pa.timestamp("us"), "overall": pa.float64()})
    >>> reader = ReviewReader(ReviewFile(path), "beers", "beers", schema)
    >>> reader.reader().read_all().select(["item_id", "overall", "text"]).to_pylist()
    [{'item_id': '1', 'overall': 15.0, 'text': 'Hoppy'}, {'item_id': '2', 'overall': None, 'text': 'Sweet'}]
    >>> reader.notes
    ["1 value was left out as bad_score (line 3: overall is 'good')"]
    """

    def __init__(self, file: ReviewFile, batch: str, collection: str, schema: pa.Schema, rows_per_batch: int = 10_000):
        self._file = file.recognised()
        self._batch, self._collection = batch, collection
        self._schema = schema
        self._rows_per_batch = rows_per_batch
        self._start()

    def _start(self) -> None:
        self._columns: dict[str, str] = {}
        self._dropped: dict[str, Sequence[str]] = {}
        self._kept = self._left_out = 0
        self._rejected = RejectedRows()
        self._values = LeftOutValues()
        self._scales: defaultdict[str, set[float | None]] = defaultdict(set)
        self._garbled = 0

    def reader(self) -> pa.RecordBatchReader:
        """Stream the reviews in batches of at most `rows_per_batch` rows and about 16 MB.

        Text and ids lose the white space around them. A row without an id gets one, see `review_fields`. Of the rows
        that are the same review one is kept, see `repeated_reviews`; so the file is read to its end first, and its
        reviews wait in a temporary file.

        Raises `SourceError`, from within the iteration and before the first batch, if a column is missing, the file is
        cut off or damaged, more of its rows are rejected than `max_rejected_share`, or none can be read. Python's
        iteration raises it as it is; a consumer behind Arrow's C stream interface gets an error of its own with the
        same message.
        """
        return pa.RecordBatchReader.from_batches(self._schema, self._batches())

    @property
    def form(self) -> dict[str, str]:
        """The file's format, encoding, delimiter and quoting, as they were recognised or said."""
        return self._file.form

    @property
    def counts(self) -> dict[str, int]:
        """The number of rows: rows_read = rows_kept + left_out + those of each `Reason` (every one is a key)."""
        rejected = self._rejected.counts
        rows_read = self._kept + self._left_out + sum(rejected.values())
        return {"rows_read": rows_read, "rows_kept": self._kept, "left_out": self._left_out, **rejected}

    @property
    def values_left_out(self) -> dict[str, int]:
        """The number of values that were left out while their rows count, for each `ValueReason`."""
        return self._values.counts

    @property
    def rejected_share(self) -> float:
        """The share of the rows with something wrong with them; repeated ones are not."""
        return self._rejected.bad_rows / max(self.counts["rows_read"], 1)

    @property
    def repeated_share(self) -> float:
        """The share of the rows that are the same review as another one."""
        counts = self.counts
        return (counts[Reason.DUPLICATE] + counts[Reason.REPLACED]) / max(counts["rows_read"], 1)

    @property
    def score_scales(self) -> dict[str, list[float | None]]:
        """The highest scores that a field's values are written with (`15/20`); None for values without one."""
        return {
            name: sorted(scales, key=lambda scale: scale or 0)
            for name, scales in self._scales.items()
            if scales - {None}
        }

    @property
    def mojibake_share(self) -> float:
        """The share of the rows whose text was read in the wrong encoding before it came into the file."""
        return self._garbled / max(self.counts["rows_read"], 1)

    @property
    def notes(self) -> list[str]:
        """What a person should know of the file, a line each: what was rejected, left out, or recognised."""
        rejected = [f"{reason} {count:,}" for reason, count in self._rejected.counts.items() if count]
        notes = []
        if rejected:
            first = "; ".join(f"line {row.line:,}: {row.detail}" for row in self._rejected.first)
            rows = self.counts["rows_read"]
            notes.append(f"{rows - self._kept - self._left_out:,} of {rows:,} rows were rejected "
                         f"({', '.join(rejected)}): {first}")  # fmt: skip
        if self._left_out:
            notes.append(f"{self._left_out:,} rows were left out, as the source says")
        for name, scales in self.score_scales.items():
            if len(scales) > 1:
                shown = ", ".join("none" if scale is None else f"{scale:g}" for scale in scales)
                notes.append(f"{name} is written on several scales ({shown}); its values are not comparable")
        if self._garbled:
            done = "repaired" if self._file.repair_mojibake else "read as they are; `repair_mojibake` repairs them"
            notes.append(f"{self._garbled:,} texts were read in a wrong encoding before (such as KÃ¶lsch): {done}")
        return [*notes, *self._values.notes]

    @property
    def rejected(self) -> pa.Table:
        """The rejected rows so far (the first 100,000 of them), sorted by line, in `REJECTED_SCHEMA`.

        `line` is where the row starts: a line of the unpacked text, or in a Parquet file the number of the row; both
        count from 1.
        """
        return self._rejected.table(self._batch, self._file.path.name)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        self._start()
        spool = Spool(self._schema)
        lines: list[int] = []
        with progress(doing=f"reading {self._file.path.name}", unit=" reviews") as bar:
            for rows in self._rows():
                batch, kept_lines = self._reviews(rows)
                bar.update(len(rows.lines))
                if batch.num_rows:
                    spool.add(batch)
                    lines.extend(kept_lines)
        self._kept = len(spool)
        if not self._kept:
            raise self._no_reviews()
        self._check_rejected_share()
        yield from self._settled(spool, np.array(lines, np.int64))

    def _settled(self, spool: Spool, lines: np.ndarray) -> Iterator[pa.RecordBatch]:
        """The reviews, each once, and each with an id of its own."""
        reviews = SettledReviews(spool)
        for position, row in reviews.repeated.items():
            found = "the same as on" if row.reason is Reason.DUPLICATE else "corrected on"
            self._rejected.add(int(lines[position]), row.reason, f"{found} line {lines[row.kept]:,}", row.review_id)
        self._kept -= len(reviews.repeated)
        yield from reviews

    def _rows(self) -> Iterator[Rows]:
        if self._file.format == "parquet":
            return parquet_rows(self._file.path, self._rows_per_batch, self._choose_columns, self._rejected.add)
        return text_rows(self._file, self._rows_per_batch, self._choose_columns, self._rejected.add)

    def _choose_columns(self, available: Sequence[str], complete: bool) -> list[str]:
        self._columns = self._file.columns_of_fields(available, complete)
        self._dropped = self._file.dropped_columns(available)
        return list(dict.fromkeys([*self._columns.values(), *self._dropped]))

    def _reviews(self, rows: Rows) -> tuple[pa.RecordBatch, Sequence[int]]:
        """The rows that are reviews, in the table's schema, and their lines; the others are rejected."""
        rows = fields.in_fields(self._without_dropped(rows), self._columns)
        for name in rows.columns:
            rows = self._without_bad(rows, name, fields.unusable(name, rows.columns[name], self._encoding))
        if self._file.repair_mojibake:
            rows = fields.with_repaired_text(rows, ("item_name", "category"))
        if self._file.html == "auto":
            rows = fields.with_plain_text(rows, ("item_name", "category"))
        rows = self._without_blank(rows, "text", Reason.EMPTY_TEXT, "text is blank")
        for name in fields.ID_FIELDS:
            if fields.may_be_numbers(rows.columns[name]):
                rows = self._parsed(rows, name, whole_id, ValueReason.ROUNDED_ID)
        rows = self._without_blank(
            fields.with_items(rows), "item_id", Reason.NO_ITEM, "item_id and item_name are blank"
        )
        if self._file.item_title:
            rows = fields.with_titles(rows, self._file.item_title)
        for name in fields.score_fields(rows):
            rows = self._parsed(rows, name, score, ValueReason.BAD_SCORE)
            self._scales[name] |= {found.scale for found in set(rows.columns[name]) if found}
            rows = rows.having({name: [found and found.value for found in rows.columns[name]]})
        rows = self._parsed(rows, "time", partial(microseconds, order=self._file.date_order), ValueReason.BAD_TIME)
        rows = fields.with_review_ids(rows)
        # From here on, so that an id does not depend on it.
        self._garbled += fields.garbled(rows.columns["text"])
        if self._file.repair_mojibake:
            rows = fields.with_repaired_text(rows, ("text",))
        if self._file.html == "auto":
            rows = fields.with_plain_text(rows, ("text",))
            rows = self._without_blank(rows, "text", Reason.EMPTY_TEXT, "text is blank but for HTML")
        constants = {"batch": self._batch, "collection": self._collection}
        return fields.record_batch(rows, self._schema, constants), rows.lines

    def _parsed(self, rows: Rows, name: str, parse: Callable[[str], Any], reason: ValueReason) -> Rows:
        rows, bad = fields.parsed(rows, name, parse, reason)
        return self._without_bad(rows, name, bad)

    def _without_bad(self, rows: Rows, name: str, bad: fields.BadValues) -> Rows:
        """Reject the rows with bad values if a review needs the field; else leave the values out."""
        if not bad:
            return rows
        if name in self._needed:
            return self._without(rows, {at: (_ROW_REASONS[reason], detail) for at, (reason, detail) in bad.items()})
        for position, (reason, detail) in bad.items():
            self._values.add(rows.lines[position], reason, detail)
        values = [None if position in bad else value for position, value in enumerate(rows.columns[name])]
        return rows.having({name: values})

    @property
    def _encoding(self) -> str:
        return self._file.encoding or "utf-8"

    @property
    def _needed(self) -> set[str]:
        return {"text", "item_id" if "item_id" in self._columns else "item_name"}

    def _without(self, rows: Rows, bad: fields.BadRows) -> Rows:
        """Reject the bad rows, and give the others."""
        if not bad:
            return rows
        for position, (reason, detail) in bad.items():
            review_id = rows.columns["review_id"][position]
            storable_id = review_id if review_id and is_storable(review_id) else None
            self._rejected.add(rows.lines[position], reason, detail, storable_id)
        return rows.where([position not in bad for position in range(len(rows.lines))])

    def _without_blank(self, rows: Rows, name: str, reason: Reason, detail: str) -> Rows:
        return self._without(rows, fields.blank(rows.columns[name], reason, detail))

    def _without_dropped(self, rows: Rows) -> Rows:
        for column, values in self._dropped.items():
            kept = rows.where([value not in values for value in rows.columns[column]])
            self._left_out += len(rows.lines) - len(kept.lines)
            rows = kept
        return rows

    def _check_rejected_share(self) -> None:
        if self.rejected_share > self._file.max_rejected_share:
            raise SourceError(
                f"{self._file.path}: of {self.counts['rows_read']:,} rows {self.rejected_share:.1%} cannot be read. "
                f"Allowed is `max_rejected_share`, {self._file.max_rejected_share:.1%}. The first: {self._examples()} "
                f"Correct the file, its `columns` or `encoding` ({self._encoding}), or set `max_rejected_share`."
            )

    def _examples(self) -> str:
        """The first rejected rows: why, and how they stand in the file."""
        first = self._rejected.first
        rows = rows_as_they_are(self._file, [row.line for row in first])
        return " ".join(
            f"line {row.line:,} ({row.reason}: {row.detail}){f' {rows[row.line]}' if row.line in rows else ''}."
            for row in first
        )

    def _no_reviews(self) -> SourceError:
        path, counts = self._file.path, self.counts
        if not counts["rows_read"]:
            return SourceError(f"{path} has no rows, at most a header. Wanted: reviews, one a row.")
        reasons = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count and name != "rows_read")
        message = f"{path}: none of its {counts['rows_read']:,} rows is a review that can be read ({reasons})."
        if first := self._rejected.first:
            message += f" The first is at line {first[0].line:,}: {first[0].reason}, {first[0].detail}."
        return SourceError(f"{message} Correct the file, its column mapping, or its encoding ({self._encoding}).")
