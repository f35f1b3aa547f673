"""A small plate of labelled wells, and parameters that fit it quickly."""

import numpy as np

from taproom.assays.class_mixtures import ClassParameters, cross_fit
from taproom.assays.class_model import ClassModel
from taproom.assays.class_thresholds import model_of
from taproom.assays.held_out_wells import LabelledEvents

QUICK = ClassParameters(sizes=(1, 2), restarts=1)
CENTRES = {"blue": (0.0, 0.0), "red": (4.0, 0.0), "yellow": (0.0, 4.0)}
WELLS = {"blue": ("A1", "A2"), "red": ("B1", "B2", "B3"), "yellow": ("C1", "C2")}


def plate(events=200, seed=0, spread=0.1, wells=WELLS):
    """Events of each class around its centre, half of them around a place that all classes share; wells differ."""
    random = np.random.default_rng(seed)
    values, labels, names = [], [], []
    for label, of_class in wells.items():
        for well in of_class:
            own = np.arange(events) % 2 == 0
            centre = np.where(own[:, None], CENTRES[label], (2.0, 2.0)) + random.normal(scale=spread, size=2)
            values.append(centre + random.normal(size=(events, 2)))
            labels += [label] * events
            names += [well] * events
    return np.vstack(values), np.array(labels), np.array(names)


def events_of_plate(events=200, seed=0) -> LabelledEvents:
    return LabelledEvents(*plate(events, seed))


def with_missing(values, share=0.3, seed=1):
    """The values with a share of them hidden."""
    missing = np.random.default_rng(seed).random(values.shape) < share
    return np.where(missing, np.nan, values)


def fit_classes(values, labels, wells, parameters) -> ClassModel:
    return model_of(cross_fit(LabelledEvents(values, labels, wells), parameters), parameters)
