"""The deck's own experiment: which search finds good settings of a network of digits, and how soon.

Here belong the ten settings that the deck shows, each with its loss here and the published one; and the comparison of
grid, random and Bayesian search (TPE, a Gaussian process) with Hyperband, which stops poor settings early, at the same
number of epochs. The searches are those of `taproom.search.trials`, the network is that of
`taproom.search.hidden_layer`.

- A fifth of the digits of each label judges (the mean cross-entropy without the penalty), chosen by a hash of their
  ids; the others are trained on. Nothing is crowned, so there is no fresh part; but all searches look at the same
  digits, so none has an advantage by it.
- The cost is counted in epochs. A network that is promoted continues its training, so only the new epochs count.
- The best loss so far is that of any network at any rung, however short its training was.
- The deck says neither what its loss is nor how many digits it was trained on, or for how long: only the order of the
  settings can be compared.

Source: the deck's slides "Hyperparameter Optimization" (ranges, ten settings, their losses in the same order); Li,
Jamieson, DeSalvo, Rostamizadeh and Talwalkar, Hyperband, 2017; Spearman's rank correlation by SciPy.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np

from taproom.blas import one_thread
from taproom.compute import Made, workers
from taproom.errors import InputError
from taproom.progress import progress, silent
from taproom.search.hidden_layer import BATCH, HiddenLayer, HiddenLayerParameters, Judged
from taproom.search.space import Integer, Parameters, Real
from taproom.search.trials import METHODS, Plan, Trial, search

SPACE: dict[str, Real | Integer] = {
    "learning_rate": Real(1e-3, 1e-1, log=True),
    "l2_penalty": Real(1e-6, 1e-1, log=True),
    "hidden_nodes": Integer(10, 1_000, log=True),
}


class DeckSetting(NamedTuple):
    """A setting that the deck shows, as powers of 10, and its loss."""

    learning_rate: float
    l2_penalty: float
    hidden_nodes: float
    loss: float

    @property
    def parameters(self) -> HiddenLayerParameters:
        """The setting itself."""
        return HiddenLayerParameters(10**self.learning_rate, 10**self.l2_penalty, round(10**self.hidden_nodes))


DECK_SETTINGS = (
    DeckSetting(-1.6, -2.4, 1.7, 0.0577),
    DeckSetting(-1.0, -1.2, 2.6, 0.182),
    DeckSetting(-1.2, -5.7, 1.4, 0.0436),
    DeckSetting(-2.4, -2.0, 2.9, 0.0919),
    DeckSetting(-2.6, -2.9, 1.9, 0.0575),
    DeckSetting(-2.7, -2.5, 2.4, 0.0765),
    DeckSetting(-1.8, -1.4, 2.6, 0.1196),
    DeckSetting(-1.4, -2.1, 1.5, 0.0834),
    DeckSetting(-1.9, -5.8, 2.1, 0.0242),
    DeckSetting(-1.8, -5.6, 1.7, 0.029),
)

# One in so many digits of each label judges.
JUDGES = 5
# What the other methods are measured by.
REFERENCE = "random"
QUARTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Spending:
    """The cost: seeds, trials' worth of epochs for each, epochs of a trial, and digits (None: all)."""

    seeds: int
    trials: int
    epochs: int
    digits: int | None = None

    @property
    def all_epochs(self) -> int:
        """The budget of a search, in epochs."""
        return self.trials * self.epochs


# 9 trials of 9 epochs pay for three brackets of Hyperband, 27 of 27 for two rounds of its four brackets.
SPENDINGS = {"small": Spending(3, 9, 9, 200), "large": Spending(10, 27, 27)}


class Parted(NamedTuple):
    """Digits to train on and to judge by: float32 (n, 784) from 0 to 1, and int64 labels (n,) of so many classes."""

    training: np.ndarray
    training_labels: np.ndarray
    judging: np.ndarray
    judging_labels: np.ndarray
    classes: int


class Spent(NamedTuple):
    """The epochs that a search has spent when a network is judged, and its loss; None where training has diverged."""

    epochs: int
    loss: float | None


@dataclass(frozen=True)
class EpochsObjective:
    """The loss of a network after so many epochs, its budget; for one search, in one process.

    It remembers the networks that it has trained, so that these are trained on, and what has been spent: neither
    changes a score. `spent` has an entry for each call.
    """

    digits: Parted
    spent: list[Spent] = field(default_factory=list)
    _networks: dict[tuple, HiddenLayer] = field(default_factory=dict)

    def score(self, parameters: Parameters, budget: int, seed: int) -> float:
        """The mean cross-entropy in nats; raises `InputError` where training diverges."""
        key = _key(parameters, seed)
        network = self._networks.pop(key, None) or HiddenLayer(key[0], self.digits.classes, seed)
        before = self.spent[-1].epochs if self.spent else 0
        # As if it had diverged, until it is judged: such epochs are spent as well.
        self.spent.append(Spent(before + budget - network.epochs, None))
        loss = _trained(network, self.digits, budget).loss
        self.spent[-1] = self.spent[-1]._replace(loss=loss)
        self._networks[key] = network
        return loss

    def forget(self, trials: Sequence[Trial]) -> None:
        """Drop the networks that no trial is going to train on."""
        waiting = {_key(trial.parameters, trial.seed) for trial in trials if trial.state == "promoted"}
        for key in self._networks.keys() - waiting:
            del self._networks[key]


def part(pixels: np.ndarray, labels: np.ndarray, ids: Sequence[str], most: int | None = None) -> Parted:
    """Part digits, float32 (n, 784) with int64 labels (n,) from 0, into those to train on and those that judge.

    Of each label a fifth judges, chosen by a hash of their ids: a digit keeps its part while there are as many of its
    label. With `most`, so many are taken at most, as many of each label. Raises `InputError` for fewer than two labels,
    fewer than five digits of one, or fewer than 100 in all, of which a batch is to be trained on.
    """
    counts = np.bincount(labels)
    if len(counts) < 2 or counts.min() < JUDGES or len(labels) < 2 * BATCH:
        raise InputError(
            f"{len(labels):,} digits of {len(counts)} labels were given, at least {counts.min()} of each; wanted: "
            f"{2 * BATCH} digits, of two labels, and {JUDGES} of each"
        )
    order = np.array(sorted(range(len(ids)), key=lambda row: blake2b(ids[row].encode(), digest_size=8).digest()))
    each = len(ids) if most is None else max(most // len(counts), JUDGES)
    of_label = [order[labels[order] == label][:each] for label in range(len(counts))]
    judging = np.concatenate([rows[: len(rows) // JUDGES] for rows in of_label])
    training = np.concatenate([rows[len(rows) // JUDGES :] for rows in of_label])
    return Parted(pixels[training], labels[training], pixels[judging], labels[judging], len(counts))


class Compared(NamedTuple):
    """Rows of the tables `deck_settings` and `search_comparison`."""

    settings: list[dict]
    curves: list[dict]


def compare(digits: Parted | Made[Parted], spending: Spending, seed: int = 0, n_jobs: int | None = None) -> Compared:
    """Train the deck's settings and let all methods search, each with consecutive seeds.

    The rows do not depend on `n_jobs`, workers (processes) as joblib counts them. With `Made` digits, a search and the
    training of a setting are blocks of work on a cluster, where there is one.

    Raises:
        ComputeError: as `taproom.compute.workers` does.
    """
    seeds = range(seed, seed + spending.seeds)
    searches = [(method, of) for method in METHODS for of in seeds]
    settings = [(setting, of) for setting in DECK_SETTINGS for of in seeds]
    # The long ones first, so that no worker is left with one at the end.
    tasks = [
        *((_search, spending, *what) for what in searches),
        *((_train, spending, *what) for what in settings),
    ]
    with workers(digits, n_jobs, prefer="processes") as run:
        found = list(progress(run(_call, tasks), doing="comparing searches", total=len(tasks), unit="task"))
    curves = dict(zip(searches, found, strict=False))
    judged = dict(zip(settings, found[len(searches) :], strict=True))
    return Compared(
        _setting_rows([[judged[setting, of] for of in seeds] for setting in DECK_SETTINGS]),
        [row for method in METHODS for row in _curve_rows(method, [curves[method, of] for of in seeds])],
    )


def rank_correlation(rows: Sequence[Mapping], column: str) -> float | None:
    """Spearman's correlation of the published losses with a column of `deck_settings`; None where all are equal.

    A setting without a value, because training diverges, ranks last.
    """
    from scipy.stats import spearmanr

    ours = [np.inf if row[column] is None else row[column] for row in rows]
    if len(set(ours)) < 2:
        return None
    return float(spearmanr(ours, [row["published_loss"] for row in rows]).statistic)


def final_loss(rows: Sequence[Mapping], method: str) -> float | None:
    """The median of the best losses that a method has found in the end, from rows of `search_comparison`."""
    return [row["median"] for row in rows if row["method"] == method][-1]


def share_to_reach(rows: Sequence[Mapping], method: str) -> float | None:
    """The share of random search's epochs after which a method's median is as low as random search's in the end.

    None where it never is. Of methods without rungs it is the share of the trials, too.
    """
    wanted = final_loss(rows, REFERENCE)
    last = max(row["epochs"] for row in rows if row["method"] == REFERENCE)
    if wanted is None:
        return None
    of_method = (row for row in rows if row["method"] == method and row["median"] is not None)
    return next((row["epochs"] / last for row in of_method if row["median"] <= wanted), None)


def _key(parameters: Parameters, seed: int) -> tuple[HiddenLayerParameters, int]:
    """The key of a network."""
    return HiddenLayerParameters(**parameters), seed


def _call(digits: Parted, function: Callable[..., Any], *what: Any) -> Any:
    return function(digits, *what)


def _search(digits: Parted, spending: Spending, method: str, seed: int) -> list[Spent]:
    """The epochs and losses of one search, network by network."""
    objective = EpochsObjective(digits)
    plan = Plan(method, spending.trials, spending.epochs, continues=True, batch=1, seed=seed)
    with one_thread(), silent():
        search(objective, SPACE, plan, record=objective.forget, n_jobs=1)
    return objective.spent


def _train(digits: Parted, spending: Spending, setting: DeckSetting, seed: int) -> Judged | None:
    """How well a setting does after all epochs; None where training diverges."""
    with one_thread():
        try:
            return _trained(HiddenLayer(setting.parameters, digits.classes, seed), digits, spending.epochs)
        except InputError:
            return None


def _trained(network: HiddenLayer, digits: Parted, epochs: int) -> Judged:
    network.train(digits.training, digits.training_labels, epochs)
    return network.judged(digits.judging, digits.judging_labels)


def _setting_rows(judged: Sequence[Sequence[Judged | None]]) -> list[dict]:
    """A row for each of the deck's settings, from what it reached with each seed."""
    from scipy.stats import rankdata

    losses = [_median([of.loss if of else np.inf for of in seeds]) for seeds in judged]
    errors = [_median([of.error if of else np.inf for of in seeds]) for seeds in judged]
    ranks = rankdata([np.inf if loss is None else loss for loss in losses])
    published_ranks = rankdata([setting.loss for setting in DECK_SETTINGS])
    return [
        {
            "setting": number,
            **vars(setting.parameters),
            "published_loss": setting.loss,
            "published_rank": float(published_ranks[number - 1]),
            "loss": losses[number - 1],
            "rank": float(ranks[number - 1]),
            "error": errors[number - 1],
            "losses": [of.loss if of else None for of in judged[number - 1]],
        }
        for number, setting in enumerate(DECK_SETTINGS, 1)
    ]


def _curve_rows(method: str, curves: Sequence[Sequence[Spent]]) -> Iterator[dict]:
    """A row for each number of epochs at which a network of any seed was judged: the best losses until then."""
    epochs = sorted({spent.epochs for curve in curves for spent in curve})
    bests = np.array([_best_by(curve, epochs) for curve in curves])
    for place, spent in enumerate(epochs):
        low, median, high = (_quantile(bests[:, place], share) for share in QUARTILES)
        yield {
            "method": method,
            "epochs": spent,
            "median": median,
            "low": low,
            "high": high,
            "losses": [_finite(best) for best in bests[:, place]],
        }


def _best_by(curve: Sequence[Spent], epochs: Sequence[int]) -> np.ndarray:
    """The lowest loss after each of these numbers of epochs, infinite before there is one: (epochs,) float64."""
    losses = np.array([np.inf if spent.loss is None else spent.loss for spent in curve])
    known = np.searchsorted([spent.epochs for spent in curve], epochs, side="right")
    return np.append(np.inf, np.minimum.accumulate(losses))[known]


def _median(values: Sequence[float]) -> float | None:
    return _quantile(values, 0.5)


def _quantile(values: Sequence[float] | np.ndarray, share: float) -> float | None:
    """A quantile of values of which some may be infinite, of which NumPy's would be NaN; None where it is infinite."""
    ordered, place = np.sort(values), share * (len(values) - 1)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return _finite(low if low == high else low + (place - math.floor(place)) * (high - low))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
