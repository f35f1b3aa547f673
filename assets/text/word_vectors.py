"""word_vectors, training_pairs: a vector for each word, and what the network that gives it is trained on.

Skip-gram with negative sampling: a network of one hidden layer learns to predict the words around a word; its first
layer are the vectors, the rest is thrown away. All documents are gone through, those of the test split too. With one
worker the table is the same to the bit each time; with several it is made faster and no two runs agree.

Grain: a word; a pair of words of a few sentences. Source: the deck's slides "Word embeddings, word2vec".
"""

from collections.abc import Iterator
from functools import partial

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.table import Draft, keeps_settings, refreshed_out, several_tables
from assets.tuning.champions import champion_of, resolve_parameters
from taproom.warehouse.contracts import Between, Column, Contract, NotBlank
from taproom.words.counting import DEFAULT_TOKEN_PATTERN

MIN_SHARE = 0.8
SENTENCES_SHOWN = 3
WORDS_SHOWN = 9  # as many as the deck's sentence has
WINDOW_SHOWN = 2

WORD_VECTORS = Contract(
    table="word_vectors",
    grain="a word",
    columns=(
        Column(
            "word",
            pa.string(),
            "the word, in normal form (lower case); rows: the most frequent first, then by alphabet",
        ),
        Column("count", pa.int64(), "how often it occurs in the documents"),
        Column("vector", pa.list_(pa.float32()), "its vector; its direction is what counts"),
    ),
    key=("word",),
    invariants=(NotBlank("word"), Between("count", 1), Between("vector")),
)

TRAINING_PAIRS = Contract(
    table="training_pairs",
    grain="a pair of words in one of a few sentences",
    columns=(
        Column("document_id", pa.string(), "the document that the sentence begins"),
        Column("sentence", pa.string(), f"the document's first words, {WORDS_SHOWN} at most"),
        Column("position", pa.int32(), "place of the centre word in the sentence, from 0"),
        Column("centre", pa.string(), "the word that the network is given"),
        Column("place", pa.int32(), "place of the context word"),
        Column("context", pa.string(), "the word that it is to predict"),
    ),
    key=("document_id", "position", "place"),
    invariants=(NotBlank("sentence"), Between("position", 0), Between("place", 0)),
    may_be_empty=True,
)


class WordVectorsConfig(dg.Config):
    """Parameters of the training; null: the champion's, else the default of `WordVectorParameters`."""

    dimensions: int | None = Field(None, ge=1, description="numbers in a vector")
    window: int | None = Field(None, ge=1, description="words on either side that a word may predict")
    negative: int | None = Field(None, ge=1, description="random words that each true one is told from")
    min_count: int | None = Field(None, ge=1, description="how often a word must occur to get a vector")
    epochs: int | None = Field(None, ge=1, description="how often the documents are gone through")
    sample: float | None = Field(
        None, ge=0, le=1, description="share from which a word is passed over at times; 0: none"
    )
    step: float | None = Field(None, gt=0, description="first step of the gradient descent; it falls linearly")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of the first vectors and of all draws")
    token_pattern: str = Field(DEFAULT_TOKEN_PATTERN, description="regular expression of a word in normal form")
    workers: int = Field(
        1, ge=1, description="threads; 1: the same bits each time; more: faster, and other vectors in each run"
    )


_out = partial(refreshed_out, module=__name__, config=WordVectorsConfig)


@several_tables(
    name="word_vectors",
    outs={
        "word_vectors": _out(WORD_VECTORS, "A vector for each word: words amid the same words have similar vectors."),
        "training_pairs": _out(TRAINING_PAIRS, "What the network is trained on, shown for a few sentences."),
    },
    ins={
        "documents": dg.AssetIn(metadata={"columns": ["document_id", "text"]}),
        "champions": champion_of("word_vectors"),
    },
    check_specs=[
        dg.AssetCheckSpec(
            "most_words_have_vectors",
            asset="word_vectors",
            description=f"Of the words that the documents say, {MIN_SHARE:.0%} have a vector.",
        )
    ],
    pool="numerics",
)
@keeps_settings
def word_vectors(
    config: WordVectorsConfig, documents: pa.RecordBatchReader, champions: pa.Table
) -> Iterator[dg.Output]:
    """Train on the documents as they stream by; show the pairs of the first sentences."""
    import numpy as np

    from taproom.text import word_vector_figures as figures
    from taproom.text.word_vectors import WordVectorParameters, train
    from taproom.words.sparse import matrix_to_lists

    given = config.model_dump(exclude={"token_pattern", "workers"})
    made_with = resolve_parameters(WordVectorParameters(), champions, WordVectorsConfig, given)
    chosen = made_with.parameters
    first: list[dict] = []

    def streamed() -> Iterator[list[str]]:
        for batch in documents:
            if not first:
                first.extend(batch.slice(0, 100).to_pylist())
            yield batch["text"].to_pylist()

    trained = train(streamed(), chosen, config.token_pattern, config.workers)
    yield dg.Output(
        Draft(
            WORD_VECTORS.table_of(
                word=trained.words,
                count=trained.counts,
                vector=matrix_to_lists(pa.array(trained.vectors.ravel()), chosen.dimensions),
            ),
            metadata={
                "champion": made_with.champion,
                "words": len(trained.words),
                "words_in_corpus": trained.tokens,
                "documents": trained.documents,
                "words_per_second": trained.tokens * chosen.epochs / max(trained.seconds, 1e-9),
                "training_seconds": trained.seconds,
                "reproducible": config.workers == 1,
            },
            figure=figures.word_lengths(trained.words, trained.counts, np.linalg.norm(trained.vectors, axis=1)),
        ),
        "word_vectors",
    )
    pairs = _pairs_shown(first, config.token_pattern)
    yield dg.Output(
        Draft(
            pa.Table.from_pylist(pairs, schema=TRAINING_PAIRS.schema),
            metadata={"pairs": len(pairs), "window_shown": WINDOW_SHOWN, "window_trained": chosen.window},
            figure=figures.training_pairs(pairs) if pairs else None,
        ),
        "training_pairs",
    )
    share = trained.counts.sum() / trained.tokens
    yield dg.AssetCheckResult(
        check_name="most_words_have_vectors",
        asset_key="word_vectors",
        passed=bool(share >= MIN_SHARE),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"share_with_vector": float(share), "min_count": chosen.min_count},
    )


def _pairs_shown(documents: list[dict], token_pattern: str) -> list[dict]:
    """The rows of `training_pairs`: the beginnings of the first documents that have two words."""
    from taproom.text.word_vectors import training_pairs
    from taproom.words.counting import tokens

    begun = [(row["document_id"], tokens(row["text"], token_pattern)[:WORDS_SHOWN]) for row in documents]
    return [
        {
            "document_id": document_id,
            "sentence": " ".join(words),
            "position": position,
            "centre": words[position],
            "place": place,
            "context": words[place],
        }
        for document_id, words in [each for each in begun if len(each[1]) > 1][:SENTENCES_SHOWN]
        for position, place in training_pairs(words, WINDOW_SHOWN)
    ]


@dg.asset_check(asset="training_pairs", description=f"The pairs are of {SENTENCES_SHOWN} sentences.")
def sentences_are_shown(training_pairs: pa.Table) -> dg.AssetCheckResult:
    """Where the first documents have none of two words, words are not found: their pattern is another language's."""
    shown = len(training_pairs["document_id"].unique())
    return dg.AssetCheckResult(
        passed=shown == SENTENCES_SHOWN,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"sentences": shown, "pairs": len(training_pairs)},
    )
