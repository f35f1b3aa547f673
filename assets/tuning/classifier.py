"""The study of `classifier`: the features of images, at one number of filters.

The budget is the number of filters: settings are compared with few filters, and the best continue with more. A champion
does not change what a preset fixes (filters, patches, windows); lambda is chosen within each trial, as in the
classifier.
"""

from assets.tuning.study import SearchSize, Study, study_assets
from taproom.search.space import Integer, Real
from taproom.search.trials import Objective, Plan
from taproom.warehouse.table_version import TableVersion


def _objective(images: TableVersion, seed: int) -> Objective:
    from taproom.images.classifier_objective import ClassifierObjective
    from taproom.images.stored_pixels import StoredPixels, without_pixels

    return ClassifierObjective.of(without_pixels(images).read(), StoredPixels(images), seed)


def _first() -> object:
    from taproom.images.image_features import EncoderParameters

    return EncoderParameters()


STUDY = Study(
    name="classifier",
    module=__name__,
    about="Searched: patch size, contrast, whitening, offset and pooling of image features, for accuracy.",
    objective=_objective,
    first=_first,
    space={
        "patch_size": Integer(4, 8),
        "contrast": Real(1.0, 300.0, log=True),
        "zca_epsilon": Real(0.01, 1.0, log=True),
        "offset": Real(0.0, 1.0),
        "power": Real(0.25, 1.0),
    },
    unit="filters",
    score="accuracy on held-out images",
    full_budget=64,
    plans={
        SearchSize.brief: Plan("hyperband", trials=6, budget=36, least_budget=12, higher_is_better=True),
        SearchSize.small: Plan("hyperband", trials=20, budget=63, least_budget=7, higher_is_better=True),
        SearchSize.large: Plan("hyperband", trials=80, budget=126, least_budget=14, higher_is_better=True),
    },
)

tuning = study_assets(STUDY)
