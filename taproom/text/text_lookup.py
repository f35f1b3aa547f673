"""Applying the newest topics and word vectors: topics of a text, nearest words, analogies.

Here belongs what loads tables for the functions of `taproom`; a table's inputs are read at the versions that it
recorded. The computations are in `taproom.text.topics`, `taproom.words.vectors` and `taproom.text.analogies`.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from taproom.errors import InputError
from taproom.html import html_table
from taproom.text.topics import document_weights, mixtures, topics_of_table
from taproom.warehouse.history import recorded_inputs
from taproom.warehouse.warehouse import Warehouse
from taproom.words.counting import count_text
from taproom.words.vectors import WordVectors, nearest, vectors_from_table

# Smaller shares are rounding errors of 0.
MIN_SHARE = 1e-12


@dataclass(frozen=True)
class TopicShare:
    """A topic, its share of a text, and its heaviest words."""

    topic: int
    share: float
    top_words: tuple[str, ...]


@dataclass(frozen=True)
class TopicMixture:
    """The topics of a text.

    Attributes:
        topics: the topics with a positive share, largest share first; the shares sum to 1.
        words: the distinct words of the text that are terms of the topic model, in alphabetical order.
        unknown_words: its other distinct words, in alphabetical order.
    """

    topics: tuple[TopicShare, ...]
    words: tuple[str, ...]
    unknown_words: tuple[str, ...]

    def _repr_html_(self) -> str:
        rows = ((topic.topic, f"{topic.share:.0%}", " ".join(topic.top_words)) for topic in self.topics)
        return html_table("topics of the text", ("topic", "share", "heaviest words"), rows)


class TopicModel:
    """A version of the table `topics` (by default the newest), with the terms that it was fitted to.

    Raises:
        UnknownTableError: there is no such version.
        DamagedFileError: a file differs from what was committed.
    """

    def __init__(self, warehouse: Warehouse | None = None, version: int | None = None) -> None:
        """Load the tables."""
        warehouse = warehouse or Warehouse()
        version = warehouse.head("topics") if version is None else version
        self._topics = warehouse.read("topics", version)
        assert version is not None  # without the table, `read` has raised
        inputs = recorded_inputs(warehouse.commit_of("topics", version), "topics", ["terms"])
        terms = warehouse.read("terms", inputs["terms"])
        self._token_pattern = terms["token_pattern"][0].as_py()
        self._idf = terms["idf"].to_numpy()
        self._term_ids = {word: term_id for term_id, word in enumerate(terms["word"].to_pylist())}

    def topics_of(self, text: str, weighting: str) -> TopicMixture:
        """The mixture of topics of a text, bit for bit what its row in `document_topics` would have.

        Args:
            text: any text.
            weighting: "tfidf" or "bag_of_words", the weighting that the topics were fitted to.

        Raises:
            InputError: the text is not a string or has no word of any topic, or there is no such weighting.
        """
        topics = topics_of_table(self._topics, weighting, len(self._idf))
        words, counts = count_text(text, self._token_pattern)
        term_ids = np.array([self._term_ids.get(word, -1) for word in words])
        known = term_ids >= 0
        shares = sparse.csr_array(
            (counts[known] / counts.sum(), term_ids[known], [0, known.sum()]), (1, len(self._idf))
        )
        mixture = mixtures(document_weights(shares, self._idf if weighting == "tfidf" else None), topics)[0]
        if not mixture.any():
            raise InputError(
                f"None of the {counts.sum()} words of the text is in any topic; topics are made of "
                f"{len(self._term_ids)} words. Give a text on a subject of the corpus, in its language."
            )
        rows = {row["topic"]: row for row in self._topics.to_pylist() if row["weighting"] == weighting}
        largest = [topic for topic in np.argsort(-mixture, kind="stable").tolist() if mixture[topic] > MIN_SHARE]
        found = tuple(TopicShare(topic, float(mixture[topic]), tuple(rows[topic]["top_words"])) for topic in largest)
        return TopicMixture(found, tuple(words[known]), tuple(words[~known]))


def load_vectors(warehouse: Warehouse, version: int | None) -> WordVectors:
    """A version of the table `word_vectors` (None: the newest)."""
    return vectors_from_table(warehouse.read("word_vectors", version))


def nearest_words(vectors: WordVectors, word: str, k: int) -> list[tuple[str, float]]:
    """The k words most similar to a word, with their cosines, most similar first.

    Raises:
        InputError: the word has no vector, or k is out of range.
    """
    rows, similarities = nearest(vectors, np.array([vectors.row_of(word)]), k)
    return list(zip(vectors.words[rows[0]], similarities[0].tolist(), strict=True))
