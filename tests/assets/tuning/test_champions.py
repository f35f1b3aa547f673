from dataclasses import dataclass

import pyarrow as pa
import pytest

from assets.tuning.champions import CONTRACT, champions, parameters
from taproom.errors import InputError


@dataclass(frozen=True)
class Parameters:
    steps: int = 10
    rate: float = 0.5
    margin: float = 1.0


def champions_of(*rows: tuple[str, str, float]) -> pa.Table:
    return pa.Table.from_pylist(
        [dict(zip(CONTRACT.schema.names, row, strict=True)) for row in rows], schema=CONTRACT.schema
    )


def test_without_champions_the_defaults_stand():
    nothing = CONTRACT.schema.empty_table()
    assert parameters(Parameters(), nothing, "item_map", {"steps": None, "rate": None}) == Parameters()


def test_a_champion_stands_over_a_default_and_the_configuration_over_a_champion():
    table = champions_of(("item_map", "steps", 20.0), ("item_map", "rate", 0.1))
    chosen = parameters(Parameters(), table, "item_map", {"rate": 0.9, "steps": None, "margin": None})
    assert chosen == Parameters(steps=20, rate=0.9, margin=1.0)
    assert type(chosen.steps) is int


def test_a_configured_zero_is_a_value():
    table = champions_of(("item_map", "rate", 0.1))
    assert parameters(Parameters(), table, "item_map", {"rate": 0.0}).rate == 0.0


def test_champions_of_other_products_do_not_count():
    assert parameters(Parameters(), champions_of(("topics", "whatever", 3.0)), "item_map", {}) == Parameters()


def test_a_champion_that_is_no_parameter_is_refused():
    with pytest.raises(
        InputError, match=r"\['speed'\] for item_map, whose parameters are \['margin', 'rate', 'steps'\]"
    ):
        parameters(Parameters(), champions_of(("item_map", "speed", 1.0)), "item_map", {})


def test_the_table_is_declared_but_not_made_here():
    assert champions.key.path == ["champions"]
    assert CONTRACT.may_be_empty
