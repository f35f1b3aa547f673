"""Figures of analogies and of nearest words, each a PNG as bytes.

Only drawing belongs here; what is drawn is computed in `taproom.text.analogies` and `taproom.words.vectors`.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from taproom.drawing import (
    GREY,
    PALETTE,
    add_legend,
    choose_fonts,
    color_map,
    columns_of,
    compact_png_of,
    fonts_for,
    label_of,
    label_rows,
    new_figure,
    shown_of,
)  # fmt: skip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

PAIRS = 30
NEAREST_WORDS = 20
NEIGHBORS = 8
# Positions of a label, in points from what it names, the preferred one first.
SIDES = ((-6, 0), (-4, 4), (-4, -4), (0, 6), (0, -6), (4, 4), (4, -4), (6, 0))


def analogies_by_section(rows: Sequence[Mapping]) -> bytes:
    """Bars of each section's accuracy: right answers, and right answers among the five nearest words.

    Both are shares of the questions whose four words are known. Rows have section, questions, known, accuracy and
    accuracy_of_5 (None if no question is known).
    """
    figure, axes = new_figure(7.5, 1.2 + 0.27 * max(len(rows), 1))
    first, of_5 = (np.nan_to_num(column) for column in columns_of(rows, "accuracy", "accuracy_of_5"))
    axes.barh(range(len(rows)), of_5, color=PALETTE[5])
    axes.barh(range(len(rows)), first, color=PALETTE[0])
    for place, row in enumerate(rows):
        text = "none known" if row["accuracy"] is None else f"{first[place]:.1%}, {of_5[place]:.1%}"
        axes.annotate(text, (of_5[place], place), (4, 0), textcoords="offset points", va="center", fontsize=7)
    known = [f"{label_of(row['section'], 36)}: {row['known']:,} of {row['questions']:,} known" for row in rows]
    label_rows(axes, known)
    axes.set(
        title="Analogies", xlabel="share of the known questions", xlim=(0, min(1, 1.35 * of_5.max(initial=0)) or 1)
    )
    add_legend(axes, ["right", "among the nearest 5"], [PALETTE[0], PALETTE[5]])
    return compact_png_of(figure, cropped=False)


def country_capital_arrows(
    countries: Sequence[str], capitals: Sequence[str], country_vectors: np.ndarray, capital_vectors: np.ndarray
) -> bytes:
    """An arrow from each country to its capital, on the plane of the first two principal components.

    Vectors are (pairs, dimensions) with at least two dimensions; the first 30 pairs are drawn. A projection can make
    arrows look more parallel than they are, so the title gives its share of the variance and the mean cosine of the
    arrows in all dimensions. A label that would cover another one in every position is left out.

    Source: Mikolov et al., Distributed Representations of Words and Phrases and their Compositionality, 2013, figure 2.
    """
    pairs = min(len(countries), PAIRS)
    figure, axes = new_figure(9, 7)
    title = shown_of(pairs, len(countries), "country and its capital", "countries and their capitals")
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=10)
    if pairs:
        ends = np.vstack([country_vectors[:pairs], capital_vectors[:pairs]]).astype(float)
        points, explained = _principal_plane(ends)
        # The sign of a component is arbitrary. Arrows that point right and up on average leave room for the labels.
        points *= np.where((points[pairs:] - points[:pairs]).sum(axis=0) < 0, -1, 1)
        title += f"\non the first two principal components, {explained:.0%} of the variance"
        if pairs > 1:
            parallel = _mean_cosine(ends[pairs:] - ends[:pairs])
            title += f"; mean cosine of two arrows in all dimensions: {parallel:.2f}"
        axes.set_title(title, fontsize=10)
        for start, end in zip(points[:pairs], points[pairs:], strict=True):
            axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": GREY, "shrinkA": 3, "shrinkB": 3})
        axes.scatter(points[:pairs, 0], points[:pairs, 1], s=16, color=PALETTE[0], zorder=3)
        axes.scatter(points[pairs:, 0], points[pairs:, 1], s=16, color=PALETTE[1], zorder=3)
        axes.set_aspect("equal", adjustable="datalim")
        axes.margins(0.1)
        _name_ends(figure, axes, points, [*countries[:pairs], *capitals[:pairs]])
    return compact_png_of(figure, cropped=False)


def nearest_words(rows: Sequence[Mapping]) -> bytes:
    """A table of the first 8 neighbours of the first 20 words; more similar words are darker.

    Rows have word, neighbors and similarities (of the same length, nearest first).
    """
    rows = rows[:NEAREST_WORDS]
    similarity = np.full((max(len(rows), 1), NEIGHBORS), np.nan)
    for place, row in enumerate(rows):
        similarity[place, : len(row["similarities"])] = row["similarities"][:NEIGHBORS]
    figure, axes = new_figure(11.5, 0.8 + 0.25 * len(similarity))
    image = axes.imshow(similarity, cmap=color_map("white", PALETTE[5]), aspect="auto", interpolation="nearest")
    figure.colorbar(image, label="cosine similarity", aspect=30)
    for place, row in enumerate(rows):
        for rank, word in enumerate(row["neighbors"][:NEIGHBORS]):
            axes.text(rank, place, label_of(word, 17), ha="center", va="center", fontsize=7.5, in_layout=False)
    label_rows(axes, [label_of(row["word"]) for row in rows])
    axes.set_xticks(range(NEIGHBORS), [str(rank) for rank in range(1, NEIGHBORS + 1)])
    axes.tick_params(length=0)
    axes.set_title("The nearest words, by rank", fontsize=10)
    return compact_png_of(figure, cropped=False)


def _principal_plane(vectors: np.ndarray) -> tuple[np.ndarray, float]:
    """Coordinates (n, 2) of vectors (n, D) on their first two principal components, and its share of the variance."""
    left, strengths, _ = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    return left[:, :2] * strengths[:2], (strengths[:2] ** 2).sum() / max((strengths**2).sum(), np.finfo(float).tiny)


def _mean_cosine(arrows: np.ndarray) -> float:
    """The mean cosine over all pairs of different arrows (rows)."""
    lengths = np.linalg.norm(arrows, axis=1, keepdims=True)
    units = arrows / np.where(lengths > 0, lengths, 1)
    return float(np.mean([one @ other for one, other in combinations(units, 2)]))


def _name_ends(figure: "Figure", axes: "Axes", points: np.ndarray, names: Sequence[str]) -> None:
    """Label each point where the label covers no other one; the first half of the points are the starts of arrows."""
    import matplotlib.patheffects as effects

    choose_fonts(figure)
    figure.draw_without_rendering()
    halo = [effects.withStroke(linewidth=2, foreground="white")]
    taken: list[Bbox] = []
    for place, (point, name) in enumerate(zip(points, names, strict=True)):
        start = place < len(names) / 2
        text = axes.annotate(label_of(name), point, SIDES[0], textcoords="offset points", fontsize=8, path_effects=halo)
        text.set_fontfamily(fonts_for(name))
        text.set_color(PALETTE[0] if start else PALETTE[1])
        for x, y in sorted(SIDES, reverse=not start):
            across, along = ("right", "center", "left")[np.sign(x) + 1], ("top", "center", "bottom")[np.sign(y) + 1]
            text.set(position=(x, y), horizontalalignment=across, verticalalignment=along)
            box = text.get_window_extent()
            if not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
        else:
            text.remove()
