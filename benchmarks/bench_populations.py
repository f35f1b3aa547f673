"""On labelled sets: how well populations that are found without labels agree with the labels, beside methods that are
told how many there are.

    python benchmarks/bench_populations.py [FOLDER [SEEDS]]

reads the sets from `../shared/data/cytometry`, and does nothing where they are not there. FlowSOM is no dependency; to
install it, in a separate environment: `pip install flowsom==0.2.2`.

Ours are the defaults of the table `mixture`. Peers: k-means and FlowSOM with the true number of populations, on
channels as they are and on scaled ones; scikit-learn's mixture with the number from BIC, on scaled channels. Scores,
means over the seeds: the mean F1 of the populations, each with the one found population that is given to it by the
Hungarian algorithm (Weber and Robinson, Cytometry A 89, 2016), and the adjusted Rand index. Events that have no label
count in neither. The sets on which the method was chosen have a *.
"""

import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from assets.assays.mixture import MixtureConfig
from taproom.assays.event_mixture import fit_events
from taproom.assays.expectation_maximization import EmParameters
from taproom.assays.mixture_sizes import SizeParameters
from taproom.assays.mixture_starts import standardization
from taproom.sources.events import EventMatrix

FOLDER = "../shared/data/cytometry"
CHOSEN_ON = ("flowcap_dlbcl_emmix", "barcode", "cytof_huimm")
SETS = ("flowcap_dlbcl_cytometree", "flowcap_dlbcl_emmix", "hipc_tcell", "barcode", "flowsom_68983", "cytof_huimm")
# Of this set, the dyes on an arcsinh scale; of the others all channels as they are.
GATED, COFACTOR = "flowsom_68983", 150
DYES = ("Pacific Blue", "APC", "APC-Cy7", "PE", "PE-Texas Red", "PE-Cy5", "PE-Cy7")
EVENTS = 20_000


def main(folder: str = FOLDER, seeds: int = 3) -> None:
    """Print the scores of each method on each set."""
    if not Path(folder).is_dir():
        print(f"no labelled sets in {folder}, so nothing is measured")
        return
    warnings.simplefilter("ignore")
    for name in SETS:
        values, labels, channels = labelled_set(Path(folder), name)
        methods = {"ours": partial(ours, values, channels), **peers(values, labels, channels)}
        means = {method: mean_scores(labels, found, seeds) for method, found in methods.items()}
        told = ", ".join(f"{method} {f1:.3f} / {rand:.3f}" for method, (f1, rand) in means.items())
        print(f"{name}{'*' * (name in CHOSEN_ON)}: {told}", flush=True)


def labelled_set(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Values, numbers of the labels (-1: none) and channels of at most 20,000 events, the same in each run."""
    table = pq.read_table(folder / f"{name}.parquet")
    channels = [channel for channel in table.column_names if channel != "label"]
    if name == GATED:
        channels = [channel for channel in channels if is_dye(channel)]
    values = np.column_stack([table[channel].to_numpy().astype(float) for channel in channels])
    if name == GATED:
        values = np.arcsinh(values / COFACTOR)
    labels = table["label"].combine_chunks().dictionary_encode().indices.fill_null(pa.scalar(-1, pa.int32()))
    drawn = np.sort(np.random.default_rng(0).permutation(len(values))[:EVENTS])
    return values[drawn], labels.to_numpy()[drawn], channels


def is_dye(channel: str) -> bool:
    """Whether the channel is one of the dyes' areas."""
    return channel.replace("<", "").replace(">", "").startswith(tuple(f"{dye}-A" for dye in DYES))


def ours(values: np.ndarray, channels: Sequence[str], seed: int) -> np.ndarray:
    """The population of each event, by the defaults of `mixture`."""
    config = MixtureConfig(seed=seed)
    matrix = EventMatrix(pa.table({}), values, tuple(channels), ("linear",) * len(channels))
    fitted = fit_events(
        matrix,
        SizeParameters(tuple(config.sizes), config.restarts, config.selection_events),
        EmParameters(config.iterations, config.tolerance, config.regularization),
        components=None,
        level=config.level,
        valley=config.valley,
        seed=seed,
        n_jobs=config.workers,
    )
    print(f"  {fitted.mixture.components} components, {fitted.populations.max() + 1} populations", flush=True)
    return fitted.assigned(values).population


def peers(values: np.ndarray, labels: np.ndarray, channels: Sequence[str]) -> dict[str, Callable[[int], np.ndarray]]:
    """Methods by name; each gives the populations of the events for a seed."""
    offset, scale = standardization(values)
    scaled, count = (values - offset) / scale, int(labels.max()) + 1
    found: dict[str, Callable[[int], np.ndarray]] = {"scikit-learn's mixture": partial(mixture_by_bic, scaled)}
    ways = {"k-means": k_means}
    try:
        import flowsom  # noqa: F401
    except ImportError:
        print("FlowSOM is not installed, so it is left out: pip install flowsom==0.2.2, in a separate environment")
    else:
        ways["FlowSOM"] = flow_som
    for name, way in ways.items():
        for what, some in (("unscaled", values), ("scaled", scaled)):
            found[f"{name}, {what}"] = partial(way, some, count, channels)
    return found


def mixture_by_bic(values: np.ndarray, seed: int) -> np.ndarray:
    """scikit-learn's mixture with the number of components of the smallest BIC."""
    fits = [GaussianMixture(size, random_state=seed).fit(values) for size in MixtureConfig().sizes]
    return min(fits, key=lambda fit: fit.bic(values)).predict(values)


def k_means(values: np.ndarray, count: int, _channels: Sequence[str], seed: int) -> np.ndarray:
    """scikit-learn's k-means."""
    return KMeans(count, n_init=3, random_state=seed).fit_predict(values)


def flow_som(values: np.ndarray, count: int, channels: Sequence[str], seed: int) -> np.ndarray:
    """FlowSOM by its defaults: a map of 10 x 10, and clusters of its nodes."""
    import anndata
    import flowsom

    events = anndata.AnnData(values.astype(np.float32))
    events.var_names = list(channels)
    found = flowsom.FlowSOM(events, n_clusters=count, cols_to_use=list(channels), seed=seed)
    return found.get_cell_data().obs["metaclustering"].to_numpy()


def mean_scores(labels: np.ndarray, found: Callable[[int], np.ndarray], seeds: int) -> tuple[float, float]:
    """The means of both scores over the seeds from 0."""
    with threadpool_limits(1):
        each = [scores(labels, found(seed)) for seed in range(seeds)]
    f1, rand = np.mean(each, axis=0)
    return float(f1), float(rand)


def scores(labels: np.ndarray, found: np.ndarray) -> tuple[float, float]:
    """The mean F1 of the populations and the adjusted Rand index, of the events that have a label."""
    labelled = labels >= 0
    counts = np.zeros((labels.max() + 1, int(found.max()) + 1))
    np.add.at(counts, (labels[labelled], found[labelled].astype(int)), 1)
    counts = counts[counts.any(axis=1)]
    f1 = 2 * counts / (counts.sum(axis=1, keepdims=True) + counts.sum(axis=0))
    rows, columns = linear_sum_assignment(f1, maximize=True)
    return f1[rows, columns].sum() / len(f1), adjusted_rand_score(labels[labelled], found[labelled])


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
