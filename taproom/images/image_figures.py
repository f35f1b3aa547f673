"""The pictures that the tables of the image chain are shown with, each a PNG as bytes.

What belongs here is drawing, as in `taproom.drawing`, whose parts these share; what is drawn is computed elsewhere.
"""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from taproom.drawing import new_figure, plain_text, png_of

SHOWN_LABELS = 20
SHOWN_IMAGES = 10
LONGEST_LABEL = 24


def sample_images(samples: Mapping[str | None, np.ndarray], counts: Mapping[tuple[str | None, str], int]) -> bytes:
    """Some images of each of the (at most 20, largest) labels, a row a label, headed by its name and how many it has.

    `samples` are uint8 (n, height, width, 3) of one size, the first ten of which are drawn; `counts` are by (label,
    split).
    """
    totals: Counter[str | None] = Counter()
    for (label, _), count in counts.items():
        totals[label] += count
    largest = sorted(samples, key=lambda label: -totals[label])[:SHOWN_LABELS]
    labels = sorted(largest, key=lambda label: (label is None, label))
    if not labels:
        return png_of(new_figure(3, 1)[0])
    columns = min(max(len(samples[label]) for label in labels), SHOWN_IMAGES)
    rows = [_filled(samples[label][:columns], columns) for label in labels]
    height, width = rows[0].shape[1:3]
    canvas = tiles_of(np.concatenate(rows), columns)
    figure, axes = new_figure(1.8 + 0.55 * columns, 0.5 + 0.58 * len(rows) * height / width)
    axes.imshow(canvas, interpolation="nearest")
    axes.set_yticks(
        np.linspace(height / 2, len(canvas) - height / 2, len(rows)) - 0.5,
        [
            f"{_name(label)}\n{counts.get((label, 'training'), 0):,} + {counts.get((label, 'test'), 0):,}"
            for label in labels
        ],
        fontsize=8,
    )
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    kept = "" if len(labels) == len(totals) else f"{len(labels)} of {len(totals):,} labels, "
    axes.set_title(f"Images by label ({kept}training + test)", fontsize=10)
    return png_of(figure)


def _filled(pictures: np.ndarray, count: int) -> np.ndarray:
    """So many pictures (n, height, width, 3), white ones where there are fewer."""
    missing = np.full((count - len(pictures), *pictures.shape[1:]), _white(pictures), pictures.dtype)
    return np.concatenate([pictures, missing])


def tiles_of(pictures: np.ndarray, columns: int) -> np.ndarray:
    """Pictures side by side with thin white lines between them, row by row: (n, h, w, 3) to (height, width, 3).

    Levels are 0 to 255 in uint8, else 0 to 1.
    """
    lines = -(-len(pictures) // columns)
    pictures = _filled(pictures, lines * columns)
    _, height, width, channels = pictures.shape
    gap = max(1, height // 16)
    framed = np.full((len(pictures), height + gap, width + gap, channels), _white(pictures), pictures.dtype)
    framed[:, :height, :width] = pictures
    grid = framed.reshape(lines, columns, height + gap, width + gap, channels).swapaxes(1, 2)
    return grid.reshape(lines * (height + gap), columns * (width + gap), channels)[:-gap, :-gap]


def _white(pictures: np.ndarray) -> float:
    return 255 if pictures.dtype == np.uint8 else 1


def _name(label: str | None) -> str:
    if label is None:
        return "no label"
    return plain_text(label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…")
