"""What the text tables say of a new text or a word: its topics, the words near it, the answer to an analogy.

Here belongs what takes a question to the newest tables; all are read at the versions that the newest recorded. Topics
and vectors themselves are in `taproom.text.topics`, `taproom.text.word_vectors` and `taproom.text.analogies`.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from taproom.errors import InputError
from taproom.text.analogies import complete
from taproom.text.topics import document_weights, mixtures, topics_of_table
from taproom.warehouse.history import recorded_inputs
from taproom.warehouse.newest_cache import NewestCache
from taproom.warehouse.warehouse import Warehouse
from taproom.words.counting import count_text
from taproom.words.vectors import WordVectors, vectors_from_table
from taproom.words.vectors import nearest as nearest_places

# Shares below this are what rounding has left of none.
ROUNDED = 1e-12


@dataclass(frozen=True)
class TopicShare:
    """A topic, its share of a text, and its heaviest words."""

    topic: int
    share: float
    top_words: tuple[str, ...]


@dataclass(frozen=True)
class TopicMixture:
    """What a text is about.

    Attributes:
        topics: those that it has some of, the largest share first; the shares sum to 1.
        words: the distinct words of it that topics are made of, in alphabetical order.
        unknown_words: those that are none.
    """

    topics: tuple[TopicShare, ...]
    words: tuple[str, ...]
    unknown_words: tuple[str, ...]


class TopicModel:
    """A version of the table `topics` (by default the newest), with the terms that it was fitted on.

    Raises:
        UnknownTableError: there is no such version.
        DamagedFileError: a file is not what was committed.
    """

    def __init__(self, warehouse: Warehouse | None = None, version: int | None = None) -> None:
        """Load the tables."""
        warehouse = warehouse or Warehouse()
        version = warehouse.head("topics") if version is None else version
        self._topics = warehouse.read("topics", version)
        inputs = recorded_inputs(warehouse.commit_of("topics", version), "topics", ["terms"])
        terms = warehouse.read("terms", inputs["terms"])
        self._token_pattern = terms["token_pattern"][0].as_py()
        self._idf = terms["idf"].to_numpy()
        self._term_ids = {word: term_id for term_id, word in enumerate(terms["word"].to_pylist())}

    def topics_of(self, text: str, weighting: str) -> TopicMixture:
        """The text's mixture of the topics of a weighting: what its row of `document_topics` would be, to the bit.

        Raises:
            InputError: it is no string, has no word of any topic, or there is no such weighting.
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
                f"None of the {counts.sum()} words of the text is in any topic; there are {len(self._term_ids)} words "
                "that topics are made of. Give a text about what the corpus is about, in its language."
            )
        rows = {row["topic"]: row for row in self._topics.to_pylist() if row["weighting"] == weighting}
        largest = [topic for topic in np.argsort(-mixture, kind="stable").tolist() if mixture[topic] > ROUNDED]
        found = tuple(TopicShare(topic, float(mixture[topic]), tuple(rows[topic]["top_words"])) for topic in largest)
        return TopicMixture(found, tuple(words[known]), tuple(words[~known]))


def _load_vectors(warehouse: Warehouse, version: int | None) -> WordVectors:
    return vectors_from_table(warehouse.read("word_vectors", version))


newest_topics = NewestCache("topics", TopicModel)
newest_vectors = NewestCache("word_vectors", _load_vectors)


def nearest_words(word: str, k: int) -> list[tuple[str, float]]:
    """What `taproom.nearest` gives."""
    vectors = newest_vectors.get()
    places, similarities = nearest_places(vectors, np.array([vectors.row_of(word)]), k)
    return list(zip(vectors.words[places[0]], similarities[0].tolist(), strict=True))


def complete_analogy(a: str, b: str, c: str, k: int) -> list[tuple[str, float]]:
    """What `taproom.analogy` gives."""
    return complete(newest_vectors.get(), a, b, c, k)
