"""The pictures of patches, filters and classifiers of images, each a PNG as bytes.

What belongs here is drawing, as in `taproom.images.image_figures`, whose grid of pictures these share.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from taproom.drawing import DARK, GREY, PALETTE, compact_png_of, new_figure, new_panels, plain_text, png_of
from taproom.images.image_figures import tiles_of
from taproom.images.stored_pixels import Pixels

if TYPE_CHECKING:
    from taproom.images.patches import Whitening

MOST_PATCHES = 400
MOST_IMAGES = 12
SHOWN_CLASSES = 20


def patch_grid(title: str, patches: np.ndarray) -> bytes:
    """A grid of the first 400 patches (n, size, size, 3): uint8, or numbers, each patch then over its own range.

    Numbers of 0 are drawn as grey.
    """
    shown = patches[:MOST_PATCHES]
    if shown.dtype != np.uint8:
        shown = _over_range(shown)
    columns = int(np.ceil(np.sqrt(len(shown))))
    canvas = tiles_of(shown, columns)
    figure, axes = new_figure(6.5, 6.5 * canvas.shape[0] / canvas.shape[1] + 0.4)
    axes.imshow(canvas, interpolation="nearest")
    axes.set_axis_off()
    kept = f" (the first {len(shown)} of {len(patches):,})" if len(shown) < len(patches) else ""
    axes.set_title(f"{title}{kept}", fontsize=10)
    return compact_png_of(figure)


def whitening(fitted: "Whitening", patches: np.ndarray) -> bytes:
    """The mean patch, what ZCA does to the green pixel in the middle, and some patches before and after.

    `patches` (n, k) are standardized; the first 64 are drawn.
    """
    mean, matrix, whitened = fitted.mean, fitted.matrix, fitted.whiten(patches[:64])
    size = round((len(mean) / 3) ** 0.5)
    figure, panels = new_panels(4, 4, 2.6, 3.0)
    middle = ((size // 2) * size + size // 2) * 3 + 1
    titles = ("Mean patch", "ZCA's line of the middle green", "Standardized patches", "The same, whitened")
    singles = [_over_range(numbers.reshape(1, size, size, 3)) for numbers in (mean, matrix[middle])]
    grids = [_over_range(rows[:64].reshape(-1, size, size, 3)) for rows in (patches, whitened)]
    for axes, title, pictures in zip(panels, titles, [*singles, *grids], strict=True):
        axes.imshow(tiles_of(pictures, int(np.ceil(len(pictures) ** 0.5))), interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(title, fontsize=9)
    return png_of(figure)


def penalties(accuracies: Mapping[float, float], chosen: float) -> bytes:
    """Accuracy on the validation images at each penalty, and which was chosen."""
    from matplotlib.ticker import PercentFormatter

    figure, axes = new_figure(6, 3.4)
    tried = sorted(accuracies)
    axes.plot(tried, [accuracies[penalty] for penalty in tried], "o-", color=PALETTE[0])
    axes.plot([chosen], [accuracies[chosen]], "o", markersize=11, markerfacecolor="none", color=PALETTE[1])
    axes.annotate(
        f"{accuracies[chosen]:.1%} at {chosen:g}", (chosen, accuracies[chosen]), (0, 11), ha="center",
        textcoords="offset points", fontsize=9, color=PALETTE[1],
    )  # fmt: skip
    axes.margins(y=0.25)
    if min(tried) > 0:
        axes.set_xscale("log")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set(title="Accuracy on the validation images", xlabel="penalty lambda", ylabel="accuracy")
    return png_of(figure)


def predictions(pixels: Pixels, labels: Sequence[str | None], predicted: Sequence[str], scores: np.ndarray) -> bytes:
    """Of each class, the images that the classifier was surest of: rightly in the left half, wrongly in the right.

    `pixels` are (n, height, width, 3) uint8, `scores` (n, classes); an image's margin is that of its highest score over
    the next.
    """
    ordered = np.sort(scores, axis=1)
    surest = np.argsort(ordered[:, -2] - ordered[:, -1], kind="stable")
    names = sorted({label for label in labels if label is not None})[:SHOWN_CLASSES]
    figure, panels = new_panels(2, 2, 3.6, 0.5 + 0.42 * len(names))
    half = MOST_IMAGES // 2
    found = [
        [i for i in surest if predicted[i] == name and labels[i] is not None and (labels[i] == name) is right][:half]
        for right in (True, False)
        for name in names
    ]
    # All at once, so that each file of the table is read once.
    shown = np.split(pixels[np.concatenate(found).astype(int)], np.cumsum([len(places) for places in found])[:-1])
    for axes, right in zip(panels, (True, False), strict=True):
        rows = np.full((len(names), half, *pixels.shape[1:]), 255, np.uint8)
        for row, images in zip(rows, shown[: len(names)] if right else shown[len(names) :], strict=True):
            row[: len(images)] = images
        height = pixels.shape[1] + max(1, pixels.shape[1] // 16)
        axes.imshow(tiles_of(np.concatenate(rows), half), interpolation="nearest")
        axes.set_yticks(height * (np.arange(len(names)) + 0.5), [plain_text(name) for name in names], fontsize=8)
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_title("surest, and right" if right else "surest, and wrong", fontsize=10)
    return png_of(figure)


def confusion(counts: np.ndarray, names: Sequence[str]) -> bytes:
    """How the images of each class (row) were taken for which (column), as percentages of the row; counts (C, C)."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    legible = len(names) <= SHOWN_CLASSES
    side = 1.6 + 0.5 * min(len(names), SHOWN_CLASSES)
    figure, axes = new_figure(side, side)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*shares.shape):
        if counts[row, column] and legible:
            color = "white" if shares[row, column] > 0.5 else DARK
            axes.text(
                column, row, f"{100 * shares[row, column]:.0f}", ha="center", va="center", fontsize=8, color=color
            )
    plain = [plain_text(name) for name in names] if legible else []
    axes.set_xticks(range(len(plain)), plain, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(plain)), plain, fontsize=8)
    axes.spines[:].set_visible(False)
    accuracy = np.trace(counts) / max(counts.sum(), 1)
    axes.set_title(f"Right: {accuracy:.1%} of {counts.sum():,} test images", fontsize=10)
    axes.set(xlabel="taken for", ylabel="is")
    axes.tick_params(color=GREY)
    return png_of(figure)


def _over_range(numbers: np.ndarray) -> np.ndarray:
    """Each picture's numbers from 0 to 1, 0 at 0.5."""
    largest = np.abs(numbers).max(axis=(1, 2, 3), keepdims=True)
    return 0.5 + 0.5 * numbers / np.maximum(largest, np.finfo(np.float32).tiny)
