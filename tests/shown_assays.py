"""Tables of assays that pages show: events in two plates, with names that try to do harm, and models of them."""

import numpy as np

from assets.assays.class_mixtures import CLASS_MIXTURES, CLASSES, SHARE_ERRORS
from assets.assays.density import CONTRACT as DENSITY
from assets.assays.density import on_grid
from assets.assays.event_calls import EVENT_CALLS, WELL_SHARES
from assets.assays.events import EVENTS
from assets.assays.kernel_density import KERNEL_DENSITY
from assets.assays.mixture import ASSIGNMENTS, MIXTURE, MIXTURE_TRACE
from assets.assays.two_components import CONTRACT as TWO_COMPONENT_TRACE
from assets.assays.wells import CONTRACT as WELLS
from taproom.assays.densities import grid_over, kernel_density, mixture_density
from taproom.assays.event_mixture import gaussian_columns
from taproom.assays.mixtures import Mixture
from taproom.sources.events import as_lists
from taproom.warehouse.warehouse import Warehouse
from tests.shown_tables import HOSTILE, publish

CHANNELS = ["FSC-A", "Y2-A", HOSTILE[0]]
PLATES = [("Plate01", "A1"), ("Plate01", "B2"), ("Plate01", "H12"), (HOSTILE[3], "P24"), ("Plate03", HOSTILE[1])]
CLASS_NAMES = [HOSTILE[4], "red"]
EVENTS_OF_WELL = 300
ITERATIONS = 25
MODEL = Mixture(
    [0.5, 0.3, 0.2],
    [[0.0, 0.0, 1.0], [3.0, 1.0, 0.0], [0.0, 4.0, -1.0]],
    [np.diag([1.0, 0.5, 2.0]), [[1.0, 0.6, 0.0], [0.6, 1.0, 0.2], [0.0, 0.2, 0.5]], 0.3 * np.eye(3)],
)


def publish_assays(warehouse: Warehouse, plates=PLATES) -> None:
    """Publish the tables of the assay chain that a page shows."""
    values = publish_events(warehouse, plates)
    publish_mixture(warehouse, values, plates)
    publish_densities(warehouse, values)
    publish_two_components(warehouse)
    publish_calls(warehouse, values, plates)


def publish_events(warehouse: Warehouse, plates=PLATES) -> np.ndarray:
    """Publish events of the model and their wells, of the first well one without its last value; return the values."""
    random = np.random.default_rng(0)
    component = random.choice(3, len(plates) * EVENTS_OF_WELL, p=MODEL.weights)
    roots = np.linalg.cholesky(MODEL.covariances)
    noise = random.normal(size=(len(component), 3, 1))
    values = MODEL.means[component] + (roots[component] @ noise)[..., 0]
    values[0, 2] = np.nan
    for place, (sample, (plate, well)) in enumerate(zip(samples(plates), plates, strict=True)):
        of_well = values[place * EVENTS_OF_WELL : (place + 1) * EVENTS_OF_WELL]
        rows = EVENTS.table_of(
            sample=[sample] * EVENTS_OF_WELL,
            event=np.arange(EVENTS_OF_WELL),
            plate=[plate] * EVENTS_OF_WELL,
            well=[well] * EVENTS_OF_WELL,
            label=[None] * EVENTS_OF_WELL,
            values=as_lists(of_well),
            transformed=as_lists(of_well[:, ::-1]),
        )
        warehouse.publish(EVENTS, rows, since=warehouse.head("events"), partition=sample)
    publish(
        warehouse,
        WELLS,
        {
            "plate": [plate for plate, _ in plates],
            "well": [well for _, well in plates],
            "sample": samples(plates),
            "label": ["red", *[None] * (len(plates) - 1)],
            "events": [EVENTS_OF_WELL] * len(plates),
            "channels": [CHANNELS] * len(plates),
            "transforms": [["arcsinh(150)", "arcsinh(150)", "linear"]] * len(plates),
            "places": [[2, 1, 0]] * len(plates),
            "events_hash": ["0"] * len(plates),
        },
    )
    return values


def samples(plates=PLATES) -> list[str]:
    """A key for each well, not in the order of the wells."""
    return [f"sample-{len(plates) - place}" for place in range(len(plates))]


def publish_mixture(warehouse: Warehouse, values: np.ndarray, plates=PLATES) -> None:
    """Publish the model as the mixture of all events, with iterations that lead to it."""
    columns = {"component": np.arange(3), **gaussian_columns(MODEL)}
    populations = np.array([0, 1, 1])
    names = {"channels": [CHANNELS] * 3, "transforms": [["linear"] * 3] * 3}
    publish(warehouse, MIXTURE, {**columns, **names, "population": populations})
    shifts = np.linspace(2, 0, ITERATIONS + 1)
    traced = [Mixture(MODEL.weights, MODEL.means + shift, MODEL.covariances) for shift in shifts]
    publish(
        warehouse,
        MIXTURE_TRACE,
        {
            "iteration": np.repeat(np.arange(ITERATIONS + 1), 3),
            "component": np.tile(np.arange(3), ITERATIONS + 1),
            "log_likelihood": np.repeat(-1000.0 + np.arange(ITERATIONS + 1), 3),
            "weight": np.tile(MODEL.weights, ITERATIONS + 1),
            "mean": [mean for mixture in traced for mean in mixture.means],
            "covariance": [each.ravel() for mixture in traced for each in mixture.covariances],
        },
    )
    responsibilities = MODEL.responsibilities(values)
    publish(
        warehouse,
        ASSIGNMENTS,
        {
            **_event_keys(plates),
            "component": responsibilities.argmax(axis=1),
            "population": populations[responsibilities.argmax(axis=1)],
            "responsibilities": as_lists(responsibilities),
            "log_density": MODEL.log_density(values),
        },
    )


def publish_densities(warehouse: Warehouse, values: np.ndarray) -> None:
    """Publish the densities of the last two channels."""
    complete = values[1:, 1:]
    grid = grid_over(complete, 60, margin=0.3)
    for contract, found in ((DENSITY, mixture_density(MODEL.marginal([1, 2]), grid)),
                            (KERNEL_DENSITY, kernel_density(complete, grid, 0.2))):  # fmt: skip
        rows = on_grid(contract, CHANNELS[1:], grid, found)
        warehouse.publish(contract, rows, since=warehouse.head(contract.table))


def publish_two_components(warehouse: Warehouse, iterations: int = 4) -> None:
    """Publish two components in a channel that drift apart."""
    count = iterations + 1
    publish(
        warehouse,
        TWO_COMPONENT_TRACE,
        {
            "channel": [CHANNELS[1]] * 2 * count,
            "iteration": np.repeat(np.arange(count), 2),
            "component": np.tile([0, 1], count),
            "log_likelihood": np.repeat(-500.0 + np.arange(count), 2),
            "weight": [0.75, 0.25] * count,
            "mean": np.column_stack([-np.arange(count) / 4, np.arange(count)]).ravel(),
            "variance": [1.0, 2.0] * count,
        },
    )


def publish_calls(warehouse: Warehouse, values: np.ndarray, plates=PLATES) -> None:
    """Publish two classes, the calls of all events and the shares of all wells but the last."""
    of_class = [[0, 1], [2]]
    weights = [MODEL.weights[components] / MODEL.weights[components].sum() for components in of_class]
    publish(
        warehouse,
        CLASS_MIXTURES,
        {
            "class": np.repeat(CLASS_NAMES, [2, 1]),
            "component": [0, 1, 0],
            "weight": np.concatenate(weights),
            "mean": list(MODEL.means),
            "covariance": [each.ravel() for each in MODEL.covariances],
        },
    )
    shares = {"prior": [0.8, 0.2], "held_out_accuracy": [0.9, 0.85], "held_out_sure_accuracy": [0.99, None]}
    constants = {
        "wells": 2, "events": 600, "anomalous_below": -9.0, "ambiguous_below": 0.9, "wanted_accuracy": 0.95,
        "reached_accuracy": 0.96, "held_out_events": 600, "held_out_ambiguous_share": 0.125,
        "held_out_anomalous_share": 0.01,
    }  # fmt: skip
    publish(
        warehouse,
        CLASSES,
        {
            "class": CLASS_NAMES,
            **shares,
            **{name: [value] * 2 for name, value in constants.items()},
            "components": [2, 1],
            "channels": [CHANNELS] * 2,
            "transforms": [["linear"] * 3] * 2,
        },
    )
    responsibilities = MODEL.responsibilities(values)
    posteriors = np.column_stack([responsibilities[:, components].sum(axis=1) for components in of_class])
    posteriors /= posteriors.sum(axis=1, keepdims=True)
    log_density = MODEL.log_density(values)
    publish(
        warehouse,
        EVENT_CALLS,
        {
            **_event_keys(plates),
            "called": np.array(CLASS_NAMES)[posteriors.argmax(axis=1)],
            "posteriors": as_lists(posteriors),
            "log_density": log_density,
            "ambiguous": posteriors.max(axis=1) < 0.9,
            "anomalous": log_density < -9,
        },
    )
    shown = plates[:-1]
    red = np.linspace(0.1, 0.9, len(shown))
    share = np.column_stack([1 - red, red]).ravel()
    publish(
        warehouse,
        WELL_SHARES,
        {
            "plate": np.repeat([plate for plate, _ in shown], 2),
            "well": np.repeat([well for _, well in shown], 2),
            "class": CLASS_NAMES * len(shown),
            "events": [EVENTS_OF_WELL] * 2 * len(shown),
            "anomalous_share": [0.02] * 2 * len(shown),
            "share": share,
            "low": share - 0.05,
            "high": share + 0.05,
            "argmax_share": share,
            "known_share": [0.0, 1.0, *[None] * 2 * (len(shown) - 1)],
        },
    )
    publish(
        warehouse,
        SHARE_ERRORS,
        {
            "blend": [0, 0],
            "class": CLASS_NAMES,
            "events": [100, 100],
            "true_share": [0.5, 0.5],
            "share": [0.52, 0.48],
            "argmax_share": [0.6, 0.4],
        },
    )


def _event_keys(plates) -> dict[str, np.ndarray]:
    return {
        "sample": np.repeat(samples(plates), EVENTS_OF_WELL),
        "event": np.tile(np.arange(EVENTS_OF_WELL), len(plates)),
    }
