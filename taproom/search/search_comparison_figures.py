"""The pictures of the tables `digits`, `deck_settings` and `search_comparison`, each a PNG as bytes.

What belongs here is drawing, as in `taproom.drawing`, whose palette these share; what is drawn comes from
`taproom.search.search_comparison`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from taproom.drawing import DARK, GREY, PALETTE, columns_of, new_figure, new_panels, plain_text, png_of
from taproom.search.search_comparison import REFERENCE, final_loss, rank_correlation, share_to_reach

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIDE = 28
SHOWN, SHOWN_LABELS = 12, 20


def sample_digits(pixels: np.ndarray, labels: Sequence[str]) -> bytes:
    """The first 12 digits of each of the first 20 labels, a row a label, as the deck shows them.

    `pixels` are uint8 (n, 784), `labels` n texts.
    """
    names, numbers, counts = np.unique(labels, return_inverse=True, return_counts=True)
    names = names[:SHOWN_LABELS]
    canvas = np.zeros((len(names), SHOWN, SIDE, SIDE), np.uint8)
    for row in range(len(names)):
        chosen = pixels[np.flatnonzero(numbers == row)[:SHOWN]]
        canvas[row, : len(chosen)] = chosen.reshape(-1, SIDE, SIDE)
    figure, axes = new_figure(7, 0.6 + 0.48 * len(names))
    axes.imshow(canvas.transpose(0, 2, 1, 3).reshape(len(names) * SIDE, SHOWN * SIDE), cmap="gray_r")
    ticks = [f"{plain_text(name)}\n{count:,}" for name, count in zip(names, counts, strict=False)]
    axes.set_yticks(SIDE * np.arange(len(names)) + SIDE / 2, ticks, fontsize=8)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(f"{len(labels):,} digits, by label", fontsize=10)
    return png_of(figure)


def deck_settings(rows: Sequence[Mapping]) -> bytes:
    """Our loss and our error of the deck's settings against the published loss; rows are those of `compare`.

    A number is a setting, in the deck's order. What diverges is not drawn.
    """
    figure, panels = new_panels(2, columns=2, size=4.8, height=4.2)
    for axes, column, unit in zip(panels, ("loss", "error"), ("nats", "share"), strict=True):
        published, ours = columns_of(rows, "published_loss", column)
        axes.scatter(published, ours, s=220, color=PALETTE[0], alpha=0.25, linewidths=0)
        for row, x, y in zip(rows, published, ours, strict=True):
            if np.isfinite(y):
                axes.text(x, y, str(row["setting"]), ha="center", va="center", fontsize=8)
        axes.set(xscale="log", xlabel="published loss (of which kind is not stated)", ylabel=f"our {column} [{unit}]")
        _plain_ticks(axes)
        correlation = rank_correlation(rows, column)
        text = "all alike" if correlation is None else f"{correlation:+.2f}".replace("-", "\N{MINUS SIGN}")
        axes.set_title(f"{column}: rank correlation {text}", fontsize=10)
    return png_of(figure)


def search_comparison(rows: Sequence[Mapping]) -> bytes:
    """The best loss so far against the epochs spent, of each method: the median over the seeds, and half of them.

    Rows are those of `compare`. A dot is where a median first is as low as random search's in the end (dotted).
    """
    figure, axes = new_figure(9, 5)
    wanted = final_loss(rows, REFERENCE)
    last = max(row["epochs"] for row in rows if row["method"] == REFERENCE)
    for method, color in zip(dict.fromkeys(row["method"] for row in rows), PALETTE, strict=False):
        epochs, median, low, high = columns_of(
            [row for row in rows if row["method"] == method], "epochs", "median", "low", "high"
        )
        share = share_to_reach(rows, method)
        reached = "" if method == REFERENCE else ": not reached" if share is None else f": reached after {share:.0%}"
        axes.fill_between(epochs, low, high, step="post", color=color, alpha=0.12, linewidth=0)
        axes.step(epochs, median, where="post", color=color, linewidth=1.6, label=f"{method}{reached}")
        if share is not None:
            axes.plot(share * last, median[epochs == round(share * last)], "o", color=color, markersize=6)
    if wanted is not None:
        axes.axhline(wanted, color=DARK, linestyle=":", linewidth=1)
    _look_at_what_counts(axes, rows)
    seeds = len(rows[0]["losses"])
    axes.set(
        title=f"Best loss so far: median and quartiles over {seeds} seeds",
        xlabel="epochs spent",
        ylabel="mean cross-entropy of the judging digits [nats]",
    )
    axes.grid(linewidth=0.3, color=GREY)
    axes.set_axisbelow(True)
    axes.legend(
        frameon=False, fontsize=8, loc="upper right", title="dotted: random search's final median", title_fontsize=8
    )
    return png_of(figure)


def _look_at_what_counts(axes: "Axes", rows: Sequence[Mapping]) -> None:
    """Cut off the high losses before a method has tried much, which leave no room for the differences."""
    low, median = columns_of(rows, "low", "median")
    first = [row["high"] for row in rows if row["method"] == REFERENCE and row["high"] is not None]
    known = median[np.isfinite(median)]
    if first and len(known):
        top = first[min(1, len(first) - 1)]
        bottom = np.nanmin(low)
        axes.set_ylim(bottom - 0.04 * (top - bottom), top)


def _plain_ticks(axes: "Axes") -> None:
    """Numbers as people write them, on a logarithmic axis of little more than a decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    axes.tick_params(labelsize=8)
