"""The deck's case study as a fight: which choice helps, on the same images, seed by seed.

Here belong the experiments (what is varied, what is spoilt, how it is judged) and their rows of the table
`street_fight`. What images become is in `taproom.images.image_features`, the classifier in
`taproom.images.least_squares`, the deck's regressions with two losses in `taproom.images.kernel_regression`.

- Encoder: standardization, encoding, filters and their number are varied one at a time from `base_parameters`.
- Penalty: the base setting's features, classified with each penalty of a fixed grid and with the chosen one.
- Class imbalance: of half of the classes, only a tenth of the labels are left; filters need none, so the encoder is
  the same.
- Outliers: a share of the training images has wrong labels, or is noise, or has targets of any size; both losses.

Every seed draws images anew, of all classes alike, and all settings see the same ones. Nothing is fitted to the images
that judge, which are training images too: the test images stay for the classifier. Penalties (and the strength of a
threshold) are chosen on the last fifth of the images that are trained on, spoilt as these are, before all of them are
fitted. The intervals are Student's over the seeds; they tell of the draw, not of another data set.

Source: the deck's slides "ML Street Fight" and "Mini case study"; Coates, Lee and Ng 2011, for what is varied; Menon et
al., Long-tail learning via logit adjustment, 2021, for the threshold.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from taproom.errors import InputError
from taproom.images.filters import FILTERS
from taproom.images.image_features import ENCODINGS, EncoderParameters, learn_encoder
from taproom.images.kernel_regression import (
    LOSSES,
    MOST_POINTS,
    fit_kernel_regression,
    gaussian_kernel,
    linear_kernel,
    median_distance,
)
from taproom.images.least_squares import Gram, LinearClassifier, Ridge, one_hot
from taproom.images.patches import STANDARDIZATIONS
from taproom.progress import progress

EXPERIMENTS = ("standardization", "encoding", "filters", "number of filters", "penalty", "class imbalance", "outliers")
MEASURES = ("accuracy", "balanced accuracy", "recall of rare classes")
KERNELS = ("Gaussian", "linear")
SPOILT = ("clean", "wrong labels", "images of noise", "wild targets")
TREATMENTS = ("nothing", "class weights", "oversampling", "undersampling", "threshold")
CHOSEN = "chosen"

PENALTIES = (10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0)
# The one whose factor leads to all others, in the middle of them.
FACTORED = 300.0
# Kernels are scaled so that a point's own is about 1.
KERNEL_PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
THRESHOLDS = tuple(np.linspace(0, 0.4, 9))

IMBALANCE = 10
WRONG_LABELS, NOISE_IMAGES, WILD_TARGETS = 0.25, 0.2, 0.1
WILD = 10.0
# A fifth of the trained on images chooses; of a class that is made rare, each part still has an image.
FITTED, CHOOSING_FROM = 4, 5
FEWEST_TRAINED, FEWEST_JUDGED = 20, 10
COVERAGE = 0.95


@dataclass(frozen=True)
class Sizes:
    """What is spent: `seeds`, and of each the images that are trained on, that kernels take of these, and that judge.

    `filters` and `patches`, `iterations` and `pools` are as in `EncoderParameters`.
    """

    seeds: int
    training: int
    kernel_training: int
    judged: int
    filters: int
    patches: int
    iterations: int
    pools: int


SIZES = {
    "small": Sizes(3, 800, 600, 600, filters=40, patches=10_000, iterations=5, pools=2),
    "large": Sizes(5, 4_000, 4_000, 4_000, filters=128, patches=50_000, iterations=10, pools=2),
}


class Setting(NamedTuple):
    """A row's name: a setting of an experiment, under a condition, and which setting it is compared with."""

    experiment: str
    condition: str
    setting: str
    base: str | None


class Draw(NamedTuple):
    """A seed's images (n, height, width, 3) and labels (n,); image i is of class i modulo `classes`.

    So any multiple of `classes` cuts all classes alike; the first `training` images are trained on, the others judge.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: int
    training: int
    seed: int

    def random(self, experiment: str, part: int = 0) -> np.random.Generator:
        """Random numbers that are the same for all settings of an experiment."""
        return np.random.default_rng([self.seed, EXPERIMENTS.index(experiment), part])


class Outcome(NamedTuple):
    """What a setting reached on a draw, and the seconds that it took."""

    experiment: str
    condition: str
    setting: str
    measure: str
    value: float
    seconds: float


def compare(
    images: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    sizes: Sizes,
    seed: int = 0,
    n_jobs: int | None = None,
) -> list[dict]:
    """Rows of the table `street_fight`, from training images (n, height, width, 3) uint8 and labels (n,) int64.

    Labels count in `names`; -1 is none. Where there are fewer images than `sizes` wants, less is drawn: as many of each
    class as the smallest allows. Draws have consecutive seeds. The rows, but for their seconds, do not depend on
    `n_jobs`, workers (threads) as joblib counts them.

    Raises `InputError` for fewer than two classes, for a class with fewer than 30 images, and as `learn_encoder` does.
    """
    from joblib import Parallel, delayed
    from threadpoolctl import threadpool_limits

    # Importing the kernels loads the BLAS that they call, whose threads are limited below.
    from taproom.images import _patch_kernels  # noqa: F401

    _check(labels, names)
    draws = [draw(images, labels, sizes, seed + repeat) for repeat in range(sizes.seeds)]
    # The longest first, so that no worker is left with one at the end.
    tasks = [(task, of_seed) for task in _tasks(sizes) for of_seed in draws]
    values: dict[tuple, list[float]] = {}
    seconds: dict[tuple, list[float]] = {}
    # The limit is the process's: set around all threads, and again in each task for workers that are other processes.
    with threadpool_limits(limits=1, user_api="blas"):
        ran = Parallel(n_jobs, prefer="threads", return_as="generator")(
            delayed(_run)(task, of_seed, sizes) for task, of_seed in tasks
        )
        for outcomes in progress(ran, doing="street fight", total=len(tasks), unit="task"):
            for outcome in outcomes:
                values.setdefault(outcome[:4], []).append(outcome.value)
                seconds.setdefault(outcome[:4], []).append(outcome.seconds)
    return [
        _row(
            setting, measure, values, float(np.mean(seconds[*setting[:3], measure])), _images(setting, draws[0], sizes)
        )
        for setting in settings(sizes)
        for measure in MEASURES
        if (*setting[:3], measure) in values
    ]


def settings(sizes: Sizes) -> list[Setting]:
    """All settings, in the order of the rows."""
    varied = [
        Setting(experiment, "clean", setting, None if setting == base else base)
        for experiment, (_, choices, base) in _choices(sizes).items()
        for setting in map(str, choices)
    ]
    penalties = [Setting("penalty", "clean", setting, CHOSEN) for setting in map(_told, PENALTIES)]
    imbalance = [
        Setting("class imbalance", f"{IMBALANCE}:1", setting, TREATMENTS[0] if setting != TREATMENTS[0] else None)
        for setting in TREATMENTS
    ]
    outliers = [
        Setting("outliers", _condition(spoilt, kernel), loss, LOSSES[0] if loss != LOSSES[0] else None)
        for spoilt in SPOILT
        for kernel in KERNELS
        for loss in LOSSES
    ]
    return [*varied, *penalties, Setting("penalty", "clean", CHOSEN, None), *imbalance, *outliers]


def base_parameters(sizes: Sizes) -> EncoderParameters:
    """The encoder that each setting differs from in one thing; mirror images would double the time of all alike."""
    return EncoderParameters(
        filters=sizes.filters,
        patches=sizes.patches,
        iterations=sizes.iterations,
        pools=sizes.pools,
        mirrored=False,
    )


def draw(images: np.ndarray, labels: np.ndarray, sizes: Sizes, seed: int) -> Draw:
    """A random draw of labelled images, as many of each class, of which about two thirds at most are trained on."""
    random = np.random.default_rng(seed)
    counts = np.bincount(labels[labels >= 0])
    classes, fewest = len(counts), counts.min()
    training = min(max(sizes.training // classes, FEWEST_TRAINED), 2 * fewest // 3)
    judged = min(max(sizes.judged // classes, FEWEST_JUDGED), fewest - training)
    of_class = [random.permutation(np.flatnonzero(labels == number))[: training + judged] for number in range(classes)]
    rows = np.column_stack(of_class).ravel()
    return Draw(images[rows], labels[rows], classes, training * classes, seed)


def balanced_accuracy(called: np.ndarray, labels: np.ndarray) -> float:
    """The mean over the classes that labels have of the share that is called right."""
    return float(np.mean(list(recalls(called, labels).values())))


def recalls(called: np.ndarray, labels: np.ndarray) -> dict[int, float]:
    """Of each class among the labels, the share that is called right."""
    return {int(number): float(np.mean(called[labels == number] == number)) for number in np.unique(labels)}


def class_weights(labels: np.ndarray) -> np.ndarray:
    """A weight for each image (n,) float64, so that all classes weigh alike; the mean is 1."""
    numbers, of_image, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return len(labels) / (len(numbers) * counts[of_image])


def resampled(rows: np.ndarray, labels: np.ndarray, each: int, random: np.random.Generator) -> np.ndarray:
    """`each` of the rows of each class: some of them where there are more, all and some again where there are fewer."""
    chosen = []
    for number in np.unique(labels):
        of_class = rows[labels == number]
        again = random.choice(of_class, max(each - len(of_class), 0))
        chosen.append(np.append(random.permutation(of_class)[:each], again))
    return np.concatenate(chosen)


def wrong_labels(labels: np.ndarray, classes: int, share: float, random: np.random.Generator) -> np.ndarray:
    """A copy in which a share of the labels is of another class, any of these alike."""
    spoilt = labels.copy()
    chosen = random.permutation(len(labels))[: round(share * len(labels))]
    spoilt[chosen] = (labels[chosen] + random.integers(1, classes, len(chosen))) % classes
    return spoilt


def noise_images(images: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """A copy in which a share of the images (n, ...) uint8 is noise, each of its values any alike."""
    spoilt = images.copy()
    chosen = random.permutation(len(images))[: round(share * len(images))]
    spoilt[chosen] = random.integers(0, 256, (len(chosen), *images.shape[1:]), dtype=np.uint8)
    return spoilt


def wild_targets(targets: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """A copy in which a share of the targets (n, C), which are 1 or -1, is normal with a standard deviation of 10."""
    spoilt = targets.astype(np.float64)
    chosen = random.permutation(len(targets))[: round(share * len(targets))]
    spoilt[chosen] = WILD * random.normal(size=(len(chosen), targets.shape[1]))
    return spoilt


_ByPenalty = Callable[[float], LinearClassifier]


class _Task(NamedTuple):
    """What one worker does with one draw."""

    run: Callable[..., list[Outcome]]
    given: tuple = ()


def _run(task: _Task, of_seed: Draw, sizes: Sizes) -> list[Outcome]:
    from threadpoolctl import threadpool_limits

    # Not only for speed: the bits of some of LAPACK's results depend on its number of threads.
    with threadpool_limits(limits=1, user_api="blas"):
        return task.run(of_seed, sizes, *task.given)


def _tasks(sizes: Sizes) -> list[_Task]:
    """Every task of a draw, the longest first."""
    varied = [
        _Task(_vary, (experiment, setting))
        for experiment, (_, choices, base) in reversed(_choices(sizes).items())
        for setting in reversed(choices)
        if str(setting) != base
    ]
    clean_images = tuple(spoilt for spoilt in SPOILT if spoilt != "images of noise")
    return [
        _Task(_regress, (clean_images,)),
        _Task(_classify_base),
        _Task(_regress, (("images of noise",),)),
        *varied,
    ]


def _choices(sizes: Sizes) -> dict[str, tuple[str, tuple, str]]:
    """What is varied of the encoder: by experiment, the parameter, its settings, and the base setting as text."""
    base = base_parameters(sizes)
    numbers = (sizes.filters // 4, sizes.filters // 2, sizes.filters, 2 * sizes.filters)
    return {
        "standardization": ("standardization", STANDARDIZATIONS, base.standardization),
        "encoding": ("encoding", ENCODINGS, base.encoding),
        "filters": ("learned_by", FILTERS, base.learned_by),
        "number of filters": ("filters", numbers, str(base.filters)),
    }


def _vary(of_seed: Draw, sizes: Sizes, experiment: str, setting: str | int) -> list[Outcome]:
    """The accuracy with one parameter of the encoder changed."""
    started = time.perf_counter()
    parameters = replace(base_parameters(sizes), **{_choices(sizes)[experiment][0]: setting})
    features = _encoded(of_seed.images, of_seed.training, parameters, of_seed.seed)
    fit = _Fit(of_seed, features)
    value = _judged(features, of_seed, fit.on_all(fit.penalty))
    return [Outcome(experiment, "clean", str(setting), "accuracy", value, time.perf_counter() - started)]


def _classify_base(of_seed: Draw, sizes: Sizes) -> list[Outcome]:
    """The base setting's accuracy, as of all experiments it is the base of; each penalty; and class imbalance."""
    started = time.perf_counter()
    features = _encoded(of_seed.images, of_seed.training, base_parameters(sizes), of_seed.seed)
    fit = _Fit(of_seed, features)
    value = _judged(features, of_seed, fit.on_all(fit.penalty))
    seconds = time.perf_counter() - started
    bases = {experiment: base for experiment, (_, _, base) in _choices(sizes).items()} | {"penalty": CHOSEN}
    outcomes = [Outcome(experiment, "clean", base, "accuracy", value, seconds) for experiment, base in bases.items()]
    for penalty in PENALTIES:
        started = time.perf_counter()
        value = _judged(features, of_seed, fit.on_all(penalty))
        outcomes.append(Outcome("penalty", "clean", _told(penalty), "accuracy", value, time.perf_counter() - started))
    return [*outcomes, *_imbalanced(of_seed, features)]


def _imbalanced(of_seed: Draw, features: np.ndarray) -> Iterator[Outcome]:
    """What each treatment makes of a training set in which half of the classes are rare."""
    random = of_seed.random("class imbalance")
    rare = np.sort(random.permutation(of_seed.classes)[: of_seed.classes // 2])
    rows = _with_rare(of_seed, rare)
    counts = np.bincount(of_seed.labels[rows], minlength=of_seed.classes)
    labels = of_seed.labels[of_seed.training :]
    for setting in TREATMENTS:
        started = time.perf_counter()
        fit = _Fit(of_seed, features, rows, setting)
        scores = fit.on_all(fit.penalty).scores(features[of_seed.training :])
        if setting == "threshold":
            scores = scores - fit.threshold() * np.log(counts / counts.sum())
        found = recalls(scores.argmax(axis=1), labels)
        of_class = np.array([found[number] for number in range(of_seed.classes)])
        # The images that judge are of all classes alike; accuracy is of images in the proportions of the training set.
        measured = (counts @ of_class / counts.sum(), of_class.mean(), of_class[rare].mean())
        seconds = time.perf_counter() - started
        for measure, value in zip(MEASURES, measured, strict=True):
            yield Outcome("class imbalance", f"{IMBALANCE}:1", setting, measure, float(value), seconds)


def _with_rare(of_seed: Draw, rare: np.ndarray) -> np.ndarray:
    """Rows to train on: all of the frequent classes, every tenth of the rare ones."""
    rows = np.arange(of_seed.training)
    kept = (rows // of_seed.classes) % IMBALANCE == IMBALANCE - 1
    return rows[kept | ~np.isin(of_seed.labels[: of_seed.training], rare)]


class _Fit:
    """Least squares on some rows of a draw under a treatment, the penalty chosen on those that are set apart for it."""

    def __init__(
        self, of_seed: Draw, features: np.ndarray, rows: np.ndarray | None = None, treatment: str = TREATMENTS[0]
    ) -> None:
        self._draw, self._features, self._treatment = of_seed, features, treatment
        self._rows = np.arange(of_seed.training) if rows is None else rows
        cut = _cut(of_seed.training, of_seed.classes)
        self._first, self._last = self._rows[self._rows < cut], self._rows[self._rows >= cut]

    @cached_property
    def on_all(self) -> _ByPenalty:
        """Fitted to all rows."""
        return self._least_squares(self._rows)

    @cached_property
    def penalty(self) -> float:
        """The penalty that does best on the last rows when the first are fitted."""
        return _best(PENALTIES, lambda penalty: self._right(self._on_first(penalty).scores(self._features[self._last])))

    def threshold(self) -> float:
        """How much of the logarithm of a class's share is best taken from its scores, on the last rows."""
        scores = self._on_first(self.penalty).scores(self._features[self._last])
        counts = np.bincount(self._draw.labels[self._first], minlength=self._draw.classes)
        return _best(THRESHOLDS, lambda threshold: self._right(scores - threshold * np.log(counts / counts.sum())))

    @cached_property
    def _on_first(self) -> _ByPenalty:
        return self._least_squares(self._first)

    def _right(self, scores: np.ndarray) -> float:
        return balanced_accuracy(scores.argmax(axis=1), self._draw.labels[self._last])

    def _least_squares(self, rows: np.ndarray) -> _ByPenalty:
        """From a penalty to the classifier that is fitted to the rows as the treatment has them."""
        rows, weights = self._treated(rows)
        features = self._features[rows]
        gram = Gram.like(features, self._draw.classes)
        gram.add(features, one_hot(self._draw.labels[rows], self._draw.classes), weights)
        return partial(Ridge(gram, FACTORED).fit, gram)

    def _treated(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        labels = self._draw.labels[rows]
        counts = np.unique(labels, return_counts=True)[1]
        random = self._draw.random("class imbalance", part=1)
        match self._treatment:
            case "class weights":
                return rows, class_weights(labels)
            case "oversampling":
                return resampled(rows, labels, counts.max(), random), None
            case "undersampling":
                return resampled(rows, labels, counts.min(), random), None
            case _:
                return rows, None


def _regress(of_seed: Draw, sizes: Sizes, conditions: Sequence[str]) -> list[Outcome]:
    """Both losses with both kernels where images or targets are spoilt; all conditions are of the same images."""
    count = _kernel_training(of_seed, sizes)
    images, labels = of_seed.images[:count], of_seed.labels[:count]
    judging, judging_labels = (part[of_seed.training :] for part in (of_seed.images, of_seed.labels))
    if conditions == ("images of noise",):
        images = noise_images(images, NOISE_IMAGES, of_seed.random("outliers"))
    features = _encoded(np.concatenate([images, judging]), count, base_parameters(sizes), of_seed.seed)
    outcomes = []
    for kernel in KERNELS:
        matrix = _kernel_matrix(features, count, kernel)
        for condition in conditions:
            targets = _targets(condition, labels, of_seed)
            for loss in LOSSES:
                started = time.perf_counter()
                scores = _regressed(matrix, targets, of_seed.classes, loss)
                value = float(np.mean(scores.argmax(axis=1) == judging_labels))
                name = _condition(condition, kernel)
                outcomes.append(Outcome("outliers", name, loss, "accuracy", value, time.perf_counter() - started))
    return outcomes


def _targets(condition: str, labels: np.ndarray, of_seed: Draw) -> np.ndarray:
    random = of_seed.random("outliers")
    if condition == "wrong labels":
        labels = wrong_labels(labels, of_seed.classes, WRONG_LABELS, random)
    targets = one_hot(labels, of_seed.classes)
    return wild_targets(targets, WILD_TARGETS, random) if condition == "wild targets" else targets


def _kernel_matrix(features: np.ndarray, count: int, kernel: str) -> np.ndarray:
    """The kernel of all images (rows) with the first `count`, on features that these standardize."""
    spread = features[:count].std(axis=0)
    standard = (features - features[:count].mean(axis=0)) / np.where(spread > 1e-6, spread, 1)
    if kernel == "Gaussian":
        return gaussian_kernel(standard, standard[:count], median_distance(standard[:count]))
    return linear_kernel(standard, standard[:count]) / standard.shape[1]


def _regressed(matrix: np.ndarray, targets: np.ndarray, classes: int, loss: str) -> np.ndarray:
    """Scores of the images that are not trained on, with the penalty that does best on the last fifth of the others.

    These are judged by the labels that their targets have, right or wrong: others are not known.
    """
    count = len(targets)
    cut = _cut(count, classes)
    last = targets[cut:].argmax(axis=1)

    def right(penalty: float) -> float:
        coefficients = fit_kernel_regression(matrix[:cut, :cut], targets[:cut], penalty, loss)
        return float(np.mean((matrix[cut:count, :cut] @ coefficients).argmax(axis=1) == last))

    best = _best(KERNEL_PENALTIES, right)
    return matrix[count:] @ fit_kernel_regression(matrix[:count], targets, best, loss)


def _encoded(images: np.ndarray, training: int, parameters: EncoderParameters, seed: int) -> np.ndarray:
    """Features of all images by an encoder that is learned from the first of them."""
    return learn_encoder(images[:training], parameters, seed, n_jobs=1).features(images, n_jobs=1)


def _judged(features: np.ndarray, of_seed: Draw, classifier: LinearClassifier) -> float:
    called = classifier.scores(features[of_seed.training :]).argmax(axis=1)
    return float(np.mean(called == of_seed.labels[of_seed.training :]))


def _kernel_training(of_seed: Draw, sizes: Sizes) -> int:
    each = max(sizes.kernel_training // of_seed.classes, FEWEST_TRAINED)
    return min(min(each, MOST_POINTS // of_seed.classes) * of_seed.classes, of_seed.training)


def _cut(count: int, classes: int) -> int:
    """Where the images that choose begin."""
    return classes * (count // classes * FITTED // CHOOSING_FROM)


def _best(choices: Sequence[float], judge: Callable[[float], float]) -> float:
    return choices[int(np.argmax([judge(choice) for choice in choices]))]


def _condition(spoilt: str, kernel: str) -> str:
    return f"{spoilt}, {kernel} kernel"


def _told(penalty: float) -> str:
    return f"{penalty:g}"


def _images(setting: Setting, of_seed: Draw, sizes: Sizes) -> int:
    """How many images the setting is trained on."""
    if setting.experiment == "outliers":
        return _kernel_training(of_seed, sizes)
    if setting.experiment == "class imbalance":
        return len(_with_rare(of_seed, np.arange(of_seed.classes // 2)))
    return of_seed.training


def _row(setting: Setting, measure: str, values: dict[tuple, list[float]], seconds: float, images: int) -> dict:
    experiment, condition, name, base = setting
    reached = np.array(values[experiment, condition, name, measure])
    row = {
        **setting._asdict(),
        "measure": measure,
        "values": reached.tolist(),
        "images": images,
        "seconds": seconds,
        **dict(zip(("value", "low", "high"), interval(reached), strict=True)),
        **dict.fromkeys(("difference", "difference_low", "difference_high")),
    }
    if base is not None:
        by_seed = reached - values[experiment, condition, base, measure]
        row |= dict(zip(("difference", "difference_low", "difference_high"), interval(by_seed), strict=True))
    return row


def with_enough_images(labels: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Labels (n,) and names without the classes that have too few images to fight, if at least two are left."""
    enough = np.bincount(labels[labels >= 0], minlength=len(names)) >= FEWEST_TRAINED + FEWEST_JUDGED
    if enough.sum() < 2:
        return labels, list(names)
    numbers = np.append(np.where(enough, np.cumsum(enough) - 1, -1), -1)
    return numbers[labels], [name for name, is_enough in zip(names, enough, strict=True) if is_enough]


def interval(values: np.ndarray) -> tuple[float, float | None, float | None]:
    """The mean, and the ends of Student's interval for it that covers 95 %; None for a single value."""
    from scipy.stats import t

    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, None, None
    half = float(t.ppf((1 + COVERAGE) / 2, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half


def _check(labels: np.ndarray, names: Sequence[str]) -> None:
    counts = np.bincount(labels[labels >= 0], minlength=len(names))
    given = [f"{name}: {count:,}" for name, count in zip(names, counts, strict=True)]
    if len(names) < 2:
        raise InputError(
            f"all training images are of one class or have no label ({', '.join(given) or 'none has one'}); the fight "
            "is about telling classes apart, so at least two are wanted"
        )
    wanted = FEWEST_TRAINED + FEWEST_JUDGED
    if few := [told for told, count in zip(given, counts, strict=True) if count < wanted]:
        raise InputError(
            f"too few training images of {len(few)} of {len(names)} classes ({', '.join(few[:5])}); wanted at least "
            f"{wanted} of each, {FEWEST_TRAINED} to train on and {FEWEST_JUDGED} to judge by. Add images, or "
            "leave these classes out."
        )
