"""word_vectors, training_pairs: a vector for each word, and examples of the pairs of words that it is trained on.

Skip-gram with negative sampling: a network with one hidden layer learns to predict the words around a word; the weights
of its first layer are the vectors. All documents are used, including the test split, and after them the entries of
`reference_texts`, because few corpora are large enough to learn the meaning of words from.

Grain: a word; a pair of words of a few sentences. Source: the deck's slides "Word embeddings, word2vec".
"""

from collections.abc import Iterator
from enum import Enum
from functools import partial

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.table import Draft, keeps_settings, refreshed_out, several_tables
from assets.tuning.champions import champion_of, resolve_parameters
from taproom.warehouse.contracts import FOLLOWS_SETTINGS, Between, Column, Contract, NotBlank
from taproom.warehouse.foreign_keys import ForeignKey
from taproom.words.counting import DEFAULT_TOKEN_PATTERN

MIN_SHARE = 0.8
SENTENCES_SHOWN = 3
WORDS_SHOWN = 9  # the length of the deck's example
WINDOW_SHOWN = 2

WORD_VECTORS = Contract(
    table="word_vectors",
    version="1.0.1",
    grain="a word",
    columns=(
        Column(
            "word",
            pa.string(),
            "the word, in normal form; rows are in descending order of frequency, then alphabetic",
            made_from=("documents.text", "reference_texts.text"),
        ),
        Column(
            "count",
            pa.int64(),
            "number of occurrences in the documents and the reference texts",
            made_from=("documents.text", "reference_texts.text"),
        ),
        Column(
            "vector",
            pa.list_(pa.float32()),
            "vector of the word, as trained; similarity is the cosine, so its length does not matter",
            made_from=("documents.text", "reference_texts.text"),
        ),
    ),
    key=("word",),
    invariants=(NotBlank("word"), Between("count", 1), Between("vector")),
    limits=(
        "Vectors of two versions cannot be compared, because their axes are arbitrary.",
        "Similar vectors mean similar contexts, not the same meaning: opposites are often near each other.",
        "The documents of the split test are used too.",
        "A word has the meanings of the reference texts beside those of the documents.",
    ),
)

TRAINING_PAIRS = Contract(
    table="training_pairs",
    grain="a pair of words in one of a few sentences",
    columns=(
        Column(
            "document_id", pa.string(), "document that begins with the sentence", made_from=("documents.document_id",)
        ),
        Column(
            "sentence",
            pa.string(),
            f"the first words of the document, at most {WORDS_SHOWN}",
            made_from=("documents.text",),
        ),
        Column("position", pa.int32(), "index of the centre word in the sentence, from 0"),
        Column("centre", pa.string(), "centre word, the input of the network", made_from=("documents.text",)),
        Column("place", pa.int32(), "index of the context word in the sentence, from 0"),
        Column(
            "context", pa.string(), "context word, which the network learns to predict", made_from=("documents.text",)
        ),
    ),
    key=("document_id", "position", "place"),
    usual=FOLLOWS_SETTINGS,
    invariants=(NotBlank("sentence"), Between("position", 0), Between("place", 0)),
    may_be_empty=True,
    foreign_keys=(ForeignKey(("document_id",), "documents", ("document_id",)),),
    limits=("These are examples from the first documents, not all pairs that the network is trained on.",),
)


class Method(Enum):
    """What trains the vectors."""

    skip_gram = "skip_gram"
    gensim = "gensim"


class WordVectorsConfig(dg.Config):
    """Parameters of the training; null: the champion's value or, without one, the default of `WordVectorParameters`."""

    dimensions: int | None = Field(None, ge=1, description="number of dimensions of a vector")
    window: int | None = Field(None, ge=1, description="maximum number of context words on either side of a word")
    negative: int | None = Field(None, ge=1, description="number of negative samples for each pair of words")
    min_count: int | None = Field(None, ge=1, description="minimum number of occurrences of a word with a vector")
    epochs: int | None = Field(None, ge=1, description="number of passes over the texts")
    sample: float | None = Field(
        None,
        ge=0,
        le=1,
        description="share of all words above which occurrences of a word are downsampled; 0: no downsampling",
    )
    step: float | None = Field(None, gt=0, description="initial learning rate; it decreases linearly")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of the initial vectors and of all random draws")
    token_pattern: str = Field(DEFAULT_TOKEN_PATTERN, description="regular expression of a word, on normalized text")
    method: Method | None = Field(
        None,
        description="skip_gram: our own training; gensim: gensim's, for comparison, where every run with more than one "
        "worker differs",
    )
    workers: int = Field(-1, ge=-1, description="number of threads, as for joblib; -1: one per core")


_out = partial(refreshed_out, module=__name__, config=WordVectorsConfig)


@several_tables(
    name="word_vectors",
    outs={
        "word_vectors": _out(WORD_VECTORS, "A vector for each word; words with similar contexts have similar vectors."),
        "training_pairs": _out(
            TRAINING_PAIRS, "The pairs of words that the network is trained on, for a few sentences."
        ),
    },
    ins={
        "documents": dg.AssetIn(metadata={"columns": ["document_id", "text"]}),
        "reference_texts": dg.AssetIn(metadata={"columns": ["text"]}),
        "champions": champion_of("word_vectors"),
    },
    check_specs=[
        dg.AssetCheckSpec(
            "most_words_have_vectors",
            asset="word_vectors",
            description=f"At least {MIN_SHARE:.0%} of the words in the texts have a vector.",
        )
    ],
    pool="numerics",
)
@keeps_settings
def word_vectors(
    config: WordVectorsConfig,
    documents: pa.RecordBatchReader,
    reference_texts: pa.RecordBatchReader,
    champions: pa.Table,
) -> Iterator[dg.Output[Draft] | dg.AssetCheckResult]:
    """Train on the streams of documents and reference texts, and list the pairs of the first sentences."""
    import numpy as np

    from taproom.text import word_vector_figures as figures
    from taproom.text.word_vectors import WordVectorParameters, train
    from taproom.words.sparse import matrix_to_lists

    given = config.model_dump(exclude={"token_pattern", "workers"}) | {"method": config.method and config.method.value}
    made_with = resolve_parameters(WordVectorParameters(), champions, WordVectorsConfig, given)
    chosen = made_with.parameters
    first: list[dict] = []

    def streamed() -> Iterator[list[str]]:
        for batch in documents:
            if not first:
                first.extend(batch.slice(0, 100).to_pylist())
            yield batch["text"].to_pylist()
        for batch in reference_texts:
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
                "words_in_texts": trained.tokens,
                "texts": trained.documents,
                "words_per_second": trained.tokens * chosen.epochs / max(trained.seconds, 1e-9),
                "training_seconds": trained.seconds,
                "reproducible": chosen.method == Method.skip_gram.value or config.workers == 1,
            },
            figure=figures.word_lengths(
                trained.words.tolist(), trained.counts, np.linalg.norm(trained.vectors, axis=1)
            ),
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
    """The rows of `training_pairs`, from the first documents that have at least two words."""
    from taproom.text.word_vectors import training_pairs
    from taproom.words.counting import tokens

    sentences = [(row["document_id"], tokens(row["text"], token_pattern)[:WORDS_SHOWN]) for row in documents]
    return [
        {
            "document_id": document_id,
            "sentence": " ".join(words),
            "position": position,
            "centre": words[position],
            "place": context,
            "context": words[context],
        }
        for document_id, words in [each for each in sentences if len(each[1]) > 1][:SENTENCES_SHOWN]
        for position, context in training_pairs(words, WINDOW_SHOWN)
    ]


@dg.asset_check(asset="training_pairs", description=f"The table has the pairs of {SENTENCES_SHOWN} sentences.")
def sentences_are_shown(training_pairs: pa.Table) -> dg.AssetCheckResult:
    """If the first documents have no sentences, the token pattern does not fit their language."""
    shown = len(training_pairs["document_id"].unique())
    return dg.AssetCheckResult(
        passed=shown == SENTENCES_SHOWN,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"sentences": shown, "pairs": len(training_pairs)},
    )
