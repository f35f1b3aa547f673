import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from assets.tuning.digits import digits
from assets.tuning.search_comparison import (
    COMPARISON,
    DECK,
    SPENDINGS,
    ComparisonSize,
    order_is_the_decks,
    search_comparison,
    stopping_early_pays,
)
from pipelines.io_manager import TableIOManager
from pipelines.records import newest_materialization
from taproom.errors import ContractError, InputError
from taproom.search.search_comparison import Spending, final_loss, rank_correlation, share_to_reach
from taproom.search.trials import METHODS

TINY = Spending(seeds=2, trials=4, epochs=3, digits=120)


def write_bars(path, count):
    """Digits of two kinds: a bar that stands and a bar that lies, under noise."""
    random = np.random.default_rng(0)
    levels = random.integers(0, 80, (count, 28, 28))
    labels = np.arange(count) % 2
    levels[labels == 0, 4:24, 12:16] = 255
    levels[labels == 1, 12:16, 4:24] = 255
    np.savez(path, x=levels, y=labels)


@pytest.fixture
def compare(tmp_path, warehouse, instance, monkeypatch):
    """Reads so many digits and lets the methods search."""
    monkeypatch.setitem(SPENDINGS, "small", TINY)

    def run(count=150, **config):
        write_bars(tmp_path / "bars.npz", count)
        return dg.materialize(
            [digits, search_comparison, order_is_the_decks, stopping_early_pays],
            resources={"io_manager": TableIOManager()},
            instance=instance,
            run_config={
                "ops": {
                    "digits": {"config": {"path": str(tmp_path / "bars.npz")}},
                    "search_comparison": {"config": {"workers": 1, **config}},
                }
            },
        )

    return run


def told(instance, table):
    return newest_materialization(instance, dg.AssetKey(table)).asset_materialization.metadata


def test_the_comparison_becomes_two_tables_with_checks_metadata_and_figures(compare, warehouse, instance):
    result = compare()
    settings, curves = (warehouse.read(table) for table in ("deck_settings", "search_comparison"))
    assert settings.schema.equals(DECK.schema)
    assert curves.schema.equals(COMPARISON.schema)
    assert settings["setting"].to_pylist() == list(range(1, 11))
    rows = curves.to_pylist()
    assert {row["method"] for row in rows} == set(METHODS)
    assert max(row["epochs"] for row in rows) == TINY.all_epochs
    checks = {check.check_name for check in result.get_asset_check_evaluations()}
    assert {"order_is_the_decks", "stopping_early_pays"} <= checks

    metadata = told(instance, "search_comparison")
    wanted = {"seeds": 2, "epochs": 12, "trained_on": 96, "judged_by": 24}
    wanted |= {f"loss_{method.replace(' ', '_')}": final_loss(rows, method) for method in METHODS}
    for method in METHODS:
        share = share_to_reach(rows, method)
        if method != "random" and share is not None:
            wanted[f"share_to_reach_random_{method.replace(' ', '_')}"] = share
    assert {name: metadata[name].value for name in wanted} == wanted
    of_settings = told(instance, "deck_settings")
    assert of_settings["epochs"].value == 3
    assert of_settings["rank_correlation_of_loss"].value == rank_correlation(settings.to_pylist(), "loss")
    for shown in (metadata, of_settings):
        assert Image.open(shown["figure_path"].value).width > 700


def test_the_same_again_on_a_cluster_is_the_same_table_and_another_seed_another(
    compare, warehouse, instance, dask_cluster, monkeypatch
):
    compare()
    first = warehouse.heads()
    with monkeypatch.context() as patch:
        patch.setenv("TAPROOM_CLUSTER", dask_cluster)
        compare()
    (usage,) = told(instance, "deck_settings")["cluster"].value
    assert usage["blocks"] == TINY.seeds * (len(METHODS) + 10)
    assert warehouse.heads() == first
    compare(seed=1)
    changed = {table for table, version in warehouse.heads().items() if version != first[table]}
    assert changed == {"deck_settings", "search_comparison"}


def test_too_few_digits_are_refused(compare):
    with pytest.raises(InputError, match="90 digits of 2 labels"):
        compare(count=90)


def test_every_preset_can_be_asked_for():
    assert [size.value for size in ComparisonSize] == list(SPENDINGS)


def settings_table(losses):
    rows = [
        {
            "setting": place, "learning_rate": 0.01, "l2_penalty": 1e-3, "hidden_nodes": 50, "published_rank": place,
            "published_loss": place / 10, "loss": loss, "rank": place, "error": 0.1, "losses": [loss],
        }
        for place, loss in enumerate(losses, 1)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, DECK.schema)


def curve_table(**losses):
    rows = [
        {"method": method, "epochs": 27, "median": loss, "low": loss, "high": loss, "losses": [loss]}
        for method, loss in losses.items()
    ]
    return pa.Table.from_pylist(rows, COMPARISON.schema)


def test_an_order_other_than_the_decks_is_a_warning():
    assert order_is_the_decks(settings_table([0.1, 0.3, 0.2])).passed
    for losses in ([0.3, 0.2, 0.1], [0.2, 0.2, 0.2], [None, None, None]):
        found = order_is_the_decks(settings_table(losses))
        assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)


def test_a_hyperband_that_finds_worse_than_random_search_is_a_warning():
    for hyperband, random in ((0.2, 0.3), (0.2, 0.2), (0.2, None)):
        assert stopping_early_pays(curve_table(hyperband=hyperband, random=random)).passed
    for hyperband, random in ((0.3, 0.2), (None, 0.2), (None, None)):
        found = stopping_early_pays(curve_table(hyperband=hyperband, random=random))
        assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)


@pytest.mark.parametrize(
    ("table", "change"),
    [
        (settings_table([0.1]), {"hidden_nodes": 5}),
        (settings_table([0.1]), {"learning_rate": 1.0}),
        (settings_table([0.1]), {"losses": [float("nan")]}),
        (settings_table([0.1]), {"rank": 11.0}),
        (curve_table(random=0.1), {"method": "grad student descent"}),
        (curve_table(random=0.1), {"median": float("inf")}),
        (curve_table(random=0.1), {"epochs": 0}),
    ],
)
def test_the_contracts_refuse_what_no_comparison_gives(table, change):
    contract = DECK if "setting" in table.schema.names else COMPARISON
    (row,) = table.to_pylist()
    with pytest.raises(ContractError, match=next(iter(change))):
        list(contract.checked(pa.Table.from_pylist([row | change], contract.schema).to_batches()))
