from pathlib import Path

import pyarrow as pa
import pytest

from taproom.cluster import taken_usages
from taproom.errors import InputError
from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.scratch import FOLDER
from taproom.words.counting import count_words
from taproom.words.stored_texts import count_stored

NOTES = Contract(
    "notes", "a note", (Column("beer", pa.string(), "its beer"), Column("text", pa.string(), "it")), ("text",)
)
BEERS = [f"beer {number % 9}" for number in range(200)]
TEXTS = [f"Hops {number} {'malt ' * (number % 5)}süß" for number in range(200)]


@pytest.fixture
def notes(stored, monkeypatch):
    """A version of a table of notes, in several data files."""
    for limit in ("BYTES_PER_BATCH", "BYTES_PER_FILE"):
        monkeypatch.setattr(f"taproom.warehouse.data_files.{limit}", 2_000)
    return stored(NOTES, NOTES.table_of(beer=BEERS, text=TEXTS))


def arrays(counts):
    matrix = counts.counts
    parts = (matrix.indptr, matrix.indices, matrix.data)
    return counts.item_ids.tolist(), counts.words.tolist(), [(part.dtype, part.tolist()) for part in parts]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_texts_of_a_table_are_counted_as_texts_in_memory(notes, n_jobs):
    assert arrays(count_stored(notes, "beer", n_jobs=n_jobs)) == arrays(count_words(BEERS, TEXTS))
    by_digit = count_stored(notes, "beer", r"\d", n_jobs=n_jobs)
    assert arrays(by_digit) == arrays(count_words(BEERS, TEXTS, r"\d"))


@pytest.mark.slow
@pytest.mark.parametrize("token_pattern", [r"\w+", r"\d\d\d"])
def test_a_cluster_gives_the_same_counts_and_is_sent_neither_texts_nor_counts(notes, on_cluster, token_pattern):
    files = len(notes.by_file())
    taken_usages()
    assert arrays(count_stored(notes, "beer", token_pattern)) == arrays(count_words(BEERS, TEXTS, token_pattern))
    (usage,) = taken_usages()
    assert usage.blocks == files > 2
    assert usage.largest_sent < 1_500
    assert usage.largest_received < 100  # the name of a file
    assert not [path for path in Path(notes.root, FOLDER).rglob("*") if path.is_file()]


@pytest.mark.slow
def test_a_table_of_one_file_is_counted_here(stored, on_cluster):
    taken_usages()
    one = stored(NOTES, NOTES.table_of(beer=BEERS, text=TEXTS))
    assert arrays(count_stored(one, "beer")) == arrays(count_words(BEERS, TEXTS))
    assert taken_usages() == []


@pytest.mark.slow
def test_an_error_of_a_worker_leaves_no_files(notes, on_cluster):
    with pytest.raises(InputError, match="not a regular expression"):
        count_stored(notes, "beer", "(")
    assert not [path for path in Path(notes.root, FOLDER).rglob("*") if path.is_file()]
