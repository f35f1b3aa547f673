"""Reviews read out of a file, in Arrow record batches of bounded size, one row a review.

A file (CSV, TSV, JSON lines, Parquet or a dump of beer reviews; the text formats also packed by gzip or bzip2) comes
from people. A row that cannot be read is therefore rejected, with its line and the reason, and the other rows are kept;
a file that cannot be read at all is a `SourceError`.

Here belongs the reader that puts the steps together. Each step has a module of its own:

- `review_files`: what is known of a file before it is read;
- `record_lines`, `text_rows`, `parquet_rows`: from a file to rows of strings (`review_rows`);
- `review_fields`: from strings to fields, and which values are bad;
- `duplicate_ids`: ids that repeat;
- `rejected_rows`: reasons, counts, and the rejected rows that are kept.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from taproom.errors import SourceError
from taproom.progress import progress
from taproom.sources import review_fields as fields
from taproom.sources.characters import is_storable
from taproom.sources.duplicate_ids import SeenIds
from taproom.sources.parquet_rows import parquet_rows
from taproom.sources.rejected_rows import Reason, RejectedRows
from taproom.sources.review_files import ReviewFile
from taproom.sources.review_rows import Rows
from taproom.sources.text_rows import text_rows


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
    >>> schema = pa.schema({"item_id": pa.string(), "overall": pa.float64(), "text": pa.string()})
    >>> reader = ReviewReader(ReviewFile(path), "beers", "beers", schema)
    >>> reader.reader().read_all().to_pylist()
    [{'item_id': '1', 'overall': 15.0, 'text': 'Hoppy'}]
    >>> reader.rejected.select(["line", "reason", "detail"]).to_pylist()
    [{'line': 3, 'reason': 'bad_score', 'detail': "overall is 'good'"}]
    """

    def __init__(self, file: ReviewFile, batch: str, collection: str, schema: pa.Schema, rows_per_batch: int = 10_000):
        self._file = file.with_format()
        self._file.check()
        self._batch, self._collection = batch, collection
        self._schema = schema
        self._rows_per_batch = rows_per_batch
        self._start()

    def _start(self) -> None:
        self._columns: dict[str, str] = {}
        self._kept = self._left_out = 0
        self._rejected = RejectedRows()
        self._seen = SeenIds()

    def reader(self) -> pa.RecordBatchReader:
        """Stream the reviews in batches of at most `rows_per_batch` rows and about 16 MB.

        Text and ids lose the white space around them. A row without an id gets one: 16 hex digits of BLAKE2b over its
        item, reviewer, time and text, so that a repeated row is a duplicate. Of the rows with the same id the first is
        kept.

        Raises `SourceError`, from within the iteration, if a column is missing (before the first batch), the file is
        cut off or damaged, or none of its rows can be read. Python's iteration raises it as it is; a consumer behind
        Arrow's C stream interface gets an error of its own with the same message.
        """
        return pa.RecordBatchReader.from_batches(self._schema, self._batches())

    @property
    def counts(self) -> dict[str, int]:
        """The number of rows so far: rows_read = rows_kept + left_out + those of each reason (every one is a key)."""
        rejected = self._rejected.counts
        rows_read = self._kept + self._left_out + sum(rejected.values())
        return {"rows_read": rows_read, "rows_kept": self._kept, "left_out": self._left_out, **rejected}

    @property
    def rejected(self) -> pa.Table:
        """The rejected rows so far (the first 100,000 of them), sorted by line, in `REJECTED_SCHEMA`.

        `line` is where the row starts: a line of the unpacked text, or in a Parquet file the number of the row; both
        count from 1.
        """
        return self._rejected.table(self._batch, self._file.path.name)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        self._start()
        with progress(doing=f"reading {self._file.path.name}", unit=" reviews") as bar:
            for rows in self._rows():
                batch = self._reviews(rows)
                bar.update(len(rows.lines))
                if batch.num_rows:
                    self._kept += batch.num_rows
                    yield batch
        if not self._kept:
            raise self._no_reviews()

    def _rows(self) -> Iterator[Rows]:
        if self._file.format == "parquet":
            return parquet_rows(self._file.path, self._rows_per_batch, self._choose_columns, self._rejected.add)
        return text_rows(self._file, self._rows_per_batch, self._choose_columns, self._rejected.add)

    def _choose_columns(self, available: Sequence[str]) -> list[str]:
        self._columns = self._file.columns_of_fields(available)
        return list(dict.fromkeys([*self._columns.values(), *self._file.drop]))

    def _reviews(self, rows: Rows) -> pa.RecordBatch:
        """The rows that are reviews, in the table's schema; the others are rejected."""
        rows = fields.in_fields(self._without_dropped(rows), self._columns)
        rows = self._without(rows, fields.bad_characters(rows, self._file.encoding))
        rows = self._without_blank(rows, "text", Reason.EMPTY_TEXT, "text is blank")
        rows = self._without_blank(
            fields.with_items(rows), "item_id", Reason.NO_ITEM, "item_id and item_name are blank"
        )
        if self._file.item_title:
            rows = fields.with_titles(rows, self._file.item_title)
        for name in fields.score_fields(rows):
            rows = self._without(*fields.parsed(rows, name, fields.parse_score, Reason.BAD_SCORE))
        rows = self._without(*fields.parsed(rows, "time", fields.parse_time, Reason.BAD_TIME))
        rows = self._without_duplicates(fields.with_review_ids(rows))
        return fields.record_batch(rows, self._schema, {"batch": self._batch, "collection": self._collection})

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
        for column, values in self._file.drop.items():
            kept = rows.where([value not in values for value in rows.columns[column]])
            self._left_out += len(rows.lines) - len(kept.lines)
            rows = kept
        return rows

    def _without_duplicates(self, rows: Rows) -> Rows:
        first_lines = self._seen.first_lines(rows.columns["review_id"], rows.lines)
        bad = {
            position: (Reason.DUPLICATE_REVIEW_ID, f"first seen on line {first_lines[position]:,}")
            for position in np.flatnonzero(first_lines != rows.lines).tolist()
        }
        return self._without(rows, bad)

    def _no_reviews(self) -> SourceError:
        path, counts = self._file.path, self.counts
        if not counts["rows_read"]:
            return SourceError(f"{path} has no rows, at most a header. Wanted: reviews, one a row.")
        reasons = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count and name != "rows_read")
        message = f"{path}: none of its {counts['rows_read']:,} rows is a review that can be read ({reasons})."
        if first := self._rejected.first:
            message += f" The first is at line {first.line:,}: {first.reason}, {first.detail}."
        return SourceError(f"{message} Correct the file, its column mapping, or its encoding ({self._file.encoding}).")
