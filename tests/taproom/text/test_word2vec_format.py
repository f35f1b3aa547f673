import numpy as np
import pyarrow as pa
import pytest
from gensim.models import KeyedVectors

from taproom.errors import InputError, UnknownTableError
from taproom.text.word2vec_format import export_word_vectors
from taproom.warehouse.contracts import Column, Contract

WORD_VECTORS = Contract(
    "word_vectors",
    "a word",
    (Column("word", pa.string(), "the word"), Column("vector", pa.list_(pa.float32()), "its vector")),
    ("word",),
)
WORDS = ["the", "kölsch", "9 000", "9_000", "9\u00a0000"]
VECTORS = np.random.default_rng(0).normal(size=(len(WORDS), 4)).astype("f4") * np.float32(1e-7)


@pytest.fixture
def vectors(warehouse):
    rows = WORD_VECTORS.table_of(word=WORDS, vector=[*VECTORS])
    warehouse.publish(WORD_VECTORS, rows.slice(0, 1), since=None)
    warehouse.publish(WORD_VECTORS, rows, since=0)
    return warehouse


@pytest.mark.parametrize("binary", [False, True])
def test_gensim_reads_every_bit(vectors, tmp_path, binary):
    export_word_vectors(vectors, tmp_path / "words", binary=binary)
    read = KeyedVectors.load_word2vec_format(tmp_path / "words", binary=binary)
    assert read.index_to_key == ["the", "kölsch", "9_000", "9_000_", "9_000__"]
    np.testing.assert_array_equal(read.vectors, VECTORS)


def test_a_version_can_be_written(vectors, tmp_path):
    export_word_vectors(vectors, tmp_path / "words.txt", version=0)
    assert (tmp_path / "words.txt").read_text().splitlines()[0] == "1 4"
    with pytest.raises(InputError, match="exists"):
        export_word_vectors(vectors, tmp_path / "words.txt")


def test_without_word_vectors_nothing_is_written(warehouse, tmp_path):
    with pytest.raises(UnknownTableError, match="no word vectors"):
        export_word_vectors(warehouse, tmp_path / "words.txt")
    assert not (tmp_path / "words.txt").exists()
