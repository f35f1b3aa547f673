"""Figures of word vectors, what they are trained on and the map of words, each a PNG as bytes.

Only drawing belongs here; what is drawn is computed in `taproom.text.word_vectors` and `taproom.maps.word_map`.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from taproom.drawing import (
    PALETTE,
    compact_png_of,
    fonts_for,
    label_of,
    label_points,
    new_figure,
    shades_of,
    shortened,
    use_logarithms,
)  # fmt: skip

if TYPE_CHECKING:
    from matplotlib.patches import Rectangle
    from matplotlib.typing import ColorType

MARK = "\N{LEFT-TO-RIGHT MARK}"
# Of a sentence, in points: the font size, and the gap between words.
FONT_SIZE = 9
GAP = 10
# Labels on a map of words, and how many of the most frequent words are labelled last.
WORDS_NAMED = 150
MOST_FREQUENT = 150
SENTENCE_LINES = 8
PAIRS_A_LINE = 4


def word_lengths(words: Sequence[str], counts: np.ndarray, lengths: np.ndarray) -> bytes:
    """A scatter plot of the Euclidean length of each word's vector against its count; all are (words,).

    A word with more varied contexts has a shorter vector. The words whose length differs most from the running median
    are labelled.

    Source: Schakel and Wilson, Measuring Word Significance using Distributed Representations of Words, 2015.
    """
    figure, axes = new_figure(8, 5)
    axes.scatter(counts, lengths, s=3, color=PALETTE[0], alpha=0.25, linewidths=0)
    axes.set(xlabel="count of the word", ylabel="length of its vector", title=f"{len(words):,} words")
    if len(words):
        places, medians = _running_median(np.log(counts), lengths)
        axes.plot(np.exp(places), medians, color=PALETTE[1], label="median of the count")
        axes.legend(frameon=False, fontsize=8)
        farthest = np.argsort(-np.abs(lengths - np.interp(np.log(counts), places, medians)), kind="stable")
        use_logarithms(axes, "x")
        label_points(figure, axes, np.column_stack([counts, lengths]), [shortened(word) for word in words], farthest)
    return compact_png_of(figure, cropped=False)


def training_pairs(rows: Sequence[Mapping]) -> bytes:
    """The pairs (centre, context) of the first sentence, one line for each of its first 8 centre words.

    Rows have document_id, sentence (words joined by blanks), position and place (index of the centre and of the context
    word in the sentence, from 0). A long sentence is cut after the last of these windows.

    Source: slides "Word embeddings, word2vec" of the lecture deck (Jamieson, CSE546 2017).
    """
    windows = _windows(rows)
    words = [shortened(word, 16) for word in rows[0]["sentence"].split(" ")] if rows else []
    reach = max((max(centre, *window) for centre, window in windows.items()), default=-1) + 1
    shown = words[:reach] + ["…"] * (reach < len(words))
    starts = np.cumsum([0.0, *(_width(word) + GAP for word in shown)])
    lines = {centre: _pair_lines(words, centre, window) for centre, window in windows.items()}
    heights = [12 * len(of_centre) + 10 for of_centre in lines.values()]
    pairs_at = starts[-1] + 24
    width = pairs_at + max((_width(line) for of_centre in lines.values() for line in of_centre), default=60) + 12

    # One unit of the axes is one point, the unit of font sizes, so that boxes fit around words of any length.
    figure, axes = new_figure(width / 72, (sum(heights) + 40) / 72, layout=None)
    axes.set_position((0, 0, 1, 1))
    axes.set(xlim=(-6, width - 6), ylim=(sum(heights) + 4, -36))
    axes.set_axis_off()
    style: dict[str, Any] = {"va": "center", "fontsize": FONT_SIZE, "parse_math": False}
    title = f"Training pairs of {label_of(rows[0]['document_id'], 40)}" if rows else "No training pairs"
    axes.text(0, -24, title, va="center", fontsize=11)
    for (centre, window), top, height in zip(windows.items(), np.cumsum([0, *heights]), heights, strict=False):
        middle = top + height / 2
        first, last = min(centre, *window), max(centre, *window)
        axes.add_patch(_box(starts[first], starts[last + 1], middle, shades_of(1)[0]))
        axes.add_patch(_box(starts[centre], starts[centre + 1], middle, PALETTE[0]))
        for place, word in enumerate(shown):
            color = "white" if place == centre else "black"
            axes.text(starts[place], middle, word, color=color, **style)
        axes.text(pairs_at, middle, "\n".join(lines[centre]), **style)
    return compact_png_of(figure, cropped=False)


def word_map(positions: np.ndarray, words: Sequence[str], title: str) -> bytes:
    """A scatter plot of words at positions (n, 2), with as many labels as can be read.

    Words are in descending order of frequency. The most frequent ones occur next to any word and so lie close together;
    the others are labelled first.
    """
    figure, axes = new_figure(10, 8)
    axes.scatter(positions[:, 0], positions[:, 1], s=4, color=PALETTE[5], linewidths=0)
    axes.set(xticks=[], yticks=[], title=title)
    axes.set_aspect("equal", adjustable="datalim")
    order = np.roll(np.arange(len(words)), -min(MOST_FREQUENT, len(words) // 2))
    label_points(figure, axes, positions, [shortened(word) for word in words], order, most=WORDS_NAMED)
    return compact_png_of(figure)


def _running_median(places: np.ndarray, values: np.ndarray, bins: int = 15) -> tuple[np.ndarray, np.ndarray]:
    """The median place and the median value in each nonempty bin; bins of places have equal widths."""
    bin_of = np.digitize(places, np.linspace(places.min(), places.max(), bins + 1)[1:-1])
    filled = [bin_of == each for each in np.unique(bin_of)]
    median_place, median_value = (
        np.array([np.median(column[members]) for members in filled]) for column in (places, values)
    )
    return median_place, median_value


def _windows(rows: Sequence[Mapping]) -> dict[int, list[int]]:
    """The first centre words of the first sentence, each with the indices of its context words."""
    windows: dict[int, list[int]] = {}
    for row in rows:
        if all(row[column] == rows[0][column] for column in ("document_id", "sentence")):
            windows.setdefault(row["position"], []).append(row["place"])
    return dict(islice(windows.items(), SENTENCE_LINES))


def _pair_lines(words: Sequence[str], centre: int, window: Sequence[int]) -> list[str]:
    """The pairs as lines of text; marks keep the pairs left to right where words are written from right to left."""
    pairs = [f"{MARK}({words[centre]}{MARK}, {words[place]}{MARK})" for place in window]
    return ["  ".join(pairs[start : start + PAIRS_A_LINE]) for start in range(0, len(pairs), PAIRS_A_LINE)]


def _box(left: float, right: float, middle: float, color: "ColorType") -> "Rectangle":
    from matplotlib.patches import Rectangle

    return Rectangle((left - GAP / 2, middle - 9), right - left, 18, color=color, linewidth=0)


def _width(text: str) -> float:
    """Width of a text in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=fonts_for(text), size=FONT_SIZE)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    # Glyphs are placed on whole pixels, which makes the drawn text a little wider.
    return 1.04 * width
