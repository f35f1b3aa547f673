"""On labelled wells: how often calls are right on a plate that is measured on another scale than the labelled one.

    python benchmarks/bench_plate_scales.py [SEEDS]

The wells of the embedded Plate01 are two plates, each with wells of all classes. The classes' mixtures are fitted to
the one, and the wells of the other called, in both directions: as they are, and with shifts and scales that each seed
draws anew for each channel (standard deviations 0.5 units and a factor of exp(0.2)). The scales are found without
labels. Peers: no scale; each plate's channels with mean 0 and variance 1; and with the quantiles of the first plate
(as normalization by quantiles without clusters in CytoNorm, Van Gassen and others, Cytometry A 97, 2020).
"""

import sys
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from assets.assays.events import EMBEDDED_PLATE_MAP
from taproom.assays.class_mixtures import ClassParameters, cross_fit
from taproom.assays.held_out_wells import LabelledEvents
from taproom.assays.mixtures import Mixture
from taproom.assays.plate_scales import ScaleParameters, plate_scales
from taproom.sources.events import EventMatrix, compared_channels, transform_all
from taproom.sources.fetching import member, read_sources
from taproom.sources.plates import read_plate_map
from taproom.sources.samples import fcs_sample

PARTS = (("A3", "A4", "A6", "A7"), ("B3", "B4", "C7"))
LINEAR = ("Time", "HDR-*", "*-W")
QUANTILES = np.linspace(0.005, 0.995, 99)


def main(seeds: int = 4) -> None:
    """Print the accuracy over the wells of either part, and how far scales are from the planted ones."""
    events, channels = labelled_wells()
    with threadpool_limits(1):
        for fitted, called in (PARTS, PARTS[::-1]):
            first, second = (events.where(np.isin(events.wells, wells)) for wells in (fitted, called))
            mixtures = cross_fit(first, ClassParameters(restarts=1), n_jobs=1).mixtures
            classes = np.unique(first.labels)
            for seed in range(seeds):
                shift, scale = planted(seed, len(channels))
                moved = LabelledEvents((second.values - shift) / scale, second.labels, second.wells)
                ours, about = by_scales(first, moved, channels)
                off = np.sqrt((((ours - second.values) / first.values.std(axis=0)) ** 2).mean(axis=0)).max()
                ways: dict[str, np.ndarray] = {
                    "not shifted": second.values,
                    "no scale": moved.values,
                    "ours": ours,
                    "standardized": by_moments(first.values, moved.values),
                    "quantiles": by_quantiles(first.values, moved.values),
                }
                told = ", ".join(f"{way} {accuracy(each, moved, mixtures, classes):.3f}" for way, each in ways.items())
                print(f"{'+'.join(called)}, {'planted' if seed else 'as it is'}: {told}; {about}, off by {off:.3f} sd")


def labelled_wells() -> tuple[LabelledEvents, list[str]]:
    """The labelled embedded wells in the channels that the product compares."""
    source = read_sources()["plates"]
    files = {name.rpartition("/")[2]: name for name in source.members}
    wells = {name: well for name, well in read_plate_map(EMBEDDED_PLATE_MAP).items() if well.label}
    samples = {name: fcs_sample(member(source, files[name]), well, None, LINEAR, True) for name, well in wells.items()}
    compared = compared_channels([each.channels for each in samples.values()],
                                 [each.transforms for each in samples.values()])  # fmt: skip
    values = []
    for sample in samples.values():
        places = [list(sample.channels).index(name) for name in compared]
        values.append(transform_all(sample.values, sample.transforms)[:, places])
    sizes = [len(each) for each in values]
    labels, names = (np.repeat([getattr(each, what) for each in wells.values()], sizes) for what in ("label", "well"))
    return LabelledEvents(np.vstack(values), labels, names), list(compared)


def planted(seed: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Shift and scale of each channel; none for the seed 0."""
    random = np.random.default_rng(seed)
    shift, scale = random.normal(0, 0.5, channels), np.exp(random.normal(0, 0.2, channels))
    return (shift, scale) if seed else (np.zeros(channels), np.ones(channels))


def by_scales(first: LabelledEvents, second: LabelledEvents, channels: Sequence[str]) -> tuple[np.ndarray, str]:
    """The second plate's events with shift and scale, whatever the gain is, and the gain in words."""
    sizes = [len(each.values) for each in (first, second)]
    names = np.concatenate([first.wells, second.wells]).astype(object)
    rows = pa.table(
        {
            "plate": np.repeat(np.array(["first", "second"], object), sizes),
            "well": names,
            "label": np.concatenate([first.labels, second.labels]).astype(object),
        }
    )
    together = np.vstack([first.values, second.values])
    matrix = EventMatrix(rows, together, tuple(channels), ("linear",) * len(channels))
    found = plate_scales(matrix, ScaleParameters(reference="first"))[1]
    return found.shift + found.scale * second.values, f"gain {found.gain:.2f}{', applied' * found.applied}"


def by_moments(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The second plate's events with the means and variances of the first."""
    return (second - second.mean(axis=0)) / second.std(axis=0) * first.std(axis=0) + first.mean(axis=0)


def by_quantiles(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The second plate's events with the quantiles of the first, in straight lines between them and beyond."""
    columns = []
    for wanted, own in zip(np.quantile(first, QUANTILES, axis=0).T, np.quantile(second, QUANTILES, axis=0).T,
                           strict=True):  # fmt: skip
        column = second[:, len(columns)]
        inside = np.interp(column, own, wanted)
        columns.append(inside + np.minimum(column - own[0], 0) + np.maximum(column - own[-1], 0))
    return np.column_stack(columns)


def accuracy(values: np.ndarray, events: LabelledEvents, mixtures: Sequence[Mixture], classes: np.ndarray) -> float:
    """The share of right calls, mean over the wells."""
    called = classes[np.column_stack([mixture.log_density(values) for mixture in mixtures]).argmax(axis=1)]
    right = called == events.labels
    return float(np.mean([right[events.wells == well].mean() for well in np.unique(events.wells)]))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
