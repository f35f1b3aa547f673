"""The documents with the largest share of each topic, and how they begin."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taproom.errors import UnknownTableError
from taproom.pages.tables import inputs_of
from taproom.warehouse.warehouse import Warehouse

DOCUMENTS = 3
CHARACTERS = 140
MINIMUM_WORDS = 20
_READ = 10 * CHARACTERS  # of a document; blanks in a row become one


def typical_documents(warehouse: Warehouse, bags_version: int | None) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """For each topic of a weighting the documents with the largest share of it: `label`, `share`, and their `start`.

    Documents of less than `MINIMUM_WORDS` words are left out, since few words are often of one topic alone. Ties go to
    the longer document.

    Args:
        warehouse: where `document_topics`, `bag_of_words` and `documents` are.
        bags_version: version of `bag_of_words` that the topics were made from; it recorded that of `documents`.

    Returns:
        Nothing, where a table is gone.

    Raises:
        DamagedFileError: a table is damaged.
    """
    try:
        mixtures = warehouse.read("document_topics")
        bags = warehouse.read("bag_of_words", bags_version, columns=["document_id", "words"])
        inputs = inputs_of(warehouse, "bag_of_words", bags_version)
        found = {
            (weighting, topic): rows
            for weighting in mixtures["weighting"].unique().to_pylist()
            for topic, rows in enumerate(_largest(mixtures.filter(pc.equal(mixtures["weighting"], weighting)), bags))
        }
        wanted = pa.array(sorted({row["document_id"] for rows in found.values() for row in rows}), pa.string())
        starts = _starts(warehouse, inputs.get("documents"), wanted)
    except UnknownTableError:
        return {}
    return {
        topic: [
            {"label": row["label"], "share": row["share"], "start": starts[row["document_id"]]}
            for row in rows
            if row["document_id"] in starts
        ]
        for topic, rows in found.items()
    }


def _largest(mixtures: pa.Table, bags: pa.Table) -> list[list[dict[str, Any]]]:
    """For each topic the rows of the documents with its largest shares."""
    rows = pc.index_in(mixtures["document_id"], value_set=bags["document_id"].combine_chunks())
    words = pc.fill_null(bags["words"].take(rows), 0)
    is_long = pc.and_(pc.is_valid(mixtures["mixture"]), pc.greater_equal(words, MINIMUM_WORDS))
    mixtures, lengths = mixtures.filter(is_long), words.filter(is_long).to_numpy()
    if not len(mixtures):
        return []
    shares = mixtures["mixture"].combine_chunks().flatten().to_numpy().reshape(len(mixtures), -1)
    about = mixtures.select(["document_id", "label"])
    found = []
    for of_topic in shares.T:
        top = np.lexsort((-lengths, -of_topic))[:DOCUMENTS]
        rows = about.take(pa.array(top)).to_pylist()
        with_share = [{**row, "share": float(of_topic[each])} for row, each in zip(rows, top, strict=True)]
        found.append([row for row in with_share if row["share"] > 0])
    return found


def _starts(warehouse: Warehouse, version: int | None, document_ids: pa.Array) -> dict[str, str]:
    """How documents begin, by their ids."""
    starts = {}
    for batch in warehouse.stream("documents", version, columns=["document_id", "text"]):
        wanted = batch.filter(pc.is_in(batch["document_id"], value_set=document_ids))
        for row in wanted.to_pylist():
            start = " ".join(row["text"][:_READ].split())
            starts[row["document_id"]] = start if len(start) <= CHARACTERS else f"{start[:CHARACTERS].rstrip()} ..."
    return starts
