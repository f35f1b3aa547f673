"""The study of `kernel_density`: how wide its kernels are.

One number is searched, so a grid does: the deck's lazy mixture has nothing else to choose. The best width
falls with the number of events, so trials have all of them, up to half a million.
"""

import pyarrow as pa

from assets.assays.wells import MATRIX_EVENTS
from assets.tuning.study import SearchSize, Study, study_assets
from taproom.search.space import Real
from taproom.search.trials import Objective, Plan


def _objective(events: pa.Table, wells: pa.Table, density: pa.Table, seed: int) -> Objective:
    from taproom.assays.kernel_density_objective import KernelDensityObjective

    return KernelDensityObjective.of(events, wells, density, seed)


def _first() -> object:
    from taproom.assays.densities import KernelDensityParameters

    return KernelDensityParameters()


STUDY = Study(
    name="kernel_density",
    module=__name__,
    about="Searched: the bandwidth of the kernel density, for the log density of held-out events.",
    ins=MATRIX_EVENTS,
    objective=_objective,
    first=_first,
    space={"bandwidth": Real(0.02, 0.3, log=True)},
    unit="events",
    score="mean log density of held-out events, in nats",
    full_budget=500_000,
    plans={
        SearchSize.brief: Plan("grid", trials=12, budget=500_000, higher_is_better=True),
        SearchSize.small: Plan("grid", trials=40, budget=500_000, higher_is_better=True),
        SearchSize.large: Plan("grid", trials=100, budget=500_000, higher_is_better=True),
    },
)

tuning = study_assets(STUDY)
