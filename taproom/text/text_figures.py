"""The pictures that the tables of the text chain are shown with, each a PNG as bytes.

What belongs here is drawing, as in `taproom.drawing`, whose palette these share; what is drawn is computed elsewhere.
Words come from any text: a long one is shortened, and a character that no font has is drawn as an empty box.

Sources: slides "Word embeddings, word2vec" of the lecture deck (Jamieson, CSE546 2017) for the training pairs; Mikolov
et al. 2013, "Distributed Representations of Words and Phrases and their Compositionality", figure 2, for the arrows;
Schakel and Wilson 2015, "Measuring Word Significance using Distributed Representations of Words", for the lengths.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations, islice
from typing import TYPE_CHECKING

import numpy as np

from taproom.drawing import (
    DARK,
    GREY,
    PALETTE,
    add_legend,
    choose_fonts,
    columns_of,
    compact_png_of,
    fonts_for,
    letters,
    name_items,
    new_figure,
    new_panels,
    plain_text,
    shades_of,
)  # fmt: skip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

BOX = "▯"
MARK = "\N{LEFT-TO-RIGHT MARK}"
LONGEST = 24
# Of a sentence, in points: the size of its letters, and the room between its words.
LETTERS = 9
GAP = 10
TOPICS = 20
TOPIC_WORDS = 10
# A heat map's cells beyond these are too small to see, its columns' names beyond those too dense to read.
SHOWN_LABELS = 60
SHOWN_TOPICS = 100
NAMED_TOPICS = 40
DOCUMENT_LABELS = 30
PAIRS = 30
NEAREST_WORDS = 20
# Words on a map that have a name, and the most frequent ones that come last.
WORDS_NAMED = 150
AMID_ANY = 150
NEIGHBORS = 8
SENTENCE_LINES = 8
PAIRS_A_LINE = 4
SPLITS = {"training": PALETTE[0], "test": PALETTE[5]}
# Where a name may stand, in points from what it names.
SIDES = ((-6, 0), (-4, 4), (-4, -4), (0, 6), (0, -6), (4, 4), (4, -4), (6, 0))
MEASURES = {
    "npmi": "NPMI coherence",
    "diversity": "diversity",
    "nmi": "NMI with the labels",
    "stability": "stability over seeds",
}


def documents(counts: Mapping[tuple[str | None, str], int]) -> bytes:
    """How many training and test documents the (at most 30, largest) labels have; counts are by (label, split)."""
    totals: dict[str | None, int] = {}
    for (label, _), count in counts.items():
        totals[label] = totals.get(label, 0) + count
    labels = sorted(totals, key=totals.get, reverse=True)[:DOCUMENT_LABELS]
    figure, axes = new_figure(7, 1.2 + 0.24 * max(len(labels), 1))
    left = np.zeros(len(labels))
    for split, color in SPLITS.items():
        count = np.array([counts.get((label, split), 0) for label in labels], float)
        drawn = axes.barh(range(len(labels)), count, left=left, color=color)
        left += count
    axes.bar_label(drawn, labels=[f"{totals[label]:,}" for label in labels], padding=3, fontsize=8)
    _name_rows(axes, ["no label" if label is None else _name(label) for label in labels])
    axes.set(title=f"Documents of {_first(len(labels), len(totals), 'label')}", xlabel="documents")
    axes.margins(x=0.12)
    add_legend(axes, list(SPLITS), list(SPLITS.values()))
    return compact_png_of(figure, cropped=False)


def topic_words(title: str, topics: Sequence[tuple[Sequence[str], Sequence[float], float]]) -> bytes:
    """The ten heaviest words of each topic as bars, a panel a topic; of many topics, the 20 with the largest share.

    A topic is its words, their weights (equally long, heaviest first), and its share of the documents' mixtures. All
    panels have one scale.
    """
    largest = sorted(sorted(range(len(topics)), key=lambda topic: -topics[topic][2])[:TOPICS])
    columns, lines = min(max(len(largest), 2), 4), max(-(-len(largest) // 4), 1)
    height = TOPIC_WORDS + 2.5
    # One pair of axes for all panels: twenty pairs take many times as long. A unit is a panel across, a word down.
    figure, axes = new_figure(2.7 * columns, 0.5 + 0.14 * height * lines, layout=None)
    axes.set_position([0, 0, 1, 1])
    axes.set(xlim=(0, columns), ylim=(height * lines - 1.5, -1.5 - 0.5 / 0.14))
    axes.set_axis_off()
    kept = "" if len(largest) == len(topics) else f" ({len(largest)} largest of {len(topics)} topics)"
    axes.text(columns / 2, -3.5, _name(title, 60) + kept, ha="center", fontsize=11)
    heaviest = max((weight for topic in largest for weight in topics[topic][1]), default=1.0)
    for place, topic in enumerate(largest):
        line, column = divmod(place, columns)
        words, weights, share = topics[topic]
        lengths = 0.48 * np.array(weights[:TOPIC_WORDS], float) / heaviest
        rows = height * line + np.arange(len(lengths))
        axes.barh(rows, lengths, left=column + 0.48, color=PALETTE[0])
        axes.text(column + 0.48, height * line - 1.1, f"topic {topic}: {share:.1%}", fontsize=9, va="center")
        for row, word in zip(rows, words, strict=False):
            axes.text(column + 0.47, row, _name(word, 18), ha="right", va="center_baseline", fontsize=8)
    return compact_png_of(figure, cropped=False)


def labels_by_topic(shares: np.ndarray, labels: Sequence[str], topic_names: Sequence[str]) -> bytes:
    """Each topic's mean share in the documents of each label, (labels, topics), as a heat map.

    Topics keep their order, and labels stand in the order of their largest topic. The first 60 labels and 100 topics
    are drawn; of more than 40 topics, the names are left out. NaN is drawn as nothing.
    """
    drawn = np.asarray(shares, float).reshape(len(labels), len(topic_names))[:SHOWN_LABELS, :SHOWN_TOPICS]
    rows, columns = drawn.shape
    width = max(0.26 * min(columns, NAMED_TOPICS), 0.11 * columns, 1.5)
    figure, axes = new_figure(2.4 + width, 1.8 + max(0.2 * rows, 1.2))
    if drawn.size:
        known = np.nan_to_num(drawn)
        order = np.lexsort([-known.max(axis=1), known.argmax(axis=1)])
        shades = _shading("white", PALETTE[0], "#00263d")
        most = known.max() or 1
        image = axes.imshow(drawn[order], cmap=shades, vmin=0, vmax=most, aspect="auto", interpolation="nearest")
        figure.colorbar(image, label="mean share of the mixture", aspect=30)
        _name_rows(axes, [_name(labels[row]) for row in order])
    if columns <= NAMED_TOPICS:
        names = [_name(name) for name in topic_names]
        axes.set_xticks(range(columns), names, rotation=90, fontsize=8)
    else:
        axes.set_xticks(range(0, columns, 5))
        axes.set_xlabel("number of the topic")
    axes.set_title(f"{_first(rows, len(labels), 'label')} by {_first(columns, len(topic_names), 'topic')}", fontsize=10)
    return compact_png_of(figure, cropped=False)


def method_comparison(rows: Sequence[Mapping]) -> bytes:
    """Each method's measures and seconds, a panel each, a dot a method.

    Rows have method, npmi, diversity, nmi, nmi_training (hollow), stability and seconds; None: not measured.
    """
    count = len(MEASURES) + 1
    figure, panels = new_panels(count, count, size=2.3, height=1.3 + 0.34 * max(len(rows), 1))
    lowest = min([0.0, *(row["npmi"] for row in rows if row.get("npmi") is not None)])
    for axes, (measure, title) in zip(panels, [*MEASURES.items(), ("seconds", "seconds of one fit")], strict=True):
        values = columns_of(rows, measure)[0]
        _draw_measure(axes, values)
        if measure == "nmi":
            axes.scatter(*columns_of(rows, "nmi_training"), range(len(rows)), s=26, facecolors="none", edgecolors=DARK)
            title += "\n(hollow: training)"
        if measure == "seconds":
            title += "\n(logarithmic)"
            if rows:
                axes.set_xscale("log")
            axes.margins(x=0.3)
            axes.tick_params(axis="x", which="both", bottom=False, labelbottom=False)
        else:
            axes.set_xlim(lowest - 0.12, 1.12)
        axes.set_title(title, fontsize=9)
    panels[0].set_yticks(range(len(rows)), [_name(row["method"].replace("_", " ")) for row in rows], fontsize=8)
    return compact_png_of(figure, cropped=False)


def word_lengths(words: Sequence[str], counts: np.ndarray, lengths: np.ndarray) -> bytes:
    """The Euclidean length of each word's vector against its count, with their median; all are (words,).

    The more contexts of other kinds a word has, the shorter its vector: the words farthest from the median of their
    count are named.
    """
    figure, axes = new_figure(8, 5)
    axes.scatter(counts, lengths, s=3, color=PALETTE[0], alpha=0.25, linewidths=0)
    axes.set(xscale="log", xlabel="count of the word", ylabel="length of its vector", title=f"{len(words):,} words")
    if len(words):
        places, medians = _running_median(np.log(counts), lengths)
        axes.plot(np.exp(places), medians, color=PALETTE[1], label="median of the count")
        axes.legend(frameon=False, fontsize=8)
        farthest = np.argsort(-np.abs(lengths - np.interp(np.log(counts), places, medians)), kind="stable")
        name_items(figure, axes, np.column_stack([counts, lengths]), [_shown(word) for word in words], farthest)
    return compact_png_of(figure, cropped=False)


def training_pairs(rows: Sequence[Mapping]) -> bytes:
    """The pairs (centre, context) of the first of the sentences, a line for each of its first 8 centre words.

    Rows have document_id, sentence (words joined by blanks), position and place (of the centre and the context word in
    the sentence, from 0). Of a long sentence, the words up to the last of these windows are drawn.
    """
    windows = _windows(rows)
    words = [_shown(word, 16) for word in rows[0]["sentence"].split(" ")] if rows else []
    reach = max((max(centre, *window) for centre, window in windows.items()), default=-1) + 1
    shown = words[:reach] + ["…"] * (reach < len(words))
    starts = np.cumsum([0.0, *(_width(word) + GAP for word in shown)])
    lines = {centre: _pair_lines(words, centre, window) for centre, window in windows.items()}
    heights = [12 * len(of_centre) + 10 for of_centre in lines.values()]
    pairs_at = starts[-1] + 24
    width = pairs_at + max((_width(line) for of_centre in lines.values() for line in of_centre), default=60) + 12

    # One unit of the axes is one point, as of the letters: boxes fit around words of any length.
    figure, axes = new_figure(width / 72, (sum(heights) + 40) / 72, layout=None)
    axes.set_position([0, 0, 1, 1])
    axes.set(xlim=(-6, width - 6), ylim=(sum(heights) + 4, -36))
    axes.set_axis_off()
    letters = {"va": "center", "fontsize": LETTERS, "parse_math": False}
    title = f"Training pairs of {_name(rows[0]['document_id'], 40)}" if rows else "No training pairs"
    axes.text(0, -24, title, va="center", fontsize=11)
    for (centre, window), top, height in zip(windows.items(), np.cumsum([0, *heights]), heights, strict=False):
        middle = top + height / 2
        first, last = min(centre, *window), max(centre, *window)
        axes.add_patch(_box(starts[first], starts[last + 1], middle, shades_of(1)[0]))
        axes.add_patch(_box(starts[centre], starts[centre + 1], middle, PALETTE[0]))
        for place, word in enumerate(shown):
            color = "white" if place == centre else "black"
            axes.text(starts[place], middle, word, color=color, **letters)
        axes.text(pairs_at, middle, "\n".join(lines[centre]), **letters)
    return compact_png_of(figure, cropped=False)


def analogies_by_section(rows: Sequence[Mapping]) -> bytes:
    """How many of a section's questions with known words are answered right, or by one of the five nearest words.

    Rows have section, questions, known, accuracy and accuracy_of_5 (None: no question has known words only).
    """
    figure, axes = new_figure(7.5, 1.2 + 0.27 * max(len(rows), 1))
    first, of_5 = (np.nan_to_num(column) for column in columns_of(rows, "accuracy", "accuracy_of_5"))
    axes.barh(range(len(rows)), of_5, color=PALETTE[5])
    axes.barh(range(len(rows)), first, color=PALETTE[0])
    for place, row in enumerate(rows):
        told = "none known" if row["accuracy"] is None else f"{first[place]:.1%}, {of_5[place]:.1%}"
        axes.annotate(told, (of_5[place], place), (4, 0), textcoords="offset points", va="center", fontsize=7)
    known = [f"{_name(row['section'], 36)}: {row['known']:,} of {row['questions']:,} known" for row in rows]
    _name_rows(axes, known)
    axes.set(
        title="Analogies", xlabel="share of the known questions", xlim=(0, min(1, 1.35 * of_5.max(initial=0)) or 1)
    )
    add_legend(axes, ["right", "among the nearest 5"], [PALETTE[0], PALETTE[5]])
    return compact_png_of(figure, cropped=False)


def country_capital_arrows(
    countries: Sequence[str], capitals: Sequence[str], country_vectors: np.ndarray, capital_vectors: np.ndarray
) -> bytes:
    """An arrow from each country to its capital, on the plane of the first two principal components.

    Vectors are (pairs, dimensions), of which there are two or more; the first 30 pairs are drawn. As a plane can make
    arrows look more parallel than they are, the title tells its share of the variance and the arrows' cosine in all
    dimensions. A name that would cover others wherever it stood is left out.
    """
    pairs = min(len(countries), PAIRS)
    figure, axes = new_figure(9, 7)
    told = _first(pairs, len(countries), "country and its capital", "countries and their capitals")
    axes.set(xticks=[], yticks=[])
    axes.set_title(told, fontsize=10)
    if pairs:
        ends = np.vstack([country_vectors[:pairs], capital_vectors[:pairs]]).astype(float)
        points, explained = _principal_plane(ends)
        # The sign of a component is arbitrary: most of the way is to the right and up, so that names stand clear.
        points *= np.where((points[pairs:] - points[:pairs]).sum(axis=0) < 0, -1, 1)
        told += f"\non the first two principal components, {explained:.0%} of the variance"
        if pairs > 1:
            parallel = _mean_cosine(ends[pairs:] - ends[:pairs])
            told += f"; mean cosine of two arrows in all dimensions: {parallel:.2f}"
        axes.set_title(told, fontsize=10)
        for start, end in zip(points[:pairs], points[pairs:], strict=True):
            axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": GREY, "shrinkA": 3, "shrinkB": 3})
        axes.scatter(*points[:pairs].T, s=16, color=PALETTE[0], zorder=3)
        axes.scatter(*points[pairs:].T, s=16, color=PALETTE[1], zorder=3)
        axes.set_aspect("equal", adjustable="datalim")
        axes.margins(0.1)
        _name_ends(figure, axes, points, [*countries[:pairs], *capitals[:pairs]])
    return compact_png_of(figure, cropped=False)


def word_map(positions: np.ndarray, words: Sequence[str], title: str) -> bytes:
    """A dot a word, positions are (n, 2), and as many words as can be read.

    Words come the most frequent first. Those are amid any words and therefore all in one place, so others are named
    before them.
    """
    figure, axes = new_figure(10, 8)
    axes.scatter(*positions.T, s=4, color=PALETTE[5], linewidths=0)
    axes.set(xticks=[], yticks=[], title=title)
    axes.set_aspect("equal", adjustable="datalim")
    order = np.roll(np.arange(len(words)), -min(AMID_ANY, len(words) // 2))
    name_items(figure, axes, positions, [_shown(word) for word in words], order, most=WORDS_NAMED)
    return compact_png_of(figure)


def nearest_words(rows: Sequence[Mapping]) -> bytes:
    """The first 8 neighbours of the first 20 words, the more similar, the darker.

    Rows have word, neighbors and similarities (equally long, nearest first).
    """
    rows = rows[:NEAREST_WORDS]
    similarity = np.full((max(len(rows), 1), NEIGHBORS), np.nan)
    for place, row in enumerate(rows):
        similarity[place, : len(row["similarities"])] = row["similarities"][:NEIGHBORS]
    figure, axes = new_figure(11.5, 0.8 + 0.25 * len(similarity))
    image = axes.imshow(similarity, cmap=_shading("white", PALETTE[5]), aspect="auto", interpolation="nearest")
    figure.colorbar(image, label="cosine similarity", aspect=30)
    for place, row in enumerate(rows):
        for rank, word in enumerate(row["neighbors"][:NEIGHBORS]):
            axes.text(rank, place, _name(word, 17), ha="center", va="center", fontsize=7.5, in_layout=False)
    _name_rows(axes, [_name(row["word"]) for row in rows])
    axes.set_xticks(range(NEIGHBORS), range(1, NEIGHBORS + 1))
    axes.tick_params(length=0)
    axes.set_title("The nearest words, by rank", fontsize=10)
    return compact_png_of(figure, cropped=False)


def _draw_measure(axes: "Axes", values: np.ndarray) -> None:
    """A dot and its number for each of the values, from above; a NaN was not measured."""
    axes.scatter(values, range(len(values)), s=26, color=PALETTE[0], zorder=3)
    for place, value in enumerate(values):
        if np.isnan(value):
            across = axes.get_yaxis_transform()
            axes.text(0.5, place, "not measured", transform=across, ha="center", va="center", fontsize=7, color=DARK)
        else:
            axes.annotate(f"{value:.3g}", (value, place), (0, 5), textcoords="offset points", ha="center", fontsize=7)
    axes.set(yticks=range(len(values)), yticklabels=[], ylim=(max(len(values), 1) - 0.4, -0.7))
    axes.grid(axis="y", linewidth=0.3, color=GREY)


def _windows(rows: Sequence[Mapping]) -> dict[int, list[int]]:
    """The context words' places of each of the first centre words of the first sentence."""
    windows: dict[int, list[int]] = {}
    for row in rows:
        if all(row[column] == rows[0][column] for column in ("document_id", "sentence")):
            windows.setdefault(row["position"], []).append(row["place"])
    return dict(islice(windows.items(), SENTENCE_LINES))


def _pair_lines(words: Sequence[str], centre: int, window: Sequence[int]) -> list[str]:
    """The pairs as text, some a line; marks keep them from left to right where words are written the other way."""
    pairs = [f"{MARK}({words[centre]}{MARK}, {words[place]}{MARK})" for place in window]
    return ["  ".join(pairs[start : start + PAIRS_A_LINE]) for start in range(0, len(pairs), PAIRS_A_LINE)]


def _box(left: float, right: float, middle: float, color):
    from matplotlib.patches import Rectangle

    return Rectangle((left - GAP / 2, middle - 9), right - left, 18, color=color, linewidth=0)


def _width(text: str) -> float:
    """How wide the text is, in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=fonts_for(text), size=LETTERS)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    # On a picture letters stand on whole dots, which makes the text a little wider.
    return 1.04 * width


def _running_median(places: np.ndarray, values: np.ndarray, bins: int = 15) -> tuple[np.ndarray, np.ndarray]:
    """The median place and value of each of the equally wide bins of places that hold any."""
    bin_of = np.digitize(places, np.linspace(places.min(), places.max(), bins + 1)[1:-1])
    filled = [bin_of == each for each in np.unique(bin_of)]
    return tuple(np.array([np.median(column[members]) for members in filled]) for column in (places, values))


def _principal_plane(vectors: np.ndarray) -> tuple[np.ndarray, float]:
    """Points (n, 2) on the plane of the first two principal components, and its share of the variance."""
    left, strengths, _ = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    return left[:, :2] * strengths[:2], (strengths[:2] ** 2).sum() / max((strengths**2).sum(), np.finfo(float).tiny)


def _mean_cosine(arrows: np.ndarray) -> float:
    """The cosine of two different arrows (rows), on average over all pairs of them."""
    lengths = np.linalg.norm(arrows, axis=1, keepdims=True)
    units = arrows / np.where(lengths > 0, lengths, 1)
    return float(np.mean([one @ other for one, other in combinations(units, 2)]))


def _name_ends(figure: "Figure", axes: "Axes", points: np.ndarray, names: Sequence[str]) -> None:
    """Write each name beside its point (the first half of them are starts of arrows) where it covers no other name."""
    import matplotlib.patheffects as effects

    choose_fonts(figure)
    figure.canvas.draw()
    halo = [effects.withStroke(linewidth=2, foreground="white")]
    taken = []
    for place, (point, name) in enumerate(zip(points, names, strict=True)):
        start = place < len(names) / 2
        text = axes.annotate(_name(name), point, SIDES[0], textcoords="offset points", fontsize=8, path_effects=halo)
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


def _name_rows(axes: "Axes", names: Sequence[str]) -> None:
    """The names of rows 0, 1, ... from above."""
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(max(len(names), 1) - 0.5, -0.5)


def _first(shown: int, count: int, one: str, several: str | None = None) -> str:
    """How many there are, and of how many where not all are shown."""
    what = one if count == 1 else several or f"{one}s"
    return f"{shown} {what}" if shown == count else f"{shown} of {count:,} {what}"


def _shading(*colors: str) -> "Colormap":
    """From the first colour to the last."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("shading", colors)


def _name(text: str, longest: int = LONGEST) -> str:
    return plain_text(_shown(text, longest))


def _shown(text: str, longest: int = LONGEST) -> str:
    """The text on one line, shortened, with a box for each character that the fonts lack."""
    line = " ".join(text.split())
    short = line if len(line) <= longest else line[: longest - 1] + "…"
    return "".join(letter if ord(letter) in letters() else BOX for letter in short)
