"""The study of `word_vectors`: how word vectors are trained.

The score is how often a text's two sides (each word is drawn to one of them), the means of their words' vectors, are
nearer to each other than to a side of another text, on texts that no vector is trained on. It measures subjects rather
than analogies, which may be fewer with a champion, and reads no reference texts (ADR 40).
Ranges end where training would take more than about twice as long as by the values set by hand.
"""

import dagster as dg
import pyarrow as pa

from assets.tuning.study import SearchSize, Study, study_assets
from taproom.search.space import Integer, Real
from taproom.search.trials import Objective, Plan


def _objective(documents: pa.Table, seed: int) -> Objective:
    from taproom.text.word_vectors_objective import WordVectorsObjective

    return WordVectorsObjective.of(documents, seed)


def _first() -> object:
    from taproom.text.word_vectors import WordVectorParameters

    return WordVectorParameters()


STUDY = Study(
    name="word_vectors",
    module=__name__,
    about="Searched: dimensions, window, negative words, subsampling and step, for how near a text's two sides are.",
    ins={"documents": dg.AssetIn(metadata={"columns": ["text", "split"]})},
    objective=_objective,
    first=_first,
    space={
        "dimensions": Integer(48, 144, log=True),
        "window": Integer(3, 7),
        "negative": Integer(2, 5),
        "sample": Real(1e-5, 5e-4, log=True),
        "step": Real(0.01, 0.1, log=True),
    },
    unit="documents",
    score="how often a held-out text's two sides are nearer to each other than to another text's",
    full_budget=4_000,
    plans={
        SearchSize.brief: Plan("hyperband", trials=4, budget=1_800, least_budget=600, higher_is_better=True),
        SearchSize.small: Plan("hyperband", trials=12, budget=4_050, least_budget=450, higher_is_better=True),
        SearchSize.large: Plan("hyperband", trials=60, budget=4_050, least_budget=150, higher_is_better=True),
    },
)

tuning = study_assets(STUDY)
