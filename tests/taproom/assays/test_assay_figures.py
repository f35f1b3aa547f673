import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from taproom.assays import assay_figures as figures
from taproom.assays.densities import CANDIDATES, Grid, enclosing_levels, grid_over, mixture_density
from taproom.assays.mixtures import Mixture
from taproom.assays.plate_scales import PlateScale
from taproom.drawing import PALETTE, new_figure
from taproom.sources.events import EventMatrix

RANDOM = np.random.default_rng(0)
VALUES = np.vstack([RANDOM.normal(size=(900, 2)), RANDOM.normal(6, 0.5, size=(600, 2))])
NAMES = ["B1-A", "Y2-A"]
ODD_NAMES = [r"$\frac{", "a_$b$"]


def gaussians(means, sd=1.0):
    means = np.asarray(means, float)
    count, channels = means.shape
    return Mixture(np.full(count, 1 / count), means, np.tile(sd**2 * np.eye(channels), (count, 1, 1)))


TWO = gaussians([[0, 0], [6, 6]])
ONE = gaussians([[1, 2]])
MANY = gaussians(RANDOM.normal(3, 3, size=(20, 2)))
GRID = grid_over(VALUES, points=40)
DENSITY = mixture_density(TWO, GRID)
PLATE_ROWS = pa.table({"plate": ["first"] * 900 + ["second"] * 600})
TWO_PLATES = EventMatrix(PLATE_ROWS, np.where(VALUES > 9, np.nan, VALUES), tuple(NAMES), ("linear",) * 2)
NO_SHIFT = np.zeros(2)
SCALES = [
    PlateScale("first", NO_SHIFT, NO_SHIFT + 1, NO_SHIFT, None, None, reference=True, applied=False),
    PlateScale("second", NO_SHIFT - 6, NO_SHIFT + 2, NO_SHIFT + 3, 1.5, 0.0, reference=False, applied=True),
]


def size_row(components, seed, chosen=False, held_out=-3.0):
    return {
        "components": components,
        "seed": seed,
        "log_density": -3.0 + 0.1 * components - 0.05 * seed,
        "bic": 900.0 - components,
        "held_out_log_density": held_out,
        "chosen": chosen,
    }


def share_row(well, name, known_share=None):
    shares = {"share": 0.4, "low": 0.3, "high": 0.5, "argmax_share": 0.45}
    return {"plate": "Plate1", "well": well, "class": name, **shares, "known_share": known_share}


def blend(name, true_share):
    return {"class": name, "true_share": true_share, "share": 0.4, "argmax_share": 0.45}


def judged(method, accuracy_error=0.02):
    return {"method": method, "accuracy": 0.7, "accuracy_error": accuracy_error}


def bins(method):
    return [{"method": method, "confidence": sure, "observed": sure - 0.05} for sure in (0.4, 0.7, 0.95)]


def colours(png: bytes) -> set:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(png) < 150_000
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    assert min(picture.size) > 80
    return {colour for _, colour in picture.getcolors(maxcolors=256)}


def near(colour: str, found: set) -> bool:
    """Whether some pixel is of the palette's colour, up to what 256 colours round."""
    wanted = np.frombuffer(bytes.fromhex(colour[1:]), np.uint8).astype(int)
    return np.abs(np.array(sorted(found)) - wanted).max(axis=1).min() < 25


@pytest.mark.parametrize(
    "draw",
    [
        lambda: figures.sample_events(VALUES, NAMES, "Plate 1, well A3"),
        lambda: figures.em_iterations(VALUES, {i: TWO for i in (0, 1, 2, 3, 4, 5, 6, 20)}, NAMES),
        lambda: figures.two_components(VALUES[:, 0], {i: TWO.marginal([0]) for i in (0, 1)}, "B1-A"),
        lambda: figures.restarts([size_row(1, 0), size_row(2, 0, chosen=True), size_row(2, 1)]),
        lambda: figures.populations(VALUES, TWO, np.array([0, 1]), NAMES),
        lambda: figures.density(GRID, DENSITY, enclosing_levels(DENSITY), VALUES, NAMES, "Mixture density"),
        lambda: figures.bandwidths(CANDIDATES, -np.linspace(0, 3, len(CANDIDATES)), CANDIDATES[2]),
        lambda: figures.class_mixtures({"CFP": TWO, "RFP": ONE}, {"CFP": VALUES, "RFP": VALUES[:50]}, NAMES),
        lambda: figures.plate_scales(TWO_PLATES, SCALES),
        lambda: figures.well_shares([share_row("A1", "CFP", 1.0), share_row("A2", "CFP"), share_row("A1", "RFP", 0.0)]),
        lambda: figures.share_errors([blend("CFP", 0.6), blend("RFP", 0.4)]),
        lambda: figures.calls(["A1", "A2"], {"CFP": [0.7, 0.1], "ambiguous": [0.2, 0.8], "anomalous": [0.1, 0.1]}),
        lambda: figures.comparison([judged("class_mixtures")], bins("class_mixtures")),
    ],
    ids=lambda _: "figure",
)
def test_a_figure_is_a_picture_with_something_drawn_in_the_palette(draw):
    assert near(PALETTE[0], colours(draw()))


def test_each_population_has_its_colour():
    found = colours(figures.populations(VALUES, TWO, np.array([1, 0]), NAMES))
    assert near(PALETTE[0], found)
    assert near(PALETTE[1], found)
    assert not near(PALETTE[2], found)


@pytest.mark.parametrize("mixture", [TWO, MANY], ids=["few components", "more components than colours"])
def test_each_ellipse_has_its_number_on_its_line_apart_from_the_others(mixture):
    _, axes = new_figure(5, 4)
    limits = [(-8.0, 14.0), (-9.0, 15.0)]
    figures._number_ellipses(axes, mixture, range(mixture.components), limits, size=7)
    low, high = np.array(limits).T
    number_of = {int(text.get_text()): low + np.array(text.get_position()) * (high - low) for text in axes.texts}
    places = np.array([number_of[component] for component in range(mixture.components)])
    np.testing.assert_allclose(np.linalg.norm(places - mixture.means, axis=1), 1)
    apart = np.linalg.norm(places[:, None] - places, axis=2)[np.triu_indices(len(places), 1)]
    assert apart.min() > 0.3


def test_an_ellipse_outside_the_axes_has_no_number():
    _, axes = new_figure(5, 4)
    figures._number_ellipses(axes, TWO, [0, 1], [(-2, 2), (-2, 2)], size=7)
    assert [text.get_text() for text in axes.texts] == ["0"]


def test_figures_are_the_same_bytes_again():
    one, other = (figures.populations(VALUES, TWO, np.array([0, 1]), NAMES) for _ in range(2))
    assert one == other


@pytest.mark.parametrize("mixture", [ONE, MANY], ids=["one component", "more components than colours"])
def test_any_number_of_components_is_drawn(mixture):
    assert colours(figures.em_iterations(VALUES, {0: mixture}, NAMES))
    assert colours(figures.two_components(VALUES[:, 0], {0: mixture.marginal([0])}, "B1-A"))
    assert colours(figures.populations(VALUES, mixture, np.arange(mixture.components), NAMES))


@pytest.mark.parametrize(
    "values",
    [
        VALUES[:1],
        np.full((3, 2), np.nan),
        np.vstack([VALUES[:20], [[np.nan, 1], [1e9, -1e9]]]),
    ],
    ids=["one event", "all missing", "some missing, some far away"],
)
def test_few_or_strange_events_are_drawn(values):
    assert colours(figures.sample_events(values, NAMES, "Well"))
    assert colours(figures.em_iterations(values, {0: TWO}, NAMES))
    assert colours(figures.two_components(values[:, 0], {0: TWO.marginal([0])}, "B1-A"))
    assert colours(figures.populations(values, TWO, np.array([0, 1]), NAMES))
    assert colours(figures.density(GRID, DENSITY, enclosing_levels(DENSITY), values, NAMES, "Density"))
    assert colours(figures.class_mixtures({"CFP": TWO}, {"CFP": values}, NAMES))


def test_events_all_in_one_place_are_drawn():
    assert colours(figures.sample_events(np.zeros((50, 2)), NAMES, "Well"))
    assert colours(figures.two_components(np.zeros(50), {0: TWO.marginal([0])}, "B1-A"))


def test_names_with_dollars_and_underscores_are_only_names():
    assert colours(figures.sample_events(VALUES, ODD_NAMES, "$"))
    assert colours(figures.em_iterations(VALUES, {0: TWO}, ODD_NAMES))
    assert colours(figures.two_components(VALUES[:, 0], {0: TWO.marginal([0])}, ODD_NAMES[0]))
    assert colours(figures.populations(VALUES, TWO, np.array([0, 1]), ODD_NAMES))
    assert colours(figures.density(GRID, DENSITY, enclosing_levels(DENSITY), VALUES, ODD_NAMES, "$x$ $"))
    assert colours(figures.class_mixtures({"$": TWO, "_": ONE}, {"$": VALUES, "_": VALUES}, ODD_NAMES))
    assert colours(figures.well_shares([share_row("$A$", "$"), share_row("_", "_x", 1.0)]))
    assert colours(figures.calls(ODD_NAMES, {"$a$": [1.0, 0.5], "_b": [0.0, 0.5]}))
    assert colours(figures.share_errors([blend("$", 0.5), blend("_", 0.5)]))
    assert colours(figures.comparison([judged("$m$")], bins("$m$")))


def test_fits_without_held_out_events_or_of_one_size_are_drawn():
    assert colours(figures.restarts([size_row(1, 0, chosen=True, held_out=None)]))
    assert colours(figures.restarts([size_row(3, seed, chosen=seed == 0) for seed in range(4)]))


def test_bandwidths_that_were_not_judged_are_left_out():
    assert colours(figures.bandwidths([0.01, 0.1, 1.0], np.array([np.nan, -1.0, -2.0]), 0.1))
    assert colours(figures.bandwidths([0.1], np.array([-1.0]), 0.1))


def test_a_density_is_drawn_with_any_levels():
    flat = np.ones((10, 10))
    grid = Grid(np.arange(10.0), np.arange(10.0))
    assert colours(figures.density(grid, flat, enclosing_levels(flat), VALUES, NAMES, "Flat"))
    assert colours(figures.density(GRID, DENSITY, enclosing_levels(DENSITY, [0.5]), VALUES, NAMES, "One", [0.5]))


def test_shares_of_one_class_and_one_well_of_none_and_of_wells_without_estimates_are_drawn():
    empty_well = {"plate": "Plate1", "well": "A2", "class": "CFP", "known_share": None}
    estimate_outside_of_its_interval = {**share_row("A3", "CFP"), "share": 0.2}
    assert colours(figures.well_shares([share_row("A1", "CFP"), empty_well, estimate_outside_of_its_interval]))
    assert colours(figures.well_shares([empty_well]))
    assert colours(figures.well_shares([]))
    assert colours(figures.share_errors([blend("CFP", 1.0)]))
    assert colours(figures.share_errors([]))


def test_calls_of_one_class_or_none_and_of_many_are_drawn():
    assert colours(figures.calls(["A1"], {"CFP": [1.0]}))
    assert colours(figures.calls(["A1"], {"ambiguous": [1.0]}))
    assert colours(figures.calls([], {}))
    assert colours(figures.calls(["A1"], {f"class {number}": [0.05] for number in range(20)}))


def test_a_comparison_takes_one_well_methods_without_bins_more_of_them_than_colours_and_none():
    methods = [f"method {number}" for number in range(12)]
    assert colours(figures.comparison([judged(method, None) for method in methods], bins("method 3")))
    assert colours(figures.comparison([judged("lda")], []))
    assert colours(figures.comparison([], []))
