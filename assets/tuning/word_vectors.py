"""The study of `word_vectors`: how word vectors are trained.

A vector is worth what it tells of a text: the score is how often the two halves of a document, each the mean of its
words' vectors, are nearer to each other than to the halves of other documents, on documents that no vector is trained
on.
"""

import dagster as dg

from assets.tuning.study import SearchSize, Study, study_assets
from taproom.search import Objective, Plan
from taproom.search_space import Integer, Real


def _objective(documents, seed: int) -> Objective:
    from taproom.word_vectors_objective import WordVectorsObjective

    return WordVectorsObjective.of(documents, seed)


def _first() -> object:
    from taproom.word_vectors import WordVectorParameters

    return WordVectorParameters()


STUDY = Study(
    name="word_vectors",
    module=__name__,
    about="Searched: dimensions, window, negative words, subsampling and step, for how alike a text's halves are.",
    ins={"documents": dg.AssetIn(metadata={"columns": ["document_id", "text", "split"]})},
    objective=_objective,
    first=_first,
    space={
        "dimensions": Integer(16, 128, log=True),
        "window": Integer(2, 10),
        "negative": Integer(2, 10),
        "sample": Real(1e-5, 1e-2, log=True),
        "step": Real(0.01, 0.1, log=True),
    },
    unit="documents",
    score="how often a held-out text's half is nearer to its other half than to another text's",
    full_budget=100_000,
    plans={
        SearchSize.small: Plan("hyperband", trials=8, budget=1_800, least_budget=200, higher_is_better=True),
        SearchSize.large: Plan("hyperband", trials=60, budget=4_050, least_budget=150, higher_is_better=True),
    },
)

tuning = study_assets(STUDY)
