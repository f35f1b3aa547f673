"""The street fight, after the deck's case study: which choice helps, on the same images, seed by seed.

Here belong the list of settings, the run of all experiments and the rows of the table `street_fight`. The experiments
are in `taproom.images.encoder_experiment`, `taproom.images.imbalance_experiment` and
`taproom.images.outlier_experiment`, their images in `taproom.images.street_fight_draws`.

Intervals are Student's, over the seeds: they cover the choice of images, not other data sets.

Source: the deck's slides "ML Street Fight" and "Mini case study".
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from taproom.blas import blas_threads
from taproom.compute import Made, made_here, workers
from taproom.images.encoder_experiment import CHOSEN, choices_of, classify_base, penalty_name, vary
from taproom.images.imbalance_experiment import IMBALANCE, MEASURES, PENALTIES, TREATMENTS, with_rare
from taproom.images.kernel_regression import LOSSES
from taproom.images.outlier_experiment import KERNELS, SPOILT, condition_name, kernel_training, regress
from taproom.images.street_fight_draws import Draw, Outcome, Sizes
from taproom.intervals import student_interval
from taproom.progress import progress


class Setting(NamedTuple):
    """A row's name: a setting of an experiment, under a condition, and which setting it is compared with."""

    experiment: str
    condition: str
    setting: str
    base: str | None


def compare(draws: Sequence[Draw] | Made[Sequence[Draw]], sizes: Sizes, n_jobs: int | None = None) -> list[dict]:
    """Rows of the table `street_fight`, from the draws of `taproom.images.street_fight_draws.draw_all`.

    With `Made` draws, a setting, or several that share an encoder, with one draw is a block of work on a cluster, where
    there is one. The rows, but for their seconds, do not depend on `n_jobs`, workers (threads) as joblib counts them.

    Raises:
        InputError: as `learn_encoder` does.
        ComputeError: as `taproom.compute.workers` does.
    """
    seeds, first = range(len(made_here(draws))), made_here(draws)[0]
    # The longest first, so that no worker is left with one at the end.
    tasks = [(task, place, sizes) for task in _tasks(sizes) for place in seeds]
    values: dict[tuple, list[float]] = {}
    seconds: dict[tuple, list[float]] = {}
    # The limit is the process's: set around all threads, and again in each task for workers that are other processes.
    with blas_threads(), workers(draws, n_jobs) as run:
        for outcomes in progress(run(_outcomes, tasks), doing="street fight", total=len(tasks), unit="task"):
            for outcome in outcomes:
                values.setdefault(outcome[:4], []).append(outcome.value)
                seconds.setdefault(outcome[:4], []).append(outcome.seconds)
    return [
        _row(setting, measure, values, float(np.mean(seconds[*setting[:3], measure])), _images(setting, first, sizes))
        for setting in settings(sizes)
        for measure in MEASURES
        if (*setting[:3], measure) in values
    ]


def settings(sizes: Sizes) -> list[Setting]:
    """All settings, in the order of the rows."""
    varied = [
        Setting(experiment, "clean", setting, None if setting == base else base)
        for experiment, (_, choices, base) in choices_of(sizes).items()
        for setting in map(str, choices)
    ]
    penalties = [Setting("penalty", "clean", setting, CHOSEN) for setting in map(penalty_name, PENALTIES)]
    imbalance = [
        Setting("class imbalance", f"{IMBALANCE}:1", setting, TREATMENTS[0] if setting != TREATMENTS[0] else None)
        for setting in TREATMENTS
    ]
    outliers = [
        Setting("outliers", condition_name(spoilt, kernel), loss, LOSSES[0] if loss != LOSSES[0] else None)
        for spoilt in SPOILT
        for kernel in KERNELS
        for loss in LOSSES
    ]
    return [*varied, *penalties, Setting("penalty", "clean", CHOSEN, None), *imbalance, *outliers]


class _Task(NamedTuple):
    """A function that one worker calls with one draw, and further arguments."""

    run: Callable[..., list[Outcome]]
    given: tuple = ()


def _outcomes(draws: Sequence[Draw], task: _Task, place: int, sizes: Sizes) -> list[Outcome]:
    # Not only for speed: the bits of some of LAPACK's results depend on its number of threads.
    with blas_threads():
        return task.run(draws[place], sizes, *task.given)


def _tasks(sizes: Sizes) -> list[_Task]:
    """Every task of a draw, the longest first."""
    varied = [
        _Task(vary, (experiment, setting))
        for experiment, (_, choices, base) in reversed(choices_of(sizes).items())
        for setting in reversed(choices)
        if str(setting) != base
    ]
    clean_images = tuple(spoilt for spoilt in SPOILT if spoilt != "images of noise")
    return [
        _Task(regress, (clean_images,)),
        _Task(classify_base),
        _Task(regress, (("images of noise",),)),
        *varied,
    ]


def _images(setting: Setting, drawn: Draw, sizes: Sizes) -> int:
    """How many images the setting is trained on."""
    if setting.experiment == "outliers":
        return kernel_training(drawn, sizes)
    if setting.experiment == "class imbalance":
        return len(with_rare(drawn, np.arange(drawn.classes // 2)))
    return drawn.training


def _row(setting: Setting, measure: str, values: dict[tuple, list[float]], seconds: float, images: int) -> dict:
    experiment, condition, name, base = setting
    reached = np.array(values[experiment, condition, name, measure])
    row = {
        **setting._asdict(),
        "measure": measure,
        "values": reached.tolist(),
        "images": images,
        "seconds": seconds,
        **dict(zip(("value", "low", "high"), _interval(reached), strict=True)),
        **dict.fromkeys(("difference", "difference_low", "difference_high")),
    }
    if base is not None:
        by_seed = reached - values[experiment, condition, base, measure]
        row |= dict(zip(("difference", "difference_low", "difference_high"), _interval(by_seed), strict=True))
    return row


def _interval(values: np.ndarray) -> tuple[float, float | None, float | None]:
    """The mean and the ends of its interval; a single value has no interval."""
    if len(values) < 2:
        return float(np.mean(values)), None, None
    found = student_interval(values)
    return found.mean, found.low, found.high
