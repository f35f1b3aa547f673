import json
from dataclasses import dataclass

import dagster as dg
import pyarrow as pa
import pytest
from pydantic import Field

from assets.tuning.champions import CHAMPIONS, champion_of, resolve_parameters


@dataclass(frozen=True)
class Parameters:
    steps: int = 10
    rate: float | None = None
    margin: float = 1.0
    fixed: int = 3  # no field of the configuration


class Config(dg.Config):
    steps: int | None = Field(None, ge=1, description="steps")
    rate: float | None = Field(None, gt=0, le=1, description="rate")
    margin: float | None = Field(None, description="margin")
    workers: int = Field(1, description="workers")


def champion(**setting) -> pa.Table:
    row = dict.fromkeys(CHAMPIONS.schema.names) | {
        "study": "item_map", "parameters": json.dumps(setting), "verdict": "crowned", "search": "nightly", "trial": 4,
        "challenge": 2,
    }  # fmt: skip
    return pa.Table.from_pylist([row], pa.schema([field.with_nullable(True) for field in CHAMPIONS.schema]))


def test_before_any_search_the_defaults_are_the_champion():
    made_with = resolve_parameters(Parameters(), CHAMPIONS.schema.empty_table(), Config, {"steps": None, "rate": None})
    assert made_with.parameters == Parameters()
    assert made_with.champion == "first: values set by hand"


def test_a_champion_stands_over_a_default_and_the_configuration_over_a_champion():
    made_with = resolve_parameters(Parameters(), champion(steps=20, rate=0.1), Config, {"rate": 0.9, "steps": None})
    assert made_with.parameters == Parameters(steps=20, rate=0.9)
    assert type(made_with.parameters.steps) is int
    assert made_with.champion == "crowned by trial 4 of the search nightly, challenge 2; set by the run instead: rate"


def test_a_configured_zero_is_a_value():
    assert resolve_parameters(Parameters(), champion(margin=2.0), Config, {"margin": 0.0}).parameters.margin == 0.0


def test_a_champion_may_leave_a_parameter_to_the_product():
    assert resolve_parameters(Parameters(rate=None), champion(rate=None), Config, {}).parameters.rate is None


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"speed": 1.0}, "it has ['speed'], and the parameters are ['margin', 'rate', 'steps']"),
        ({"fixed": 1}, "it has ['fixed']"),
        ({"workers": 1}, "it has ['workers']"),
        ({"steps": 0}, "steps"),
        ({"rate": 1.5}, "rate"),
        ({"steps": 2.5}, "steps"),
        ({"steps": "many"}, "steps"),
    ],
)
def test_a_champion_that_no_longer_fits_gives_way_to_the_defaults_and_it_is_told(setting, told, caplog):
    made_with = resolve_parameters(Parameters(), champion(**setting), Config, {"margin": 5.0})
    assert made_with.parameters == Parameters(margin=5.0)
    assert made_with.champion.startswith("first: values set by hand; the champion (crowned by trial 4")
    assert told in made_with.champion
    assert "does not fit any more" in caplog.text


def test_a_champion_is_an_input_of_its_own():
    assert champion_of("topics").key == dg.AssetKey(["champions", "topics_champions"])
