"""Files of reviews as tests write them, and what reading one gives."""

import csv
import gzip
import io
import json

from assets.reviews.reviews import CONTRACT
from taproom.sources.rejected_rows import Reason
from taproom.sources.reviews import ReviewReader

SCHEMA = CONTRACT.schema


def as_csv(rows, delimiter=","):
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def written(path, content):
    """The path, once it holds the content; packed where its suffix says so."""
    content = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path


def reader_of(file, **options):
    return ReviewReader(file, "batch-1", "beers", SCHEMA, **options)


def read(file, **options):
    """The table of a file's reviews, and the reader that read it; every row is counted."""
    reader = reader_of(file, **options)
    table = reader.reader().read_all()
    table.validate(full=True)
    counts = reader.counts
    assert counts["rows_kept"] == table.num_rows
    assert sum(counts[reason] for reason in Reason) == counts["rows_read"] - counts["rows_kept"] - counts["left_out"]
    return table, reader


def rejections(reader):
    return [(row["line"], row["reason"]) for row in reader.rejected.to_pylist()]


def values_left_out(reader):
    return {reason: count for reason, count in reader.values_left_out.items() if count}
