"""The study of `class_mixtures`: the number of components of each class, and their regularization.

The score is the log loss of the Bayes rule on events that the mixtures are not fitted to: a density that is right
everywhere gives the right posteriors.
"""

import pyarrow as pa

from assets.assays.wells import MATRIX_EVENTS
from assets.tuning.study import SearchSize, Study, study_assets
from taproom.search.space import Integer, Real
from taproom.search.trials import Objective, Plan


def _objective(events: pa.Table, wells: pa.Table, plate_scales: pa.Table, seed: int) -> Objective:
    from taproom.assays.class_mixtures_objective import ClassMixturesObjective

    return ClassMixturesObjective.of(events, wells, plate_scales, seed)


def _first() -> object:
    from taproom.assays.class_mixtures import ClassParameters

    return ClassParameters()


STUDY = Study(
    name="class_mixtures",
    module=__name__,
    about="Searched: components and regularization of the classes' mixtures, for the log loss of their posteriors.",
    ins=MATRIX_EVENTS,
    objective=_objective,
    first=_first,
    space={
        "components": Integer(2, 12, log=True),
        "regularization": Real(1e-6, 0.3, log=True),
    },
    unit="events per well",
    score="log loss on held-out events, in nats",
    full_budget=2_000,
    plans={
        SearchSize.brief: Plan("gaussian process", trials=5, budget=2_000),
        SearchSize.small: Plan("gaussian process", trials=24, budget=2_000),
        SearchSize.large: Plan("gaussian process", trials=80, budget=2_000),
    },
)

tuning = study_assets(STUDY)
