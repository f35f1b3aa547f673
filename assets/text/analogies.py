"""analogies, analogy_sections, nearest_words: what can be asked of word vectors, and how often the answer is right.

"a is to b as c is to ?" is answered by the word nearest to b - a + c. Asked are the deck's own examples (king - man +
woman; countries and capitals) and the 19,544 questions of gensim's `questions-words.txt`, as far as their words are
known. Small corpora do not solve analogies: a check says how many words this one has, and how many published scores
took.

Grain: a question whose words are known; a section of questions; a frequent word. Source: the deck's slides "word2vec
outputs".
"""

from collections.abc import Iterator
from functools import partial

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.table import Draft, keeps_settings, refreshed_out, several_tables
from taproom.warehouse.contracts import Between, Column, Contract, NotBlank, SameLength

MIN_KNOWN = 0.5
MOST_NEAR = 0.5

ANALOGIES = Contract(
    table="analogies",
    grain="a question whose four words are known: a is to b as c is to expected",
    columns=(
        Column("section", pa.string(), "the kind of question; deck: the examples of the deck"),
        Column("a", pa.string(), "man, in: man is to king as woman is to queen"),
        Column("b", pa.string(), "king"),
        Column("c", pa.string(), "woman"),
        Column("expected", pa.string(), "queen"),
        Column("answered", pa.string(), "the word nearest to b - a + c, other than a, b and c"),
        Column("rank", pa.int64(), "place of the expected word among all but a, b and c; 1: answered right"),
        Column("similarity", pa.float64(), "cosine of the expected word with b - a + c"),
    ),
    key=("section", "a", "b", "c", "expected"),
    invariants=(NotBlank("answered"), Between("rank", 1), Between("similarity", -1.000001, 1.000001)),
    may_be_empty=True,
)

ANALOGY_SECTIONS = Contract(
    table="analogy_sections",
    grain="a section of questions",
    columns=(
        Column("section", pa.string(), "the kind of question; deck: the examples of the deck"),
        Column("questions", pa.int64(), "number of questions"),
        Column("known", pa.int64(), "those whose words are known"),
        Column("known_share", pa.float64(), "known / questions"),
        Column("right", pa.int64(), "those answered right"),
        Column("accuracy", pa.float64(), "right / known; null where none is known", nullable=True),
        Column("accuracy_of_5", pa.float64(), "share of the known ones whose expected word is among the first five",
               nullable=True),
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
)  # fmt: skip

NEAREST_WORDS = Contract(
    table="nearest_words",
    grain="a frequent word",
    columns=(
        Column("word", pa.string(), "the word; rows: the most frequent first"),
        Column("neighbors", pa.list_(pa.string()), "the words with the most similar vectors, most similar first"),
        Column("similarities", pa.list_(pa.float64()), "cosine with each of them"),
    ),
    key=("word",),
    invariants=(SameLength("neighbors", "similarities"), Between("similarities", -1.000001, 1.000001)),
)


class AnalogiesConfig(dg.Config):
    """How many words are shown with their neighbours."""

    frequent_words: int = Field(1_000, ge=1, description="words whose neighbours are told, the most frequent")
    neighbors: int = Field(10, ge=1, description="neighbours of each, or as many as there are")


_out = partial(refreshed_out, module=__name__, config=AnalogiesConfig)


@several_tables(
    name="analogies",
    outs={
        "analogies": _out(ANALOGIES, "Questions of the form a is to b as c is to ?, with expected word and answer."),
        "analogy_sections": _out(ANALOGY_SECTIONS, "How often each kind of question is answered right."),
        "nearest_words": _out(NEAREST_WORDS, "The words whose vectors are most similar to a frequent word's."),
    },
    pool="numerics",
)
@keeps_settings
def analogies(config: AnalogiesConfig, word_vectors: pa.Table) -> Iterator[dg.Output]:
    """Answer what can be asked, and find the neighbours of the most frequent words."""
    import numpy as np

    from taproom.text import analogy_figures as figures
    from taproom.text.analogies import CAPITALS, accuracy_by_section, answer, questions
    from taproom.words.sparse import matrix_to_lists
    from taproom.words.vectors import nearest, vectors_from_table

    vectors = vectors_from_table(word_vectors)
    asked = questions()
    answers = answer(vectors, asked)
    known = [pair for pair in CAPITALS.items() if all(word in vectors for word in pair)]
    ends = [np.array([vectors.row_of(pair[end]) for pair in known], int) for end in (0, 1)]
    yield dg.Output(
        Draft(
            pa.Table.from_pylist(answers, schema=ANALOGIES.schema),
            metadata={"questions": len(asked), "known": len(answers), **_of_the_deck(answers)},
            figure=figures.country_capital_arrows(*zip(*known, strict=True), *(vectors.vectors[end] for end in ends))
            if len(known) > 1
            else None,
        ),
        "analogies",
    )
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
    words = min(config.frequent_words, len(vectors.words))
    k = min(config.neighbors, len(vectors.words) - 1)
    places, similarities = nearest(vectors, np.arange(words), k)
    rows = NEAREST_WORDS.table_of(
        word=vectors.words[:words],
        neighbors=matrix_to_lists(pa.array(vectors.words[places.ravel()], pa.string()), k),
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


def _of_the_deck(answers: list[dict]) -> dict[str, int | str]:
    """The deck's own examples, for its first one in words."""
    from taproom.text.analogies import DECK

    of_deck = [row for row in answers if row["section"] == DECK]
    told: dict[str, int | str] = {"deck_known": len(of_deck), "deck_right": sum(row["rank"] == 1 for row in of_deck)}
    for row in of_deck:
        if row["expected"] == "queen":
            told["king - man + woman"] = f"{row['answered']} (queen has rank {row['rank']})"
    return told


@dg.asset_check(
    asset="analogies",
    additional_ins={"word_vectors": dg.AssetIn(metadata={"columns": ["count"]})},
    description="The corpus is as large as those that solve analogies.",
)
def corpus_is_large_enough(analogies: pa.Table, word_vectors: pa.Table) -> dg.AssetCheckResult:
    """A low score on a small corpus is the corpus's doing; the same code solves a corpus in which the answers are."""
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


@dg.asset_check(asset="analogy_sections", description=f"At least {MIN_KNOWN:.0%} of the questions can be asked.")
def most_questions_are_known(analogy_sections: pa.Table) -> dg.AssetCheckResult:
    """An accuracy on few of the questions cannot be compared with published ones, which are on all of them."""
    known, questions = (sum(analogy_sections[name].to_pylist()) for name in ("known", "questions"))
    return dg.AssetCheckResult(
        passed=known >= MIN_KNOWN * questions,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"known_share": known / max(questions, 1)},
    )


@dg.asset_check(
    asset="nearest_words", description=f"No word is among the nearest of more than {MOST_NEAR:.0%} of the words."
)
def no_word_is_near_most(nearest_words: pa.Table) -> dg.AssetCheckResult:
    """A word that is near most others (a hub) says that the vectors share a direction that means nothing."""
    near = pa.compute.value_counts(pa.compute.list_flatten(nearest_words["neighbors"])).to_pylist()
    most = max(near, key=lambda each: each["counts"], default={"values": "", "counts": 0})
    share = most["counts"] / max(len(nearest_words), 1)
    return dg.AssetCheckResult(
        passed=share <= MOST_NEAR,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"word": most["values"], "share_of_words": share},
    )
