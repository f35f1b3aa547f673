import pytest

from taproom.assays.class_model import call
from taproom.assays.class_model_rows import model_from_rows, model_rows
from taproom.errors import InputError
from tests.labelled_plate import plate, with_missing

CHANNELS, TRANSFORMS = ("FSC-A", "SSC-A"), ("linear", "arcsinh")


def test_a_model_rebuilt_from_rows_in_any_order_calls_bit_for_bit_the_same(model):
    component_rows, class_rows = model_rows(model, CHANNELS, TRANSFORMS)
    rebuilt, channels, transforms = model_from_rows(component_rows[::-1], class_rows[::-1])
    assert (channels, transforms) == (CHANNELS, TRANSFORMS)
    values = with_missing(plate(seed=9)[0])
    one, other = call(values, model), call(values, rebuilt)
    for name in ("log_densities", "posteriors", "called", "log_density", "ambiguous", "anomalous"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes()
    assert model_rows(rebuilt, channels, transforms) == (component_rows, class_rows)
    assert len(component_rows) == sum(row["components"] for row in class_rows)
    assert [row["wells"] for row in class_rows] == [2, 3, 2]
    assert [row["events"] for row in class_rows] == [400, 600, 400]


def test_rows_that_do_not_fit_together_are_refused(model):
    component_rows, class_rows = model_rows(model, CHANNELS, TRANSFORMS)
    for components, classes in ((component_rows[1:], class_rows), (component_rows, class_rows[1:]), ([], [])):
        with pytest.raises(InputError, match="one making"):
            model_from_rows(components, classes)
