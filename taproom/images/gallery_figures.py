"""Figures of filters and features that are not learned: the deck's slides on convolution, and hand-made features.

Here belongs drawing, with the parts of `taproom.drawing`; what is drawn is computed in `taproom.images.convolution` and
`taproom.images.feature_baselines`. Edges are drawn by their absolute
value, as bright as they are strong; other grey pictures from 0 (black) to 1; where signs matter, responses above 0 are
orange and those below it blue.

Source: slides "Convolution of images" to "Full feature pipeline" of the lecture deck (Jamieson, CSE546 2017).
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from taproom.drawing import DARK, GREY, PALETTE, columns_of, compact_png_of, new_figure
from taproom.images.convolution import HAND_MADE, Step
from taproom.images.image_figures import tiles_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Rectangle

NAMES = {
    "pixels": "plain pixels",
    "hog": "HoG",
    "sift": "dense SIFT, bag of words",
    "textons": "textons, bag of words",
}
IMAGES = 4
WIDTH, HEIGHT = 11.4, 10.2
# Of a row of the table, in inches.
ROW = 0.76
# The brightest of the edges are so few that all others would be dark.
BRIGHTEST = 0.99
STACKED = ("stack", "relu of the stack", "sigmoid of the stack", "arctan of the stack", "pooled stack")


def gallery(example: Sequence[Step], images: Sequence[Sequence[Step]]) -> bytes:
    """The deck's example, its table of filters on the first four images, and its pipeline on the first.

    `example` are the steps of `taproom.images.convolution.deck_example`, `images` those of
    `taproom.images.convolution.gallery` of each image, at least one; images are of one size.
    """
    shown = [{step.operation: step for step in steps} for steps in images[:IMAGES]]
    figure, axes = new_figure(WIDTH, HEIGHT, layout=None)
    axes.set_position((0, 0, 1, 1))
    # A unit is an inch, downwards from the upper left corner.
    axes.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    axes.set_axis_off()
    _draw_example(axes, example)
    _draw_table(axes, shown, top=2.0)
    _draw_stack(axes, shown[0], left=6.0, top=2.05)
    _draw_pipeline(axes, shown[0], top=7.75)
    return compact_png_of(figure, cropped=False)


def feature_accuracies(rows: Sequence[Mapping]) -> bytes:
    """A bar for the accuracy of each of the features, with its interval.

    Rows have features, dimensions, accuracy, low, high, training_images and test_images.
    """
    figure, axes = new_figure(7, 1.5 + 0.42 * max(len(rows), 1))
    ordered = sorted(rows, key=lambda row: row["accuracy"])
    accuracy, low, high = columns_of(ordered, "accuracy", "low", "high")
    names = [f"{NAMES.get(row['features'], row['features'])}\n{row['dimensions']:,} numbers" for row in ordered]
    axes.barh(range(len(ordered)), accuracy, color=PALETTE[5], height=0.7)
    reach = np.abs([accuracy - low, high - accuracy])
    axes.errorbar(accuracy, range(len(ordered)), xerr=reach, fmt="none", ecolor=DARK, capsize=3, elinewidth=1.2)
    for place, row in enumerate(ordered):
        axes.text(row["high"] + 0.01, place, f"{row['accuracy']:.1%}", va="center_baseline", fontsize=9)
    axes.set_yticks(range(len(ordered)), names, fontsize=8)
    axes.set(xlabel="share of the test images called right, with its interval of 95 %", xlim=(0, 1))
    images = "".join(
        f": {row['training_images']:,} training images, {row['test_images']:,} test images" for row in rows[:1]
    )
    axes.set_title(f"Hand-made features{images}", fontsize=10)
    return compact_png_of(figure, cropped=False)


def _draw_example(axes: "Axes", example: Sequence[Step]) -> None:
    """The image, the filter and what comes of them, in numbers; where the filter lies first is marked."""
    image, convolved = example
    _title(axes, 0.15, 0.2, "(I * K)(i, j) = Σ I(i + m, j + n) K(m, n)")
    side = 0.21
    assert convolved.kernels is not None  # the second step is the convolution
    kernel = convolved.kernels[0, :, :, 0]
    grids = (image.result[:, :, 0], kernel, convolved.result[:, :, 0])
    marked = (kernel.shape, kernel.shape, (1, 1))
    left = 0.15
    for numbers, mark, sign in zip(grids, marked, ("", "*", "="), strict=True):
        axes.text(left - 0.2, 0.95, sign, ha="center", va="center", fontsize=13)
        _draw_numbers(axes, numbers, left, 0.95 - side * len(numbers) / 2, side, mark)
        left += side * numbers.shape[1] + 0.42


def _draw_numbers(
    axes: "Axes", numbers: np.ndarray, left: float, top: float, side: float, marked: tuple[int, int] = (0, 0)
) -> None:
    """A matrix, its first `marked` rows and columns on orange."""
    for (row, column), number in np.ndenumerate(numbers):
        corner = left + side * column, top + side * row
        within = row < marked[0] and column < marked[1]
        axes.add_patch(_rectangle(corner, side, side, PALETTE[4] if within else "white"))
        axes.text(
            corner[0] + side / 2, corner[1] + side / 2, f"{number:g}", ha="center", va="center_baseline", fontsize=7
        )


def _draw_table(axes: "Axes", images: Sequence[Mapping[str, Step]], top: float) -> None:
    """A row for each filter: what it is called, its numbers, and what it makes of the images."""
    left, kernels = 2.55, 1.5
    for place, heading in ((0.15, "operation"), (kernels, "filter K"), (left, "convolved images I * K")):
        _title(axes, place, top - 0.1, heading)
    for row, name in enumerate(["image", *HAND_MADE]):
        middle = top + ROW * (row + 0.5)
        axes.text(0.15, middle, name, fontsize=9, va="center")
        if name in HAND_MADE:
            factor, numbers = _whole(HAND_MADE[name])
            axes.text(kernels - 0.05, middle, factor, fontsize=9, va="center", ha="right")
            _draw_numbers(axes, numbers, kernels, middle - 0.3, 0.2)
    pictures = [_colour(image["image"].result) for image in images]
    pictures += [_grey(image[name].result, name) for name in HAND_MADE for image in images]
    # Where the filter does not lie wholly inside, there is no response: a border of white.
    squares = _squares(pictures, max(pictures[0].shape))
    _show(axes, tiles_of(squares, len(images)), left, top, height=ROW * (1 + len(HAND_MADE)) - 0.05)


def _draw_stack(axes: "Axes", image: Mapping[str, Step], left: float, top: float) -> None:
    """The hand-made filters' responses as channels, after each non-linearity, and pooled: a row each."""
    _title(axes, left, top - 0.15, "stacking, a non-linearity, pooling")
    side, beside = ROW, left + 0.75
    for column, name in enumerate(HAND_MADE):
        middle = beside + side * (column + 0.47)
        axes.text(middle, top + 0.2, name.replace(" ", "\n", 1), fontsize=7, ha="center", va="center")
    for row, name in enumerate(STACKED):
        responses = image[name].result
        centred = responses - (0.5 if name.startswith("sigmoid") else 0)
        upper = top + 0.42 + ROW * row
        height, width, channels = responses.shape
        words = name.replace(" of the stack", "").replace("pooled stack", "relu, pooled")
        axes.text(left, upper + ROW / 2, f"{words}\n{height} x {width} x {channels}", fontsize=7.5, va="center")
        squares = _squares(_signed(centred), max(height, width))
        _show(axes, tiles_of(squares, channels), beside, upper, width=side * channels - 0.05)
    below = top + 0.42 + ROW * len(STACKED) + 0.2
    lines = (
        "orange: above 0, blue: below (sigmoid: above and below 1/2),",
        "each picture from white to the strongest response in it.",
        "Edges on the left are drawn by their absolute value.",
    )
    axes.text(left, below, "\n".join(lines), fontsize=7.5, va="top", color=DARK)


def _draw_pipeline(axes: "Axes", image: Mapping[str, Step], top: float) -> None:
    """Filters that are random patches, their responses, ReLU, pooling, and the vector."""
    _title(axes, 0.15, top - 0.12, "full feature pipeline, filters from random patches")
    side, left = 2.1, 0.15
    filters = image["pipeline: stack"].kernels
    assert filters is not None  # a stack is of filters
    columns = int(np.ceil(np.sqrt(len(filters))))
    parts: list[tuple[str, Sequence[np.ndarray] | np.ndarray, tuple[int, ...]]] = [
        ("filters", [_stretched(kernel) for kernel in filters], filters.shape)
    ]
    for name, words in (("stack", "convolved"), ("relu", "ReLU"), ("pooled", "pooled, maximum of 2 x 2")):
        found = image[f"pipeline: {name}"].result
        parts.append((words, _signed(found), found.shape))
    for words, pictures, shape in parts:
        _show(axes, tiles_of(_squares(pictures, max(pictures[0].shape)), columns), left, top, height=side)
        axes.text(left, top + side + 0.13, f"{words}: {' x '.join(map(str, shape))}", fontsize=8, va="center")
        left += side + 0.35
    vector = image["pipeline: vector"].result.ravel()
    # A vector of thousands is drawn as a hundred means, so that each is wide enough to be seen.
    means = np.array([part.mean() for part in np.array_split(vector, min(100, len(vector)))])
    _show(axes, _signed(means[:, None, None])[0], left, top, height=side, width=0.22)
    axes.text(left, top + side + 0.13, f"flattened: {len(vector):,}", fontsize=8, va="center")


def _show(
    axes: "Axes", picture: np.ndarray, left: float, top: float, height: float | None = None, width: float | None = None
) -> None:
    """Draw a picture (h, w, 3) where it is wanted, in its own proportions unless both its sides are given."""
    proportion = picture.shape[1] / picture.shape[0]
    width = width if width is not None else height * proportion
    height = height if height is not None else width / proportion
    extent = (left, left + width, top + height, top)
    axes.imshow(picture, extent=extent, aspect="auto", interpolation="nearest", zorder=2)


def _grey(result: np.ndarray, name: str) -> np.ndarray:
    values = result[:, :, 0]
    if name.startswith("edge"):
        values = np.abs(values)
        values = values / max(np.quantile(values, BRIGHTEST), 1e-12)
    return _colour(np.repeat(values[:, :, None], 3, axis=2))


def _colour(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, 1)


def _stretched(kernel: np.ndarray) -> np.ndarray:
    """A filter as a picture: 0 is grey, and its largest absolute value black or white."""
    return 0.5 + 0.5 * kernel / max(np.abs(kernel).max(), 1e-12)


def _signed(responses: np.ndarray) -> np.ndarray:
    """Pictures (c, h, w, 3) of responses (h, w, c): white at 0, each channel up to its strongest response."""
    from matplotlib.colors import to_rgb

    strength = responses / np.maximum(np.abs(responses).max(axis=(0, 1), keepdims=True), 1e-12)
    above, below = (1 - np.array(to_rgb(PALETTE[place])) for place in (1, 0))
    return np.moveaxis(1 - np.where(strength[..., None] > 0, above, below) * np.abs(strength)[..., None], 2, 0)


def _squares(pictures: Sequence[np.ndarray] | np.ndarray, side: int) -> np.ndarray:
    """Each picture (h, w, 3) in the middle of a white square: (n, side, side, 3)."""
    squares = np.ones((len(pictures), side, side, 3))
    for square, picture in zip(squares, pictures, strict=True):
        height, width = picture.shape[:2]
        top, left = (side - height) // 2, (side - width) // 2
        square[top : top + height, left : left + width] = picture
    return squares


def _whole(kernel: np.ndarray) -> tuple[str, np.ndarray]:
    """A filter as whole numbers and the fraction that they are multiplied by, if any."""
    smallest = Fraction(float(np.abs(kernel[kernel != 0]).min())).limit_denominator(100)
    return (str(smallest), kernel / float(smallest)) if smallest.denominator > 1 else ("", kernel)


def _rectangle(corner: tuple[float, float], width: float, height: float, color: str) -> "Rectangle":
    from matplotlib.patches import Rectangle

    return Rectangle(corner, width, height, facecolor=color, edgecolor=GREY, linewidth=0.6)


def _title(axes: "Axes", left: float, middle: float, text: str) -> None:
    axes.text(left, middle, text, fontsize=10, fontweight="bold", va="center")
