import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from taproom.errors import DamagedFileError
from taproom.warehouse.contracts import Column, Contract, Usual
from taproom.warehouse.version_change import MIN_ROWS, SAMPLE, VersionChange, drift
from taproom.warehouse.warehouse import Warehouse
from tests.taproom.warehouse.tables import flip

BEERS = Contract(
    "beers",
    "a beer",
    (
        Column("beer", pa.int64(), "the beer"),
        Column("abv", pa.float64(), "alcohol", nullable=True),
        Column("style", pa.string(), "style", nullable=True),
        Column("ratings", pa.list_(pa.float32()), "ratings"),
        Column("text", pa.string(), "a text of its own"),
        Column("seconds", pa.float64(), "how long it took", volatile=True),
    ),
    key=("beer",),
    may_be_empty=True,
)
NUMBERS = st.lists(st.sampled_from([0.0, 1.0, 2.5, -3.0, math.inf, None]), min_size=MIN_ROWS, max_size=MIN_ROWS + 50)


def beers(abv, style=None, ratings=None, first: int = 0) -> pa.Table:
    count = len(abv)
    return BEERS.table_of(
        beer=range(first, first + count),
        abv=abv,
        style=["ale"] * count if style is None else style,
        ratings=[[1.0]] * count if ratings is None else ratings,
        text=[f"text {first + row}" for row in range(count)],
        seconds=np.random.default_rng(first).random(count),
    )


def drifted(warehouse: Warehouse, old: pa.Table, new: pa.Table) -> dict[str, float]:
    head = warehouse.head("beers")
    before = warehouse.publish(BEERS, old, since=head).version
    after = warehouse.publish(BEERS, new, since=before).version
    return drift(warehouse.storage, BEERS, before, after)


@pytest.mark.slow
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(NUMBERS, NUMBERS)
def test_numbers_are_compared_by_the_kolmogorov_smirnov_statistic_with_null_as_the_largest(warehouse, old, new):
    expected = ks_2samp(*([1e300 if each is None else min(each, 1e200) for each in side] for side in (old, new)))
    assert drifted(warehouse, beers(old), beers(new))["abv"] == pytest.approx(expected.statistic, abs=1e-12)


def test_numbers_in_lists_are_compared_entry_by_entry(warehouse):
    random = np.random.default_rng(0)
    old, new = ([random.normal(mean, size=random.integers(0, 4)) for _ in range(300)] for mean in (0, 1))
    expected = ks_2samp(*(np.concatenate(side).astype(np.float32) for side in (old, new))).statistic
    found = drifted(warehouse, beers([0.0] * 300, ratings=old), beers([0.0] * 300, ratings=new))
    assert found["ratings"] == pytest.approx(expected, abs=1e-12)


def test_categories_are_compared_by_the_total_variation_distance(warehouse):
    old, new = ["ale"] * 50 + ["stout"] * 50, ["ale"] * 40 + [None] * 20 + ["lager"] * 40
    found = drifted(warehouse, beers([0.0] * 100, style=old), beers([0.0] * 100, style=new))
    assert found["style"] == pytest.approx((0.1 + 0.5 + 0.2 + 0.4) / 2)


def test_keys_volatile_columns_and_texts_of_many_values_are_left_out(warehouse):
    assert set(drifted(warehouse, beers([1.0] * 100), beers([2.0] * 100, first=50))) == {"abv", "style", "ratings"}


def test_few_rows_are_not_compared(warehouse):
    assert drifted(warehouse, beers([1.0] * (MIN_ROWS - 1)), beers([2.0] * MIN_ROWS)) == {}
    assert drifted(warehouse, beers([1.0] * MIN_ROWS), beers([])) == {}


def test_the_sample_has_the_same_keys_in_both_versions(warehouse):
    values = np.random.default_rng(0).random(10 * SAMPLE)
    swapped = np.where(np.arange(len(values)) == 7, 2.0, values)
    assert 0 <= drifted(warehouse, beers(values), beers(swapped))["abv"] <= 2 / SAMPLE
    assert drifted(warehouse, beers(values), beers(values + 0.5))["abv"] == pytest.approx(0.5, abs=0.05)


def test_a_small_version_is_not_sampled_for_the_sake_of_a_large_one(warehouse):
    random = np.random.default_rng(0)
    assert drifted(warehouse, beers(random.random(150)), beers(random.random(20 * SAMPLE)))["abv"] < 0.15


def test_only_the_partition_is_compared(warehouse):
    contract = Contract(
        "casks",
        "a cask",
        (Column("pub", pa.string(), "pub"), Column("cask", pa.int64(), "cask"), Column("litres", pa.float64(), "size")),
        key=("cask",),
        partition="pub",
    )

    def publish(pub: str, litres: float, count: int = 100) -> int:
        rows = contract.table_of(pub=[pub] * count, cask=range(count), litres=[litres] * count)
        return warehouse.publish(contract, rows, since=warehouse.head("casks"), partition=pub).version

    first, other, second = publish("a", 1.0), publish("b", 9.0), publish("a", 2.0)
    assert drift(warehouse.storage, contract, first, second, partition="a") == {"litres": 1.0}
    assert drift(warehouse.storage, contract, other, second, partition="b") == {"litres": 0.0}


def test_a_column_of_another_type_is_left_out(warehouse):
    old = Contract("beers", "a beer", (*BEERS.columns[:1], Column("abv", pa.string(), "alcohol")), key=("beer",))
    warehouse.publish(old, old.table_of(beer=range(200), abv=["5"] * 200), since=None)
    warehouse.publish(BEERS, beers([5.0] * 200), since=0)
    assert drift(warehouse.storage, BEERS, 0, 1) == {}


def test_a_damaged_version_is_not_compared(warehouse):
    warehouse.publish(BEERS, beers([1.0] * 100), since=None)
    warehouse.publish(BEERS, beers([2.0] * 100), since=0)
    (file,) = warehouse.files("beers", 0)
    flip(Path(warehouse.uri("beers"), file.path), 100)
    with pytest.raises(DamagedFileError):
        drift(warehouse.storage, BEERS, 0, 1)


@pytest.mark.parametrize(
    ("change", "beyond"),
    [
        (VersionChange(100, 150, 50, 0), []),
        (VersionChange(100, 250, 150, 0), ["150% of the rows before are added (usual: at most 100%)"]),
        (VersionChange(100, 100, 40, 40), ["40% of the rows before are gone (usual: at most 30%)"]),
        (VersionChange(1000, 10), ["99% of the rows before are gone (usual: at most 30%)"]),
        (VersionChange(9, 9, 0, 0, {"abv": 0.5}), ["the distribution of abv moved by 0.50 (usual: at most 0.3)"]),
    ],
)
def test_what_is_beyond_a_limit_is_said_with_the_limit(change, beyond):
    assert change.beyond(Usual(added=1.0, gone=0.3, drift=0.3)) == beyond


def test_any_change_may_be_usual():
    usual = Usual(added=math.inf, gone=math.inf, drift=1.0, reason="it is drawn at random")
    assert VersionChange(10, 1000, 1000, 10, {"abv": 1.0}).beyond(usual) == []
    assert str(usual) == "any change is usual (it is drawn at random)"
    assert str(Usual(gone=math.inf, reason="so")) == (
        "at most 100% of the rows before are added, the distribution of no column moves by more than 0.3 (so)"
    )
