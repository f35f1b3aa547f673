"""The small plate's classes, fitted once for all tests."""

import pytest

from taproom.assays.class_mixtures import CrossFit, cross_fit
from taproom.assays.class_model import ClassModel
from taproom.assays.class_thresholds import model_of
from taproom.assays.held_out_wells import LabelledEvents
from tests.labelled_plate import QUICK, plate


@pytest.fixture(scope="session")
def crossed() -> CrossFit:
    return cross_fit(LabelledEvents(*plate()), QUICK)


@pytest.fixture(scope="session")
def model(crossed) -> ClassModel:
    return model_of(crossed, QUICK)
