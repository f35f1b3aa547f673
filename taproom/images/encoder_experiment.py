"""Experiments with the encoder and the penalty: what one changed parameter does to the accuracy.

Here belong the experiments "standardization", "encoding", "filters", "number of filters" and "penalty" of
`taproom.images.street_fight`. Encoders are in `taproom.images.image_features`.

Parameters of the encoder are varied one at a time from `base_parameters`. Penalties are varied on the features of the
base setting: each one of a fixed grid, and the one that is chosen on held-out images.

Source: the deck's slides "ML Street Fight" and "Mini case study"; Coates, Lee and Ng, An analysis of single-layer
networks in unsupervised feature learning, 2011, for what is varied.
"""

import time
from dataclasses import replace
from typing import Any

import numpy as np

from taproom.images.filters import FILTERS
from taproom.images.image_features import ENCODINGS, EncoderParameters, learn_encoder
from taproom.images.imbalance_experiment import PENALTIES, DrawFit, imbalanced
from taproom.images.least_squares import LinearClassifier
from taproom.images.patches import STANDARDIZATIONS
from taproom.images.street_fight_draws import Draw, Outcome, Sizes

CHOSEN = "chosen"


def base_parameters(sizes: Sizes) -> EncoderParameters:
    """The encoder that each setting changes in one parameter; without mirror images, which would double the time."""
    return EncoderParameters(
        filters=sizes.filters,
        patches=sizes.patches,
        iterations=sizes.iterations,
        pools=sizes.pools,
        mirrored=False,
    )


def choices_of(sizes: Sizes) -> dict[str, tuple[str, tuple, str]]:
    """The varied parameters of the encoder: by experiment, the parameter, its settings, and the base setting (text)."""
    base = base_parameters(sizes)
    numbers = (sizes.filters // 4, sizes.filters // 2, sizes.filters, 2 * sizes.filters)
    return {
        "standardization": ("standardization", STANDARDIZATIONS, base.standardization),
        "encoding": ("encoding", ENCODINGS, base.encoding),
        "filters": ("learned_by", FILTERS, base.learned_by),
        "number of filters": ("filters", numbers, str(base.filters)),
    }


def vary(drawn: Draw, sizes: Sizes, experiment: str, setting: str | int) -> list[Outcome]:
    """The accuracy with one parameter of the encoder changed."""
    started = time.perf_counter()
    changed: dict[str, Any] = {choices_of(sizes)[experiment][0]: setting}
    parameters = replace(base_parameters(sizes), **changed)
    features = encoded(drawn.images, drawn.training, parameters, drawn.seed)
    fit = DrawFit(drawn, features)
    value = _accuracy(features, drawn, fit.on_all(fit.penalty))
    return [Outcome(experiment, "clean", str(setting), "accuracy", value, time.perf_counter() - started)]


def classify_base(drawn: Draw, sizes: Sizes) -> list[Outcome]:
    """All outcomes on the features of the base setting: its accuracy, that of each penalty, and class imbalance."""
    started = time.perf_counter()
    features = encoded(drawn.images, drawn.training, base_parameters(sizes), drawn.seed)
    fit = DrawFit(drawn, features)
    value = _accuracy(features, drawn, fit.on_all(fit.penalty))
    seconds = time.perf_counter() - started
    bases = {experiment: base for experiment, (_, _, base) in choices_of(sizes).items()} | {"penalty": CHOSEN}
    outcomes = [Outcome(experiment, "clean", base, "accuracy", value, seconds) for experiment, base in bases.items()]
    for penalty in PENALTIES:
        started = time.perf_counter()
        value = _accuracy(features, drawn, fit.on_all(penalty))
        outcomes.append(
            Outcome("penalty", "clean", penalty_name(penalty), "accuracy", value, time.perf_counter() - started)
        )
    return [*outcomes, *imbalanced(drawn, features)]


def encoded(images: np.ndarray, training: int, parameters: EncoderParameters, seed: int) -> np.ndarray:
    """Features of all images by an encoder that is learned from the first of them."""
    return learn_encoder(images[:training], parameters, seed, n_jobs=1).features(images, n_jobs=1)


def _accuracy(features: np.ndarray, drawn: Draw, classifier: LinearClassifier) -> float:
    called = classifier.scores(features[drawn.training :]).argmax(axis=1)
    return float(np.mean(called == drawn.labels[drawn.training :]))


def penalty_name(penalty: float) -> str:
    """The setting of a row with this penalty."""
    return f"{penalty:g}"
