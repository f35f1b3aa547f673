"""The pictures that tables are shown with, each a PNG as bytes.

What belongs here is drawing; what is drawn is computed elsewhere. Figures are made without pyplot, whose global state
does not suit threads.

Names and words come in any script. What matplotlib's own font lacks is drawn in the first of the Noto fonts that has
it. These come with two packages, so a figure does not depend on what a machine has installed.
"""

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import cycle
from typing import TYPE_CHECKING
from unicodedata import east_asian_width

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette (2008), which colour-blind readers can tell apart; grey is for everything else.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
GREY = "#b8b8b8"
DARK = "#505050"
# Noto Sans CJK, and Noto Emoji (in one colour) with Noto Sans of other scripts.
FONT_PACKAGES = ("noto_cjk_sans_otc", "manimgx_fonts")
# Of its faces, which have the same characters in the forms of different countries.
CJK_FACE = "Noto Sans CJK SC"
LEGEND_LINES = 15
LABELS = 28


def bars(title: str, counts: Mapping[str, int], unit: str) -> bytes:
    """A horizontal bar for each of the (at most 20, largest first) counts that are not zero."""
    largest = Counter({name: count for name, count in counts.items() if count}).most_common(20)
    figure, axes = _figure(7, 1.2 + 0.28 * len(largest))
    names, values = zip(*reversed(largest), strict=True) if largest else ((), ())
    drawn = axes.barh(names, values, color=PALETTE[0])
    axes.bar_label(drawn, labels=[f"{value:,}" for value in values], padding=3, fontsize=8)
    axes.set(title=title, xlabel=unit)
    axes.margins(x=0.12)
    return _png(figure)


def histogram(title: str, values: np.ndarray, unit: str) -> bytes:
    """How many values lie where, on two logarithmic axes; values are positive whole numbers, shape (n,)."""
    figure, axes = _figure(7, 3.6)
    edges = np.unique(np.geomspace(1, max(values.max(), 2) + 1, 30).astype(int))
    axes.hist(values, bins=edges, color=PALETTE[0], edgecolor="white")
    axes.set(title=title, xlabel=unit, ylabel="how many", xscale="log", yscale="log")
    return _png(figure)


def zipf(title: str, counts: np.ndarray) -> bytes:
    """Counts, largest first, against their rank, on two logarithmic axes; shape (words,)."""
    figure, axes = _figure(7, 3.6)
    ordered = np.sort(np.asarray(counts).ravel())[::-1]
    axes.plot(np.arange(1, len(ordered) + 1), ordered, color=PALETTE[0])
    axes.set(title=title, xlabel="rank of the word", ylabel="occurrences", xscale="log", yscale="log")
    return _png(figure)


def weighted_words(item: str, words: Sequence[str], weights: np.ndarray, most: int = 75) -> bytes:
    """An item's words as the deck shows its weighted bag of words: the larger the weight, the larger the word.

    `words` and `weights` are equally long; the `most` heaviest are drawn, heaviest first.
    """
    figure, axes = _figure(8, 4.2)
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
    return _png(figure)


def distances_by_rank(distances: np.ndarray) -> bytes:
    """How far the neighbours are, rank by rank: median and bands of half and nine tenths of the items; (n, k)."""
    figure, axes = _figure(7, 3.6)
    ranks = np.arange(1, distances.shape[1] + 1)
    low, q1, median, q3, high = np.quantile(distances, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
    axes.fill_between(ranks, low, high, color=PALETTE[0], alpha=0.15, label="nine tenths of the items")
    axes.fill_between(ranks, q1, q3, color=PALETTE[0], alpha=0.3, label="half of the items")
    axes.plot(ranks, median, color=PALETTE[0], label="median")
    axes.set(title="Distance to the neighbours", xlabel="rank of the neighbour", ylabel="cosine distance")
    axes.legend(loc="lower right", frameon=False, fontsize=8)
    return _png(figure)


def item_map(
    positions: np.ndarray, names: Sequence[str], categories: Sequence[str | None], sizes: np.ndarray, title: str
) -> bytes:
    """A map in two dimensions: a dot an item, coloured by category, with as many names as can be read.

    `positions` is (n, 2); names, categories and sizes (number of reviews) are (n,). The largest items are named first,
    and a name is drawn only where it covers no other.
    """
    figure, axes = _figure(10, 8)
    colors = _category_colors(categories)
    area = 6 + 60 * np.sqrt(sizes / max(sizes.max(), 1))
    for category, color in [(None, GREY), *colors.items()]:
        of_it = np.array([colors.get(item, GREY) == color for item in categories])
        label = category or ("other" if colors else "items")
        if of_it.any():
            axes.scatter(*positions[of_it].T, s=area[of_it], c=color, alpha=0.65, linewidths=0, label=label)
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, parse_math=False)
    axes.set_aspect("equal", adjustable="datalim")
    legend = axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8, markerscale=1.5)
    for text in legend.get_texts():
        text.set_parse_math(False)  # a name is a name: `$` in it is no formula
    _name_items(figure, axes, positions, names, np.argsort(-sizes, kind="stable"))
    return _png(figure)


def map_moves(before: np.ndarray, after: np.ndarray, names: Sequence[str]) -> bytes:
    """How far items moved on a map in two dimensions: where each one went, and how many moved how far.

    `before` and `after` are (n, 2), names (n,); those that moved farthest are named first.
    """
    from matplotlib.collections import LineCollection

    figure, axes = _figure(11, 5.5)
    axes.set_position([0.02, 0.05, 0.55, 0.88])
    moved = np.linalg.norm(after - before, axis=1)
    axes.scatter(*before.T, s=4, color=GREY, linewidths=0)
    axes.add_collection(LineCollection(np.stack([before, after], axis=1), colors=PALETTE[0], linewidths=0.6, alpha=0.6))
    axes.set(xticks=[], yticks=[], title=f"Where {len(moved):,} items went (dots: where they were)")
    axes.set_aspect("equal", adjustable="datalim")
    shares = figure.add_axes([0.66, 0.15, 0.3, 0.75])
    shares.plot(np.sort(moved), np.arange(1, len(moved) + 1) / len(moved), color=PALETTE[0])
    shares.axvline(np.median(moved), color=GREY, linestyle=":", label=f"median {np.median(moved):.3f}")
    shares.set(title="How far", xlabel="distance (the map's radius is 1)", ylabel="share of items", ylim=(0, 1.02))
    shares.spines[["top", "right"]].set_visible(False)
    shares.legend(frameon=False, fontsize=8, loc="lower right")
    _name_items(figure, axes, after, names, np.argsort(-moved, kind="stable"))
    return _png(figure)


def map_errors(errors: Sequence[Mapping]) -> bytes:
    """Bars of the map's errors (rows with dimension, kind, split and error), a group for each kind of triplet."""
    figure, axes = _figure(7, 3.6)
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
    return _png(figure)


def method_errors(rows: Sequence[Mapping]) -> bytes:
    """Both errors of each method's maps (rows with method, dimension, items, error_random, error_within).

    A line joins a method's maps of the same items, each of which is drawn as the digit of its dimension: solid where
    most items were mapped, dotted on a sample.
    """
    figure, axes = _figure(7, 5)
    colors = dict(zip(dict.fromkeys(row["method"] for row in rows), cycle(PALETTE)))
    most = max((row["items"] for row in rows), default=0)
    for method, items in dict.fromkeys((row["method"], row["items"]) for row in rows):
        of_it = [row for row in rows if (row["method"], row["items"]) == (method, items)]
        x, y = (np.array([row[error] for row in of_it], float) for error in ("error_random", "error_within"))
        label = f"{method.replace('_', ' ')}, {items:,} items"
        axes.plot(x, y, color=colors[method], linestyle="-" if items == most else ":", label=label)
        for place, row in enumerate(of_it):
            axes.plot(x[place], y[place], color=colors[method], marker=f"${row['dimension']}$", markersize=9)
    axes.axhline(0.5, color=GREY, linestyle=":")
    axes.axvline(0.5, color=GREY, linestyle=":", label="chance")
    axes.set(title="Violated triplets by method", xlabel="against random items", ylabel="within the neighbours")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)
    return _png(figure)


def fonts_for(text: str, own: Sequence[str] | None = None) -> list[str]:
    """The families to draw a text in: its own (None: matplotlib's default), and ours if those lack any character.

    Not always all of them: matplotlib looks each family up whenever it lays a text out, which doubled the time of a
    figure.
    """
    from matplotlib import rcParams

    own = list(own or rcParams["font.family"])
    return own if _letters_of(*own).issuperset(map(ord, text)) else [*own, *_noto_families()]


@cache
def _noto_families() -> tuple[str, ...]:
    """The families of our fonts, which matplotlib knows from now on."""
    from matplotlib.font_manager import fontManager

    known = len(fontManager.ttflist)
    for package in FONT_PACKAGES:
        for path in sorted(map(str, files(package).iterdir())):
            if path.endswith((".ttf", ".ttc")):
                fontManager.addfont(path)
    names = dict.fromkeys(font.name for font in fontManager.ttflist[known:])
    return tuple(name for name in names if "CJK" not in name or name == CJK_FACE)


@cache
def _letters_of(*families: str) -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    fonts = [get_font(findfont(FontProperties(family=[family]))) for family in families]
    return frozenset({ord("\n")}.union(*(font.get_charmap() for font in fonts)))


def letters() -> frozenset[int]:
    """The characters (code points) of the fonts that figures are written in."""
    from matplotlib import rcParams

    return _letters_of(*rcParams["font.family"], *_noto_families())


def _category_colors(categories: Sequence[str | None]) -> dict[str, str]:
    """A colour for each of the most frequent categories."""
    common = Counter(category for category in categories if category is not None).most_common(len(PALETTE))
    return {category: color for (category, _), color in zip(common, PALETTE, strict=False)}


def _name_items(
    figure: "Figure",
    axes: "Axes",
    positions: np.ndarray,
    names: Sequence[str],
    order: np.ndarray,
    most: int = LABELS,
) -> None:
    """Write up to `most` names, in the given order of items, leaving out those that would cover a written one."""
    import matplotlib.patheffects as effects

    _choose_fonts(figure)
    figure.canvas.draw()
    halo = [effects.withStroke(linewidth=2, foreground="white")]
    taken = []
    for index in order[: 20 * LABELS]:
        if len(taken) == most:
            return
        name = names[index] if len(names[index]) <= 32 else names[index][:30] + "…"
        text = axes.annotate(
            name,
            positions[index],
            xytext=(3, 3),
            textcoords="offset points",
            fontsize=7,
            path_effects=halo,
            parse_math=False,
            fontfamily=fonts_for(name),
        )
        box = text.get_window_extent().expanded(1.05, 1.2)
        if (
            any(box.overlaps(other) for other in taken)
            or not axes.bbox.contains(box.x0, box.y0)
            or not axes.bbox.contains(box.x1, box.y1)
        ):
            text.remove()
        else:
            taken.append(box)


def _figure(width: float, height: float, layout: str | None = "constrained") -> "tuple[Figure, Axes]":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _png(figure: "Figure", cropped: bool = True) -> bytes:
    _choose_fonts(figure)
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=110, bbox_inches="tight" if cropped else None)
    return sink.getvalue()


def _choose_fonts(figure: "Figure") -> None:
    """Give each text of a figure the fonts that have its characters."""
    from matplotlib.text import Text

    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if axis.get_scale() == "linear":  # names are on no other
                axis.get_ticklabels()  # which are written only now
    for text in figure.findobj(Text):
        text.set_fontfamily(fonts_for(text.get_text(), text.get_fontfamily()))


def _panels(count: int, columns: int, size: float, height: float | None = None) -> "tuple[Figure, list[Axes]]":
    """A figure of so many panels, `size` inches wide each, filled row by row."""
    lines = -(-count // columns)
    figure, axes = _figure(size * columns, (height or size) * lines)
    axes.remove()
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[count:]:
        axes.remove()
    return figure, list(panels[:count])


def _compact(figure: "Figure", cropped: bool = True) -> bytes:
    """The PNG in 256 colours, a third of the bytes: soft edges of many coloured dots and lines take thousands."""
    from PIL import Image

    sink = io.BytesIO()
    Image.open(io.BytesIO(_png(figure, cropped))).convert("RGB").quantize(256).save(sink, "png")
    return sink.getvalue()


def _legend(axes: "Axes", labels: Sequence[str], colors: Sequence) -> None:
    """A coloured patch and a text each, beside the axes."""
    from matplotlib.patches import Patch

    handles = [Patch(color=color) for color in colors]
    texts = [_plain(label) for label in labels]
    columns = -(-len(texts) // LEGEND_LINES) or 1
    axes.legend(handles, texts, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8, ncols=columns)


def _shades(count: int) -> list[tuple[float, float, float]]:
    """Light to dark of the palette's first colour."""
    from matplotlib.colors import to_rgb

    strengths = np.linspace(0.15, 0.7, count)[:, None]
    return [tuple(shade) for shade in 1 - strengths * (1 - np.array(to_rgb(PALETTE[0])))]


def _columns(rows: Sequence[Mapping], *columns: str) -> list[np.ndarray]:
    """Columns of numbers, NaN where there is none."""
    return [np.array([row.get(column) for row in rows], float) for column in columns]


def _plain(text: str) -> str:
    """The text so that it is drawn as it is: `$` in a name is no formula."""
    return text.replace("$", r"\$")
