"""The study of `topics`: the number of topics, and the tolerance of their fit.

Coherence alone favours a few safe topics, the share of the documents that they explain favours many; the score is the
sum of both, on documents that no topic is fitted to. How many topics are best depends on how many documents there are:
with 1,000 newsgroup messages settings cannot be distinguished, with 500 nine topics are best, with all of them twenty.
"""

import pyarrow as pa

from assets.tuning.study import SearchSize, Study, study_assets
from taproom.search.space import Integer, Real
from taproom.search.trials import Objective, Plan


def _objective(bag_of_words: pa.Table, terms: pa.Table, seed: int) -> Objective:
    from taproom.text.topics_objective import TopicsObjective

    return TopicsObjective.of(bag_of_words, terms, seed)


def _first() -> object:
    from taproom.text.topics import TopicParameters

    return TopicParameters()


STUDY = Study(
    name="topics",
    module=__name__,
    about="Searched: the number of topics and the tolerance of their fit, for coherence and the share explained.",
    objective=_objective,
    first=_first,
    space={
        "topics": Integer(8, 40, log=True),
        "tolerance": Real(1e-4, 1e-2, log=True),
    },
    unit="documents",
    score="NPMI of the topics' heaviest words + share of the documents that topics explain, both held out",
    full_budget=4_500,
    plans={
        SearchSize.brief: Plan("tpe", trials=4, budget=4_500, higher_is_better=True),
        SearchSize.small: Plan("tpe", trials=16, budget=4_500, higher_is_better=True),
        SearchSize.large: Plan("tpe", trials=60, budget=4_500, higher_is_better=True),
    },
)

tuning = study_assets(STUDY)
