"""reference_texts: the entries of a dictionary and an encyclopedia.

Word vectors are trained on the documents and on these, because few corpora are large enough to learn the meanings of
words from. Grain: an entry. Sources: WordNet (Fellbaum, 1998); the summaries of Wikipedia's vital articles.
"""

from collections import Counter
from enum import Enum

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from assets.table import Draft, keeps_settings, refreshed
from taproom.warehouse.contracts import FOLLOWS_SETTINGS, Column, Contract, NotBlank

FEWEST_WORDS = 5
MAX_SHORT_SHARE = 0.01

CONTRACT = Contract(
    table="reference_texts",
    grain="an entry of a reference work",
    columns=(
        Column("entry_id", pa.string(), "the entry: a synset of WordNet (08956760-n), or the title of an article"),
        Column("label", pa.string(), "its subject: WordNet's (noun.location), or the article's topic"),
        Column("text", pa.string(), "words, definition, examples and related words; or the beginning of the article"),
    ),
    key=("entry_id",),
    invariants=(NotBlank("entry_id"), NotBlank("label"), NotBlank("text")),
    may_be_empty=True,
    usual=FOLLOWS_SETTINGS,
    limits=("The entries are English.", "Narrower words are left out, because a general word has hundreds of them."),
)


class ReferenceSource(Enum):
    """Where the entries come from."""

    reference_works = "reference_works"
    none = "none"


class ReferenceTextsConfig(dg.Config):
    """Which reference works."""

    source: ReferenceSource = Field(
        ReferenceSource.reference_works,
        description="reference_works (embedded): WordNet's synsets and the summaries of Wikipedia's vital articles; "
        "none: an empty table, such as for documents that are not English",
    )


@dg.asset(
    **refreshed(
        CONTRACT,
        __name__,
        config=ReferenceTextsConfig,
        description="Entries of WordNet and Wikipedia, which word vectors are trained on beside the documents.",
        # They have no inputs, so no change can request them. `make run` and `refresh_text` make them.
        automation_condition=None,
    )
)
@keeps_settings
def reference_texts(config: ReferenceTextsConfig) -> Draft:
    """Read all entries."""
    from taproom.drawing import bars
    from taproom.sources.fetching import members
    from taproom.sources.reference_works import wikipedia_summaries, wordnet_entries

    if config.source is ReferenceSource.none:
        return Draft(CONTRACT.schema.empty_table(), metadata={"empty_because": "the source is none"})
    wordnet, (summaries,) = members("wordnet"), members("wikipedia_summaries")
    ids, labels, _, texts = zip(*wordnet_entries(wordnet), *wikipedia_summaries(summaries), strict=True)
    return Draft(
        CONTRACT.table_of(entry_id=ids, label=labels, text=texts),
        metadata={"entries": len(ids)},
        figure=bars("Entries of the 20 largest subjects", Counter(labels), "entries"),
    )


@dg.asset_check(
    asset="reference_texts",
    description=f"At most {MAX_SHORT_SHARE:.0%} of the entries have fewer than {FEWEST_WORDS} words.",
)
def few_short_entries(reference_texts: pa.Table) -> dg.AssetCheckResult:
    """A word is learned from the words beside it; entries of a word or two mean that definitions were lost."""
    words = pc.list_value_length(pc.utf8_split_whitespace(reference_texts["text"]))
    short = pc.sum(pc.less(words, FEWEST_WORDS)).as_py() or 0
    share = short / max(len(reference_texts), 1)
    return dg.AssetCheckResult(
        passed=share <= MAX_SHORT_SHARE, severity=dg.AssetCheckSeverity.WARN, metadata={"short_share": share}
    )
