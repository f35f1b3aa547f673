import numpy as np
import pytest

from assets.assays.density import on_grid
from assets.assays.kernel_density import KERNEL_DENSITY, grid_covers_the_kernel_density
from taproom.assays.densities import Grid
from taproom.assays.event_mixture import mixture_from
from taproom.errors import InputError

QUICK = {"components": 3, "restarts": 1, "selection_events": 300}
MIXTURE = ("mixture", "mixture_fits", "mixture_trace", "assignments")
TABLES = ("density", "kernel_density", "kernel_bandwidths")


@pytest.fixture
def made(plate, make, made_once):
    settings = {"mixture": QUICK, "density": {"points": 60}}
    return made_once(lambda: make(*MIXTURE, *TABLES, "two_component_trace", **settings))


def test_the_density_is_the_mixtures_on_a_grid(made, warehouse):
    density = warehouse.read("density").to_pandas()
    assert len(density) == 3600
    assert {density.x_channel[0], density.y_channel[0]} == {"green", "red"}
    fitted = mixture_from(warehouse.read("mixture"))
    places = [["green", "red"].index(density[name][0]) for name in ("x_channel", "y_channel")]
    np.testing.assert_allclose(
        density.density, np.exp(fitted.marginal(places).log_density(density[["x", "y"]].to_numpy()))
    )
    assert all(check.passed for check in made.get_asset_check_evaluations())


def test_enclosed_shares_are_those_of_denser_points(made, warehouse):
    for table in ("density", "kernel_density"):
        grid = warehouse.read(table).to_pandas()
        inside = grid[grid.enclosed <= 0.95]
        assert inside.density.min() >= grid[grid.enclosed > 0.95].density.max()
        assert inside.density.sum() / grid.density.sum() == pytest.approx(0.95, abs=0.01)


def test_the_champion_is_the_bandwidth_unless_the_run_says_otherwise(made, make, warehouse, crown):
    crown("kernel_density", bandwidth=0.125)
    make("kernel_density", "kernel_bandwidths")
    assert warehouse.read("kernel_bandwidths")["bandwidth"].to_pylist() == [0.125]
    make("kernel_density", "kernel_bandwidths", kernel_density={"bandwidths": [0.1, 0.2]})
    assert warehouse.read("kernel_bandwidths")["bandwidth"].to_pylist() == [0.1, 0.2]


def test_both_densities_stand_on_one_grid_and_agree(made, warehouse):
    ours, kernel = (warehouse.read(table).to_pandas() for table in ("density", "kernel_density"))
    np.testing.assert_array_equal(ours[["x", "y"]], kernel[["x", "y"]])
    assert np.corrcoef(ours.density, kernel.density)[0, 1] > 0.9
    tried = warehouse.read("kernel_bandwidths").to_pandas()
    assert tried.chosen.sum() == 1
    assert tried.held_out_log_density.idxmax() == tried.chosen.idxmax()


def test_two_components_follow_algorithm_8_1(made, warehouse):
    trace = warehouse.read("two_component_trace").to_pandas()
    values = np.stack(warehouse.read("events").to_pandas().transformed)[:, ["green", "red"].index(trace.channel[0])]
    first, second = (trace[trace.iteration == i].set_index("component") for i in (0, 1))
    joint = [
        row.weight * np.exp(-((values - row["mean"]) ** 2) / 2 / row.variance) / np.sqrt(row.variance)
        for _, row in first.iterrows()
    ]
    gamma = joint[1] / (joint[0] + joint[1])
    assert second.weight[1] == pytest.approx(gamma.mean())
    assert second["mean"][1] == pytest.approx((gamma * values).sum() / gamma.sum())
    assert second["mean"][0] == pytest.approx(((1 - gamma) * values).sum() / (1 - gamma).sum())
    expected = (gamma * (values - second["mean"][1]) ** 2).sum() / gamma.sum()
    assert second.variance[1] == pytest.approx(expected)


def test_other_channels_than_two_known_ones_are_refused(plate, make):
    make(*MIXTURE, mixture=QUICK)
    with pytest.raises(InputError, match="wanted: two"):
        make("density", density={"channels": ["green"]})
    with pytest.raises(InputError, match="there are no channels"):
        make("density", density={"channels": ["green", "blue"]})


@pytest.mark.parametrize(("width", "passed"), [(1.0, True), (3.0, False)])
def test_a_kernel_density_that_leaves_its_grid_is_warned_of(width, passed):
    grid = Grid(np.linspace(-4, 4, 41), np.linspace(-4, 4, 41))
    x, y = np.meshgrid(grid.x, grid.y, indexing="ij")
    found = np.exp(-(x**2 + y**2) / 2 / width**2) / (2 * np.pi * width**2)
    result = grid_covers_the_kernel_density(on_grid(KERNEL_DENSITY, ["green", "red"], grid, found))
    assert result.passed is passed
    assert (result.metadata["mass"].value > 0.95) is passed
