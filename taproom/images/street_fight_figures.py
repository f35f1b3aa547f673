"""The figure of the table `street_fight`: every setting of every experiment with its interval.

Here belongs drawing, with the palette of `taproom.drawing`; the rows come from `taproom.images.street_fight`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from taproom.drawing import DARK, GREY, PALETTE, columns_of, compact_png_of, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 2
WIDTH, LINE, HEAD = 6.6, 0.21, 0.85
# How far apart the dots of one line are, in lines.
APART = 0.28
NOTE = (
    "Lines are 95 % intervals over draws. On the right: points more than the diamond on the same draws, bold where the "
    "95 % interval is on one side of 0."
)


def street_fight(rows: Sequence[Mapping]) -> bytes:
    """A panel an experiment, a line a setting: its mean, Student's interval, and by how much it differs from the base.

    Rows are those of `taproom.images.street_fight.compare`. Where settings are tried under several conditions, a line
    is a condition, and a colour a setting; where they are measured in several ways, a colour is a measure. A diamond is
    what others are compared with, seed by seed: the numbers on the right. They are bold where their interval is on one
    side of 0.
    """
    panels = [
        [row for row in rows if row["experiment"] == experiment]
        for experiment in dict.fromkeys(row["experiment"] for row in rows)
    ]
    lefts, rights = panels[::COLUMNS], panels[1::COLUMNS]
    heights = [max(map(_height, (left, right))) for left, right in zip(lefts, [*rights, []], strict=False)]
    figure, axes = new_figure(WIDTH * COLUMNS, max(sum(heights), 1.5))
    axes.remove()
    grid = figure.add_gridspec(max(len(heights), 1), COLUMNS, height_ratios=heights or [1])
    for place, of_panel in enumerate(panels):
        axes = figure.add_subplot(grid[divmod(place, COLUMNS)])
        axes.spines[["top", "right"]].set_visible(False)
        _draw(axes, of_panel)
    figure.supxlabel(NOTE, fontsize=8, color=DARK)
    return compact_png_of(figure, cropped=False)


def _draw(axes: "Axes", rows: Sequence[Mapping]) -> None:
    lines, colors = _line_and_color(rows)
    names, series = list(dict.fromkeys(lines)), list(dict.fromkeys(colors))
    values, lows, highs, differences = columns_of(rows, "value", "low", "high", "difference")
    shift = APART * (np.array([series.index(color) for color in colors]) - (len(series) - 1) / 2)
    places = np.array([names.index(line) for line in lines]) + shift
    for place, row, value, low, high, difference, color in zip(
        places, rows, values, lows, highs, differences, colors, strict=True
    ):
        shade = PALETTE[series.index(color)]
        axes.hlines(place, *np.nan_to_num([low, high], nan=value), color=shade, linewidth=1.2)
        base = np.isnan(difference)
        axes.plot(
            value, place, "D" if base else "o", markersize=5, color=shade, markerfacecolor="white" if base else shade
        )
        if not base:
            text = f"{100 * difference:+.1f}{_half(row)}".replace("-", "\N{MINUS SIGN}")
            weight = "bold" if _clear(row) else "normal"
            across = axes.get_yaxis_transform()
            axes.text(1.01, place, text, transform=across, va="center", fontsize=7, color=shade, weight=weight)
    if len(series) > 1:
        for name, shade in zip(series, PALETTE, strict=False):
            axes.plot([], [], linewidth=3, color=shade, label=name)
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1.16, 0.98),
            frameon=False,
            fontsize=7.5,
            ncols=len(series),
            handlelength=1,
        )
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", linewidth=0.3, color=GREY)
    axes.set_axisbelow(True)
    axes.set_title(rows[0]["experiment"], fontsize=10, loc="left")
    measures = {row["measure"] for row in rows}
    axes.set_xlabel(measures.pop() if len(measures) == 1 else "share that is called right", fontsize=8)
    axes.tick_params(axis="x", labelsize=7)
    axes.set_xlim(left=max(0, axes.get_xlim()[0]))


def _line_and_color(rows: Sequence[Mapping]) -> tuple[list[str], list[str]]:
    """Of each row, the name of its line and of its colour."""
    if len({row["condition"] for row in rows}) > 1:
        return [row["condition"] for row in rows], [row["setting"] for row in rows]
    return [row["setting"] for row in rows], [row["measure"] for row in rows]


def _height(rows: Sequence[Mapping]) -> float:
    """Inches of a panel."""
    lines, colors = _line_and_color(rows)
    return HEAD + LINE * len(set(lines)) * max(1, len(set(colors)) * 0.75)


def _clear(row: Mapping) -> bool:
    low, high = row["difference_low"], row["difference_high"]
    return low is not None and (low > 0 or high < 0)


def _half(row: Mapping) -> str:
    """Half the width of the interval of a difference, in points."""
    if row["difference_low"] is None:
        return ""
    return f" ± {50 * (row['difference_high'] - row['difference_low']):.1f}"
