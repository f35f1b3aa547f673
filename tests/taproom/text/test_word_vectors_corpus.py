import errno
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taproom.errors import StorageError
from taproom.text.word_vectors_corpus import END, frequent_words, write_corpus
from taproom.words.counting import DEFAULT_TOKEN_PATTERN, tokens


def read(corpus):
    """The words of each text, from the stream."""
    ends = np.flatnonzero(corpus.stream == END)
    texts = np.split(corpus.stream, ends + 1)[:-1]
    return [[corpus.words[number - 1] for number in text[:-1]] for text in texts]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.text("ab ÄßжΣσς東7_-\n\x00", max_size=40), max_size=6), max_size=5))
def test_the_stream_has_every_word_of_every_text_in_order(tmp_path_factory, batches):
    corpus = write_corpus([["first"], *batches], DEFAULT_TOKEN_PATTERN, tmp_path_factory.mktemp("corpus") / "corpus")
    wanted = [tokens(text) for texts in [["first"], *batches] for text in texts]
    assert read(corpus) == wanted
    assert corpus.stream.dtype == np.int32
    assert corpus.documents == len(wanted)
    assert corpus.tokens == sum(map(len, wanted))
    assert dict(zip(corpus.words, corpus.counts.tolist(), strict=True)) == Counter(w for line in wanted for w in line)


def test_frequent_words_have_the_numbers_of_the_stream(tmp_path):
    corpus = write_corpus([["cc bb dd", "bb aa cc"], ["dd dd dd ee"]], DEFAULT_TOKEN_PATTERN, tmp_path / "corpus")
    found = frequent_words(corpus, 2)
    assert found.words.tolist() == ["dd", "bb", "cc"]
    assert found.counts.tolist() == [4, 2, 2]
    assert [corpus.words[number - 1] for number in found.numbers] == ["dd", "bb", "cc"]


def test_an_error_of_the_texts_source_is_not_taken_for_a_full_folder(tmp_path):
    def broken():
        yield ["aa bb"]
        raise OSError(errno.EIO, "the source is gone")

    with pytest.raises(OSError, match="the source is gone"):
        write_corpus(broken(), DEFAULT_TOKEN_PATTERN, tmp_path / "corpus")


def test_a_full_folder_is_named():
    with pytest.raises(StorageError, match=r"to /dev/full: No space left on device.*TMPDIR"):
        write_corpus([["aa bb"]], DEFAULT_TOKEN_PATTERN, Path("/dev/full"))
