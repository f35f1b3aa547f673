"""Analogies: a is to b as c is to ?, answered by adding and subtracting word vectors.

Here belong the questions, their answers and the accuracy. Training vectors belongs in `taproom.text.word_vectors`.

Source: slides "word2vec outputs" of the lecture deck (Jamieson, CSE546 2017): king - man + woman = queen, and countries
with their capitals (Mikolov, Sutskever et al., 2013, figure 2). The answer is the word, other than a, b and c, with the
largest cosine with b - a + c, where all three vectors are scaled to length 1 (Mikolov, Yih and Zweig, Linguistic
Regularities in Continuous Space Word Representations, 2013; "3CosAdd"). The other questions are the Semantic-Syntactic
Word Relationship test set of Mikolov, Chen, Corrado and Dean, Efficient Estimation of Word Representations in Vector
Space, 2013, which is part of gensim.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.resources import files
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np

from taproom.words.vectors import WordVectors

# Table 4 of "Efficient Estimation ...": skip-gram vectors with 300 dimensions.
PUBLISHED_WORDS = 783_000_000
PUBLISHED_ACCURACY = 0.533
DECK = "deck"
# The countries and capitals of figure 2 of Mikolov, Sutskever et al., 2013, which the deck shows.
CAPITALS = {
    "china": "beijing",
    "russia": "moscow",
    "japan": "tokyo",
    "turkey": "ankara",
    "poland": "warsaw",
    "germany": "berlin",
    "france": "paris",
    "italy": "rome",
    "greece": "athens",
    "spain": "madrid",
    "portugal": "lisbon",
}
TOP_ANSWERS = 5


class Question(NamedTuple):
    """The question "a is to b as c is to ?" with the expected answer."""

    section: str
    a: str
    b: str
    c: str
    expected: str


def questions() -> list[Question]:
    """The deck's questions, in the section "deck", then those of gensim's `questions-words.txt` in their sections.

    All words are in lower case. The deck's questions are "man is to king as woman is to queen" and all ordered pairs of
    its countries with their capitals.

    >>> questions()[0]
    Question(section='deck', a='man', b='king', c='woman', expected='queen')
    """
    found = [Question(DECK, "man", "king", "woman", "queen")]
    found.extend(Question(DECK, *one, *other) for one, other in permutations(CAPITALS.items(), 2))
    section = ""
    for line in (files("gensim") / "test" / "test_data" / "questions-words.txt").read_text("utf-8").splitlines():
        if line.startswith(":"):
            section = line[1:].strip()
        else:
            a, b, c, expected = line.lower().split()
            found.append(Question(section, a, b, c, expected))
    return found


def complete(word_vectors: WordVectors, a: str, b: str, c: str, k: int) -> list[tuple[str, float]]:
    """The k best answers to "a is to b as c is to ?" with their cosines, best first.

    Raises:
        InputError: one of the words has no vector, or k is out of range; see `WordVectors`.

    >>> words = np.array(["man", "king", "woman", "queen", "ale"], dtype=object)
    >>> vectors = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1], [1, 0, 1]], np.float32)
    >>> complete(WordVectors(words, np.ones(5, np.int64), vectors), "man", "king", "woman", k=1)[0][0]
    'queen'
    """
    given = np.array([[word_vectors.row_of(word) for word in (a, b, c)]])
    found, similarities = word_vectors.most_similar(_compositions(word_vectors, given), k, given)
    return list(zip(word_vectors.words[found[0]], similarities[0].tolist(), strict=True))


def answer(word_vectors: WordVectors, asked: Sequence[Question]) -> list[dict[str, Any]]:
    """Answer the questions whose four words all have a vector; the others are left out.

    Returns:
        Rows (section, a, b, c, expected, answered, rank, similarity), in the order of the questions. `rank` is the rank
        of the expected word among all words but a, b and c, where 1 is a right answer and ties go to the more frequent
        word. `similarity` is the cosine of the expected word with b - a + c.

    Raises:
        InputError: only a, b and c have a vector, so there is no word to answer with.
    """
    known = [question for question in asked if all(word in word_vectors for word in question[1:])]
    if not known:
        return []
    rows = np.array([[word_vectors.row_of(word) for word in question[1:]] for question in known])
    given, expected = rows[:, :3], rows[:, 3]
    queries = _compositions(word_vectors, given)
    answered = word_vectors.words[word_vectors.most_similar(queries, 1, given)[0][:, 0]]
    ranks = word_vectors.ranks(queries, expected, given)
    similarities = word_vectors.cosines(queries, expected)
    return [
        {**question._asdict(), "answered": word, "rank": rank, "similarity": similarity}
        for question, word, rank, similarity in zip(known, answered, ranks.tolist(), similarities.tolist(), strict=True)
    ]


def accuracy_by_section(asked: Iterable[Question], answers: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The accuracy in each section, in the order of the questions.

    Returns:
        Rows (section, questions, known, known_share, right, accuracy, accuracy_of_5). `accuracy` is the share of the
        known questions that were answered right, `accuracy_of_5` the share whose expected word was among the first
        five; both are None if no question of the section is known.

    >>> asked = [Question("family", "boy", "girl", "brother", "sister")] * 2
    >>> accuracy_by_section(asked, [{"section": "family", "rank": 3}])[0]["accuracy_of_5"]
    1.0
    """
    ranks: dict[str, list[int]] = {}
    for row in answers:
        ranks.setdefault(row["section"], []).append(row["rank"])
    totals = Counter(question.section for question in asked)
    return [_section(section, total, np.array(ranks.get(section, []))) for section, total in totals.items()]


def _section(section: str, total: int, ranks: np.ndarray) -> dict[str, Any]:
    right = int((ranks == 1).sum())
    known = len(ranks)
    return {
        "section": section,
        "questions": total,
        "known": known,
        "known_share": known / total,
        "right": right,
        "accuracy": right / known if known else None,
        "accuracy_of_5": float((ranks <= TOP_ANSWERS).mean()) if known else None,
    }


def _compositions(word_vectors: WordVectors, given: np.ndarray) -> np.ndarray:
    """b - a + c of vectors scaled to length 1, for rows (m, 3) of a, b and c: (m, D) float64."""
    a, b, c = (word_vectors.normalized(column) for column in given.T)
    return b - a + c
