"""analogies, analogy_sections, nearest_words: analogies answered by word vectors, their accuracy, and nearest words.

"a is to b as c is to ?" is answered by the word nearest to b - a + c. The questions are the deck's examples (king - man
+ woman; countries and capitals) and the 19,544 questions of gensim's `questions-words.txt`; those with an unknown word
are left out. Vectors of a small corpus do not solve analogies: a check compares its size with that of the corpus of the
published results.

Grain: a question whose words are known; a section of questions; a frequent word. Source: the deck's slides "word2vec
outputs".
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.table import Draft, keeps_settings, refreshed_out, several_tables
from taproom.warehouse.contracts import Between, Column, Contract, NotBlank, SameLength
from taproom.warehouse.foreign_keys import ForeignKey

if TYPE_CHECKING:
    from taproom.words.vectors import WordVectors

MIN_KNOWN = 0.5
MAX_NEAR = 0.5

ANALOGIES = Contract(
    table="analogies",
    grain="a question whose four words are known: a is to b as c is to expected",
    columns=(
        Column("section", pa.string(), "category of the question; deck: the examples of the lecture deck"),
        Column("a", pa.string(), "first word of the question, such as man in: man is to king as woman is to queen"),
        Column("b", pa.string(), "second word of the question, such as king"),
        Column("c", pa.string(), "third word of the question, such as woman"),
        Column("expected", pa.string(), "right answer, such as queen"),
        Column(
            "answered",
            pa.string(),
            "word nearest to b - a + c, other than a, b and c",
            made_from=("word_vectors.word", "word_vectors.vector"),
        ),
        Column(
            "rank",
            pa.int64(),
            "rank of the expected word among all words but a, b and c; 1: answered right",
            made_from=("word_vectors.word", "word_vectors.vector"),
        ),
        Column(
            "similarity",
            pa.float64(),
            "cosine similarity of the expected word and b - a + c",
            made_from=("word_vectors.vector",),
        ),
    ),
    key=("section", "a", "b", "c", "expected"),
    invariants=(NotBlank("answered"), Between("rank", 1), Between("similarity", -1.000001, 1.000001)),
    may_be_empty=True,
    foreign_keys=(
        ForeignKey(("section",), "analogy_sections", ("section",)),
        ForeignKey(("a",), "word_vectors", ("word",)),
        ForeignKey(("b",), "word_vectors", ("word",)),
        ForeignKey(("c",), "word_vectors", ("word",)),
        ForeignKey(("expected",), "word_vectors", ("word",)),
        ForeignKey(("answered",), "word_vectors", ("word",)),
    ),
    limits=(
        "Questions with a word that has no vector are left out.",
        "The words of the question are never the answer, which makes it easier.",
    ),
)

ANALOGY_SECTIONS = Contract(
    table="analogy_sections",
    grain="a section of questions",
    columns=(
        Column("section", pa.string(), "category of the question; deck: the examples of the lecture deck"),
        Column("questions", pa.int64(), "number of questions"),
        Column("known", pa.int64(), "number of questions whose four words all have a vector",
               made_from=("word_vectors.word",)),
        Column("known_share", pa.float64(), "known / questions", made_from=("word_vectors.word",)),
        Column("right", pa.int64(), "number of known questions answered right", made_from=("analogies.rank",)),
        Column("accuracy", pa.float64(), "right / known; null if no question is known", nullable=True,
               made_from=("analogies.rank",)),
        Column("accuracy_of_5", pa.float64(), "share of the known questions whose expected word is among the five best "
               "answers; null if no question is known", nullable=True, made_from=("analogies.rank",)),
    ),
    key=("section",),
    invariants=(
        Between("questions", 1),
        Between("known", 0),
        Between("known_share", 0, 1),
        Between("right", 0),
        Between("accuracy", 0, 1),
        Between("accuracy_of_5", 0, 1),
    ),
    limits=("The accuracy is that of the known questions only; compare it where known_share is similar.",),
)  # fmt: skip

NEAREST_WORDS = Contract(
    table="nearest_words",
    grain="a frequent word",
    columns=(
        Column(
            "word", pa.string(), "the word; rows are in descending order of frequency", made_from=("word_vectors.word",)
        ),
        Column(
            "neighbors",
            pa.list_(pa.string()),
            "words with the most similar vectors, most similar first",
            made_from=("word_vectors.word", "word_vectors.vector"),
        ),
        Column(
            "similarities",
            pa.list_(pa.float64()),
            "cosine similarity of the word and each neighbor",
            made_from=("word_vectors.vector",),
        ),
    ),
    key=("word",),
    invariants=(SameLength("neighbors", "similarities"), Between("similarities", -1.000001, 1.000001)),
    foreign_keys=(
        ForeignKey(("word",), "word_vectors", ("word",)),
        ForeignKey(("neighbors",), "word_vectors", ("word",)),
    ),
    limits=("Similar vectors mean similar contexts, not the same meaning: opposites are often near each other.",),
)


class AnalogiesConfig(dg.Config):
    """The size of `nearest_words`."""

    frequent_words: int = Field(1_000, ge=1, description="number of words with neighbours, the most frequent ones")
    neighbors: int = Field(10, ge=1, description="maximum number of neighbours of each word")


_out = partial(refreshed_out, module=__name__, config=AnalogiesConfig)


@several_tables(
    name="analogies",
    outs={
        "analogy_sections": _out(ANALOGY_SECTIONS, "The accuracy of the answers in each section of questions."),
        "analogies": _out(
            ANALOGIES, 'Questions of the form "a is to b as c is to ?", with the expected word and the answer.'
        ),
        "nearest_words": _out(
            NEAREST_WORDS, "The words with the most similar vectors, for each of the most frequent words."
        ),
    },
    pool="numerics",
)
@keeps_settings
def analogies(config: AnalogiesConfig, word_vectors: pa.Table) -> Iterator[dg.Output]:
    """Answer the questions whose words are known, and find the neighbours of the most frequent words."""
    import numpy as np

    from taproom.text import analogy_figures as figures
    from taproom.text.analogies import accuracy_by_section, answer, questions
    from taproom.words.sparse import matrix_to_lists
    from taproom.words.vectors import nearest, vectors_from_table

    vectors = vectors_from_table(word_vectors)
    asked = questions()
    answers = answer(vectors, asked)
    sections = accuracy_by_section(asked, answers)
    right = sum(row["right"] for row in sections)
    yield dg.Output(
        Draft(
            pa.Table.from_pylist(sections, schema=ANALOGY_SECTIONS.schema),
            metadata={
                "right": right,
                "known_share": len(answers) / len(asked),
                "accuracy": right / max(len(answers), 1),
            },
            figure=figures.analogies_by_section(sections),
        ),
        "analogy_sections",
    )
    yield dg.Output(
        Draft(
            pa.Table.from_pylist(answers, schema=ANALOGIES.schema),
            metadata={"questions": len(asked), "known": len(answers), **_deck_results(answers)},
            figure=_capitals_figure(vectors),
        ),
        "analogies",
    )
    words = min(config.frequent_words, len(vectors.words))
    k = min(config.neighbors, len(vectors.words) - 1)
    found, similarities = nearest(vectors, np.arange(words), k)
    rows = NEAREST_WORDS.table_of(
        word=vectors.words[:words],
        neighbors=matrix_to_lists(pa.array(vectors.words[found.ravel()], pa.string()), k),
        similarities=matrix_to_lists(pa.array(similarities.ravel()), k),
    )
    yield dg.Output(
        Draft(
            rows,
            metadata={"words": words, "neighbors": k},
            figure=figures.nearest_words(rows.take(np.unique(np.linspace(0, words - 1, 20).astype(int))).to_pylist()),
        ),
        "nearest_words",
    )


def _deck_results(answers: list[dict[str, Any]]) -> dict[str, int | str]:
    """Metadata on the deck's examples."""
    from taproom.text.analogies import DECK

    of_deck = [row for row in answers if row["section"] == DECK]
    results: dict[str, int | str] = {"deck_known": len(of_deck), "deck_right": sum(row["rank"] == 1 for row in of_deck)}
    for row in of_deck:
        if row["expected"] == "queen":
            results["king - man + woman"] = f"{row['answered']} (queen has rank {row['rank']})"
    return results


def _capitals_figure(vectors: "WordVectors") -> bytes | None:
    """The figure of countries and capitals; None if fewer than two pairs have vectors."""
    from taproom.text.analogies import CAPITALS
    from taproom.text.analogy_figures import country_capital_arrows

    known = [pair for pair in CAPITALS.items() if all(word in vectors for word in pair)]
    if len(known) < 2:
        return None
    countries, capitals = zip(*known, strict=True)
    ends = (vectors.vectors[[vectors.row_of(word) for word in words]] for words in (countries, capitals))
    return country_capital_arrows(countries, capitals, *ends)


@dg.asset_check(
    asset="analogies",
    additional_ins={"word_vectors": dg.AssetIn(metadata={"columns": ["count"]})},
    description="The texts have as many words as those of the published results.",
)
def corpus_is_large_enough(analogies: pa.Table, word_vectors: pa.Table) -> dg.AssetCheckResult:
    """Compare with the published result; the vectors of a small corpus do not solve analogies."""
    from taproom.text.analogies import PUBLISHED_ACCURACY, PUBLISHED_WORDS

    words = pa.compute.sum(word_vectors["count"]).as_py()
    right = pa.compute.sum(pa.compute.equal(analogies["rank"], 1)).as_py() or 0
    return dg.AssetCheckResult(
        passed=words >= PUBLISHED_WORDS,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "words": words,
            "accuracy": right / max(len(analogies), 1),
            "published_words": PUBLISHED_WORDS,
            "published_accuracy": PUBLISHED_ACCURACY,
        },
    )


@dg.asset_check(
    asset="analogy_sections", description=f"At least {MIN_KNOWN:.0%} of the questions have only known words."
)
def most_questions_are_known(analogy_sections: pa.Table) -> dg.AssetCheckResult:
    """An accuracy on few of the questions is not comparable with published ones, which are on all of them."""
    known, questions = (sum(analogy_sections[name].to_pylist()) for name in ("known", "questions"))
    return dg.AssetCheckResult(
        passed=known >= MIN_KNOWN * questions,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"known_share": known / max(questions, 1)},
    )


@dg.asset_check(
    asset="nearest_words", description=f"No word is among the nearest of more than {MAX_NEAR:.0%} of the words."
)
def no_word_is_near_most(nearest_words: pa.Table) -> dg.AssetCheckResult:
    """A word that is near most others (a hub) means that the vectors have a common component without meaning."""
    near = Counter(pa.compute.list_flatten(nearest_words["neighbors"]).to_pylist())
    word, count = max(near.items(), key=lambda each: each[1], default=("", 0))
    share = count / max(len(nearest_words), 1)
    return dg.AssetCheckResult(
        passed=share <= MAX_NEAR,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"word": word, "share_of_words": share},
    )
