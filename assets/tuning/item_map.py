"""The study of `item_map`: which descent violates the fewest triplets.

There is a trade-off between two errors, neighbours against random items and neighbours among themselves; the score is
their mean, on triplets that no map is fitted to.
"""

import pyarrow as pa

from assets.tuning.study import SearchSize, Study, study_assets
from taproom.search.space import Real
from taproom.search.trials import Objective, Plan


def _objective(neighbors: pa.Table, seed: int) -> Objective:
    from taproom.maps.item_map_objective import MapObjective

    return MapObjective.of(neighbors, seed)


def _first() -> object:
    from taproom.maps.ordinal import OrdinalParameters

    return OrdinalParameters()


STUDY = Study(
    name="item_map",
    module=__name__,
    about="Searched: the step, the margin and the share of triplets inside the neighbours, for the fewest errors.",
    objective=_objective,
    first=_first,
    space={
        "step": Real(0.003, 0.1, log=True),
        "margin": Real(0.03, 0.5, log=True),
        "within_share": Real(0.3, 0.7),
    },
    unit="updates per item",
    score="mean error of held-out triplets, random and within the neighbours, in two and three dimensions",
    full_budget=2_000,
    plans={
        SearchSize.brief: Plan("hyperband", trials=6, budget=450, least_budget=150),
        SearchSize.small: Plan("hyperband", trials=24, budget=1_350, least_budget=150),
        SearchSize.large: Plan("hyperband", trials=100, budget=1_350, least_budget=50),
    },
)

tuning = study_assets(STUDY)
