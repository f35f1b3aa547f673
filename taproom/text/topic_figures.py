"""Figures of documents and topics, each a PNG as bytes.

Only drawing belongs here; what is drawn is computed in `taproom.text.corpus_topics` and `taproom.text.topic_methods`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from taproom.drawing import (
    DARK,
    GREY,
    PALETTE,
    add_legend,
    color_map,
    columns_of,
    compact_png_of,
    label_of,
    label_rows,
    new_figure,
    new_panels,
    shown_of,
)  # fmt: skip

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TOPICS = 20
TOPIC_WORDS = 10
# More cells of a heat map are too small to see, and more names of columns too dense to read.
SHOWN_LABELS = 60
SHOWN_TOPICS = 100
NAMED_TOPICS = 40
DOCUMENT_LABELS = 30
SPLITS = {"training": PALETTE[0], "test": PALETTE[5]}
MEASURES = {
    "npmi": "NPMI coherence",
    "diversity": "diversity",
    "nmi": "NMI with the labels",
    "stability": "stability over seeds",
}


def documents(counts: Mapping[tuple[str | None, str], int]) -> bytes:
    """Bars of the number of training and test documents with each label, for the 30 most frequent labels.

    `counts` maps (label, split) to a number of documents; a label may be None.
    """
    totals: dict[str | None, int] = {}
    for (label, _), count in counts.items():
        totals[label] = totals.get(label, 0) + count
    labels = sorted(totals, key=totals.__getitem__, reverse=True)[:DOCUMENT_LABELS]
    figure, axes = new_figure(7, 1.2 + 0.24 * max(len(labels), 1))
    left = np.zeros(len(labels))
    for split, color in SPLITS.items():
        widths = np.array([counts.get((label, split), 0) for label in labels], float)
        drawn = axes.barh(range(len(labels)), widths, left=left, color=color)
        left += widths
    axes.bar_label(drawn, labels=[f"{totals[label]:,}" for label in labels], padding=3, fontsize=8)
    label_rows(axes, ["no label" if label is None else label_of(label) for label in labels])
    axes.set(title=f"Documents of {shown_of(len(labels), len(totals), 'label')}", xlabel="documents")
    axes.margins(x=0.12)
    add_legend(axes, list(SPLITS), list(SPLITS.values()))
    return compact_png_of(figure, cropped=False)


def topic_words(title: str, topics: Sequence[tuple[Sequence[str], Sequence[float], float]]) -> bytes:
    """Bars of the ten heaviest words of each topic, one panel per topic, for the 20 topics with the largest share.

    A topic is given as its words, their weights (of the same length, heaviest first), and its share of the documents'
    mixtures. All panels have the same scale.
    """
    largest = sorted(sorted(range(len(topics)), key=lambda topic: -topics[topic][2])[:TOPICS])
    columns, lines = min(max(len(largest), 2), 4), max(-(-len(largest) // 4), 1)
    height = TOPIC_WORDS + 2.5
    # One pair of axes for all panels, since twenty pairs take many times as long to draw. In data coordinates a panel
    # is one unit wide, and a word is one unit high.
    figure, axes = new_figure(2.7 * columns, 0.5 + 0.14 * height * lines, layout=None)
    axes.set_position((0, 0, 1, 1))
    axes.set(xlim=(0, columns), ylim=(height * lines - 1.5, -1.5 - 0.5 / 0.14))
    axes.set_axis_off()
    kept = "" if len(largest) == len(topics) else f" ({len(largest)} largest of {len(topics)} topics)"
    axes.text(columns / 2, -3.5, label_of(title, 60) + kept, ha="center", fontsize=11)
    heaviest = max((weight for topic in largest for weight in topics[topic][1]), default=1.0)
    for place, topic in enumerate(largest):
        line, column = divmod(place, columns)
        words, weights, share = topics[topic]
        lengths = 0.48 * np.array(weights[:TOPIC_WORDS], float) / heaviest
        rows = height * line + np.arange(len(lengths))
        axes.barh(rows, lengths, left=column + 0.48, color=PALETTE[0])
        axes.text(column + 0.48, height * line - 1.1, f"topic {topic}: {share:.1%}", fontsize=9, va="center")
        for row, word in zip(rows, words, strict=False):
            axes.text(column + 0.47, row, label_of(word, 18), ha="right", va="center_baseline", fontsize=8)
    return compact_png_of(figure, cropped=False)


def labels_by_topic(shares: np.ndarray, labels: Sequence[str], topic_names: Sequence[str]) -> bytes:
    """A heat map of each topic's mean share in the documents of each label, (labels, topics).

    Topics keep their order; labels are sorted by their largest topic. The first 60 labels and 100 topics are drawn, and
    more than 40 topics are numbered instead of named. A NaN leaves its cell empty.
    """
    drawn = np.asarray(shares, float).reshape(len(labels), len(topic_names))[:SHOWN_LABELS, :SHOWN_TOPICS]
    rows, columns = drawn.shape
    width = max(0.26 * min(columns, NAMED_TOPICS), 0.11 * columns, 1.5)
    figure, axes = new_figure(2.4 + width, 1.8 + max(0.2 * rows, 1.2))
    if drawn.size:
        known = np.nan_to_num(drawn)
        order = np.lexsort([-known.max(axis=1), known.argmax(axis=1)])
        shades = color_map("white", PALETTE[0], "#00263d")
        most = known.max() or 1
        image = axes.imshow(drawn[order], cmap=shades, vmin=0, vmax=most, aspect="auto", interpolation="nearest")
        figure.colorbar(image, label="mean share of the mixture", aspect=30)
        label_rows(axes, [label_of(labels[row]) for row in order])
    if columns <= NAMED_TOPICS:
        names = [label_of(name) for name in topic_names]
        axes.set_xticks(range(columns), names, rotation=90, fontsize=8)
    else:
        axes.set_xticks(range(0, columns, 5))
        axes.set_xlabel("number of the topic")
    axes.set_title(
        f"{shown_of(rows, len(labels), 'label')} by {shown_of(columns, len(topic_names), 'topic')}", fontsize=10
    )
    return compact_png_of(figure, cropped=False)


def method_comparison(rows: Sequence[Mapping]) -> bytes:
    """A panel for each measure and for the seconds, with one dot per method.

    Rows have method, npmi, diversity, nmi, nmi_training (a hollow dot), stability and seconds; None is "not measured".
    """
    count = len(MEASURES) + 1
    figure, panels = new_panels(count, count, size=2.3, height=1.3 + 0.34 * max(len(rows), 1))
    lowest = min([0.0, *(row["npmi"] for row in rows if row.get("npmi") is not None)])
    for axes, (measure, title) in zip(panels, [*MEASURES.items(), ("seconds", "seconds of one fit")], strict=True):
        values = columns_of(rows, measure)[0]
        _draw_measure(axes, values)
        if measure == "nmi":
            training = columns_of(rows, "nmi_training")[0]
            axes.scatter(training, range(len(rows)), s=26, facecolors="none", edgecolors=DARK)
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
    panels[0].set_yticks(range(len(rows)), [label_of(row["method"].replace("_", " ")) for row in rows], fontsize=8)
    return compact_png_of(figure, cropped=False)


def _draw_measure(axes: "Axes", values: np.ndarray) -> None:
    """Draw one row per value from top to bottom: a dot with its number, or "not measured" for NaN."""
    axes.scatter(values, range(len(values)), s=26, color=PALETTE[0], zorder=3)
    for place, value in enumerate(values):
        if np.isnan(value):
            across = axes.get_yaxis_transform()
            axes.text(0.5, place, "not measured", transform=across, ha="center", va="center", fontsize=7, color=DARK)
        else:
            axes.annotate(f"{value:.3g}", (value, place), (0, 5), textcoords="offset points", ha="center", fontsize=7)
    axes.set(yticks=range(len(values)), yticklabels=[], ylim=(max(len(values), 1) - 0.4, -0.7))
    axes.grid(axis="y", linewidth=0.3, color=GREY)
