"""The figures of the review chain: weighted words, distances, maps and their errors."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import cycle
from unicodedata import east_asian_width

import numpy as np

from taproom.drawing import GREY, PALETTE, columns_of, label_points, new_figure, new_panels, png_of


def weighted_words(item: str, words: Sequence[str], weights: np.ndarray, most: int = 75) -> bytes:
    """An item's words as the deck shows its weighted bag of words: the larger the weight, the larger the word.

    `words` and `weights` are equally long; the `most` heaviest are drawn, heaviest first.
    """
    figure, axes = new_figure(8, 4.2)
    axes.set_axis_off()
    axes.set_title(f"{item}: weighted bag of words", parse_math=False)
    heaviest = np.argsort(-weights, kind="stable")[:most]
    x, y, line = 0.0, 0.95, 0.0
    for place, index in enumerate(heaviest):
        size = 8 + 22 * weights[index] / weights[heaviest[0]]
        # Chinese, Japanese and Korean letters, and emoji, are about twice as wide as others.
        columns = sum(1 + (east_asian_width(letter) in "WF") for letter in words[index])
        width, height = columns * size * 0.0011 + 0.02, size * 0.0042
        if x + width > 1 and x > 0:
            x, y, line = 0.0, y - line, 0.0
        line = max(line, height)
        axes.text(
            x,
            y,
            words[index],
            fontsize=size,
            va="top",
            color=PALETTE[place % 5],
            transform=axes.transAxes,
            parse_math=False,
        )
        x += width
    return png_of(figure)


def distances_by_rank(distances: np.ndarray) -> bytes:
    """How far the neighbours are, rank by rank: median and bands of half and nine tenths of the items; (n, k)."""
    figure, axes = new_figure(7, 3.6)
    ranks = np.arange(1, distances.shape[1] + 1)
    low, q1, median, q3, high = np.quantile(distances, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
    axes.fill_between(ranks, low, high, color=PALETTE[0], alpha=0.15, label="nine tenths of the items")
    axes.fill_between(ranks, q1, q3, color=PALETTE[0], alpha=0.3, label="half of the items")
    axes.plot(ranks, median, color=PALETTE[0], label="median")
    axes.set(title="Distance to the neighbours", xlabel="rank of the neighbour", ylabel="cosine distance")
    axes.legend(loc="lower right", frameon=False, fontsize=8)
    return png_of(figure)


def item_map(
    positions: np.ndarray, names: Sequence[str], categories: Sequence[str | None], sizes: np.ndarray, title: str
) -> bytes:
    """A map in two dimensions: a dot an item, coloured by category, with as many names as can be read.

    `positions` is (n, 2); names, categories and sizes (number of reviews) are (n,). The largest items are named first,
    and a name is drawn only where it covers no other.
    """
    figure, axes = new_figure(10, 8)
    colors = _category_colors(categories)
    area = 6 + 60 * np.sqrt(sizes / max(sizes.max(), 1))
    drawn_in = np.array([GREY if item is None else colors.get(item, GREY) for item in categories], str)
    for category, color in [(None, GREY), *colors.items()]:
        of_it = drawn_in == color
        label = category or ("other" if colors else "items")
        if of_it.any():
            x, y = positions[of_it].T
            axes.scatter(x, y, s=area[of_it], c=color, alpha=0.65, linewidths=0, label=label)
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, parse_math=False)
    axes.set_aspect("equal", adjustable="datalim")
    legend = axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8, markerscale=1.5)
    for text in legend.get_texts():
        text.set_parse_math(False)  # a name is a name: `$` in it is no formula
    label_points(figure, axes, positions, names, np.argsort(-sizes, kind="stable"))
    return png_of(figure)


def map_moves(before: np.ndarray, after: np.ndarray, names: Sequence[str]) -> bytes:
    """How far items moved on a map in two dimensions: where each one went, and how many moved how far.

    `before` and `after` are (n, 2), names (n,); those that moved farthest are named first.
    """
    from matplotlib.collections import LineCollection

    figure, axes = new_figure(11, 5.5)
    axes.set_position((0.02, 0.05, 0.55, 0.88))
    moved = np.linalg.norm(after - before, axis=1)
    lines = list(np.stack([before, after], axis=1))
    x, y = before.T
    axes.scatter(x, y, s=4, color=GREY, linewidths=0)
    axes.add_collection(LineCollection(lines, colors=PALETTE[0], linewidths=0.6, alpha=0.6))
    axes.set(xticks=[], yticks=[], title=f"Where {len(moved):,} items went (dots: where they were)")
    axes.set_aspect("equal", adjustable="datalim")
    shares = figure.add_axes((0.66, 0.15, 0.3, 0.75))
    shares.plot(np.sort(moved), np.arange(1, len(moved) + 1) / len(moved), color=PALETTE[0])
    shares.axvline(np.median(moved), color=GREY, linestyle=":", label=f"median {np.median(moved):.3f}")
    shares.set(title="How far", xlabel="distance (the map's radius is 1)", ylabel="share of items", ylim=(0, 1.02))
    shares.spines[["top", "right"]].set_visible(False)
    shares.legend(frameon=False, fontsize=8, loc="lower right")
    label_points(figure, axes, after, names, np.argsort(-moved, kind="stable"))
    return png_of(figure)


def map_errors(errors: Sequence[Mapping]) -> bytes:
    """Bars of the map's errors (rows with dimension, kind, split and error), a group for each kind of triplet."""
    figure, axes = new_figure(7, 3.6)
    kinds = list(dict.fromkeys(row["kind"] for row in errors))
    groups = list(dict.fromkeys((row["dimension"], row["split"]) for row in errors))
    width = 0.8 / len(groups)
    for place, (dimension, split) in enumerate(groups):
        of_group = {
            row["kind"]: row["error"] or 0.0 for row in errors if (row["dimension"], row["split"]) == (dimension, split)
        }
        drawn = axes.bar(
            np.arange(len(kinds)) + place * width,
            [of_group[kind] for kind in kinds],
            width,
            color=PALETTE[place],
            label=f"{dimension} dimensions, {split.replace('_', ' ')}",
        )
        axes.bar_label(drawn, fmt="%.3f", fontsize=7)
    axes.axhline(0.5, color=GREY, linestyle=":", label="chance")
    axes.set_xticks(np.arange(len(kinds)) + 0.4 - width / 2, [kind.replace("_", " ") for kind in kinds])
    axes.set(title="Violated triplets", ylabel="share", ylim=(0, 0.6))
    axes.legend(frameon=False, fontsize=7, ncols=2)
    return png_of(figure)


def map_methods(rows: Sequence[Mapping]) -> bytes:
    """Each method's maps by their errors, and by their nearest items (rows as those of the table `map_methods`).

    A line joins a method's maps of the same items, each of which is drawn as the digit of its dimension: solid where
    most items were mapped, dotted on a sample.
    """
    figure, (errors, nearest) = new_panels(2, 2, 5)
    colors = dict(zip(dict.fromkeys(row["method"] for row in rows), cycle(PALETTE)))
    most = max((row["items"] for row in rows), default=0)
    for method, items in dict.fromkeys((row["method"], row["items"]) for row in rows):
        of_it = [row for row in rows if (row["method"], row["items"]) == (method, items)]
        label, line = f"{method.replace('_', ' ')}, {items:,} items", "-" if items == most else ":"
        for axes, columns in ((errors, ("error_random", "error_within")), (nearest, ("trustworthiness", "continuity"))):
            x, y = columns_of(of_it, *columns)
            axes.plot(x, y, color=colors[method], linestyle=line, label=label)
            for place, row in enumerate(of_it):
                axes.plot(x[place], y[place], color=colors[method], marker=f"${row['dimension']}$", markersize=9)
    for axes in (errors, nearest):
        axes.axhline(0.5, color=GREY, linestyle=":")
        axes.axvline(0.5, color=GREY, linestyle=":", label="chance")
    errors.set(title="Violated triplets by method", xlabel="against random items", ylabel="within the neighbours")
    nearest.set(title="Nearest items by method", xlabel="trustworthiness", ylabel="continuity")
    nearest.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)
    return png_of(figure)


def _category_colors(categories: Sequence[str | None]) -> dict[str, str]:
    """A colour for each of the most frequent categories."""
    common = Counter(category for category in categories if category is not None).most_common(len(PALETTE))
    return {category: color for (category, _), color in zip(common, PALETTE, strict=False)}
