"""Figures of searches: their trials, the challenges to a champion, and the champion. Each is a PNG as bytes.

Here belongs drawing alone, with the palette of `taproom.drawing`; how much a parameter matters is computed in
`taproom.search.importances`. A search is drawn as in Optuna's dashboard: best value over time, importances, learning
curves, parallel coordinates.

Source: Inselberg, The plane with parallel coordinates, 1985.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from taproom.drawing import DARK, GREY, PALETTE, columns_of, new_figure, plain_text, png_of
from taproom.search.space import Dimension, Parameters, Space, holds
from taproom.search.trials import Trial, best

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BEST = PALETTE[1]
# An axis reaches so far beyond the third quartile (of values from good to bad), in distances from the best to it.
REACH = 1.5
MOST_BARS = 12
MOST_CHALLENGES = 40
SHOWN_VALUES = 6
SHOWN_LETTERS, LETTERS_IN_A_LINE = 90, 140
NEITHER = "by itself"
VERDICT_COLORS = {"crowned": PALETTE[2], "refused": GREY}


def trials(
    trials: Sequence[Trial],
    space: Space,
    shares: Mapping[str, float],
    *,
    title: str,
    unit: str,
    higher_is_better: bool,
) -> bytes:
    """A search in four panels: best value over time, importances, learning curves, and parallel coordinates.

    `shares` are the parameters' `importances`, `unit` is that of the budget. Values far worse than most are drawn at
    the border, as triangles.
    """
    height = 0.26 * min(len(space), MOST_BARS)
    figure, axes = new_figure(14, 7.2 + height / 2)
    axes.remove()
    grid = figure.add_gridspec(2, 3, width_ratios=(4, 3, 4))
    time, importance, curves = (figure.add_subplot(grid[0, column]) for column in range(3))
    coordinates = figure.add_subplot(grid[1, :])
    for axes in (time, importance, curves, coordinates):
        axes.spines[["top", "right"]].set_visible(False)
    values = [value for trial in trials for value in trial.values]
    limits, ends = (_limits(values, higher_is_better, margin) for margin in (0.06, 0.0))
    found = best(trials, higher_is_better)
    _draw_time(time, trials, limits, higher_is_better)
    _draw_importances(importance, shares)
    _draw_curves(curves, trials, found, limits, unit)
    _draw_coordinates(coordinates, trials, found, space, ends if higher_is_better else ends[::-1])
    figure.suptitle(plain_text(title), fontsize=12)
    return png_of(figure, cropped=False)  # 256 colours are too few for that many lines: others change


def challenges(rows: Sequence[Mapping], *, title: str, higher_is_better: bool) -> bytes:
    """By how much each challenger differs from its champion on fresh data, with its interval; the newest 40.

    `rows` are those of the table `challenges`, in their order. A challenge that nothing was judged in has no mark.
    """
    shown = rows[-MOST_CHALLENGES:]
    figure, axes = new_figure(11, 1.4 + 0.26 * max(len(shown), 1))
    differences, lows, highs = columns_of(shown, "difference", "difference_low", "difference_high")
    for place, row in enumerate(shown):
        color, crowned = VERDICT_COLORS.get(row["verdict"], DARK), row["verdict"] == "crowned"
        if np.isfinite(differences[place]):
            axes.hlines(place, lows[place], highs[place], color=color, linewidth=3 if crowned else 1.5)
            axes.plot(differences[place], place, "o", markersize=8 if crowned else 5, color=color)
        axes.text(
            1.02, place, plain_text(_shortened(row["why"])), transform=axes.get_yaxis_transform(), va="center",
            fontsize=8, color=DARK, weight="bold" if crowned else "normal",
        )  # fmt: skip
    axes.axvline(0, color=DARK, linewidth=1, linestyle=":")
    axes.set_yticks(range(len(shown)), [f"{row['number']}: {row['verdict']}" for row in shown], fontsize=8)
    axes.set_ylim(max(len(shown), 1) - 0.4, -0.6)
    better = "right" if higher_is_better else "left"
    axes.set_xlabel(
        f"difference to the champion on fresh data (better: to the {better} of the dotted line)", fontsize=8
    )
    axes.tick_params(axis="x", labelsize=8)
    if not np.isfinite(differences).any():
        axes.set(xlim=(-1, 1), xticks=[0])
    earlier = f" (the newest {len(shown)} of {len(rows)})" if len(shown) < len(rows) else ""
    axes.set_title(plain_text(title) + earlier, fontsize=11, loc="left")
    return png_of(figure)


def champion(first: Parameters, own: Parameters, space: Space, *, title: str) -> bytes:
    """Where in its range each of the champion's values lies, and where the value that was first set by hand.

    A value outside of the range, or left to the product itself, is written and not drawn.
    """
    figure, axes = new_figure(8, 1.4 + 0.42 * len(space))
    for line, (name, dimension) in enumerate(space.items()):
        axes.hlines(line, 0, 1, color=GREY, linewidth=1)
        low, high = (_shortened(_told(dimension.at(place)), 14) for place in (0.0, 1.0))
        axes.text(-0.01, line, plain_text(low), ha="right", va="center", fontsize=8, color=DARK)
        axes.text(1.01, line, plain_text(high), ha="left", va="center", fontsize=8, color=DARK)
        before, now = (_place(dimension, setting.get(name)) for setting in (first, own))
        if before is not None and now is not None:
            axes.plot([before, now], [line, line], color=PALETTE[0], linewidth=2)
        if now is not None:
            axes.plot(now, line, "o", color=PALETTE[0], markersize=7)
        if before is not None:
            axes.plot(before, line, "D", color=PALETTE[1], markersize=7, markerfacecolor="none", markeredgewidth=1.5)
        moved = "" if first.get(name) == own.get(name) else f" (first {_told(first.get(name))})"
        axes.text(1.26, line, plain_text(_shortened(f"{_told(own.get(name))}{moved}", 50)), va="center", fontsize=9)
    axes.plot([], [], "o", color=PALETTE[0], label="the champion's")
    axes.plot([], [], "D", color=PALETTE[1], markerfacecolor="none", markeredgewidth=1.5, label="first, set by hand")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), frameon=False, fontsize=8, ncols=2)
    axes.set(xlim=(-0.15, 1.15), xticks=[])
    axes.set_ylim(len(space) - 0.4, -0.6)
    axes.set_yticks(range(len(space)), [plain_text(name + _scale(space, name)) for name in space], fontsize=9)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(plain_text(title), fontsize=11, loc="left")
    return png_of(figure)


def _draw_time(axes: "Axes", trials: Sequence[Trial], limits: tuple[float, float], higher_is_better: bool) -> None:
    """Each trial's value, and the best of those with the full budget so far."""
    axes.set_title("Best value over time", fontsize=10)
    axes.set(xlabel="trial", ylabel="value", ylim=limits)
    axes.set_xlim(-0.6, max(len(trials) - 0.4, 1))
    axes.locator_params(axis="x", integer=True)
    scored = [trial for trial in trials if trial.values and trial.state != "failed"]
    if not scored:
        _say(axes, "no trial has a value")
    most = max((trial.budgets[-1] for trial in scored), default=0)
    full = [trial for trial in scored if trial.budgets[-1] == most]
    partial = [trial for trial in scored if trial.budgets[-1] < most]
    for group, color, label in ((partial, GREY, "trial with less than the full budget"), (full, PALETTE[0], "trial")):
        _scatter(axes, group, limits, color, label)
    if full:
        better = np.maximum if higher_is_better else np.minimum
        running = better.accumulate([trial.values[-1] for trial in full])
        axes.step(
            [*(trial.number for trial in full), len(trials) - 0.5], [*running, running[-1]], where="post", color=BEST,
            label="best so far",
        )  # fmt: skip
    for trial in scored[:1]:
        if trial.number == 0:
            axes.plot(
                0, np.clip(trial.values[-1], *limits), "D", markersize=9, color="black", markerfacecolor="none",
                clip_on=False, label="first, set by hand",
            )  # fmt: skip
    failed = [trial.number for trial in trials if trial.state == "failed"]
    if failed:
        axes.plot(
            failed, np.full(len(failed), 0.02), "x", transform=axes.get_xaxis_transform(), color=PALETTE[3],
            markersize=6, markeredgewidth=1.5, label="failed", clip_on=False,
        )  # fmt: skip
    if trials:
        axes.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False, fontsize=7.5, ncols=3, handlelength=1.2
        )


def _scatter(axes: "Axes", group: Sequence[Trial], limits: tuple[float, float], color: str, label: str) -> None:
    """A dot a trial, a triangle at the border for values beyond it."""
    if not group:
        return
    numbers, values = (np.array([getattr(trial, what) for trial in group], float) for what in ("number", "value"))
    within = (values >= limits[0]) & (values <= limits[1])
    size = 22 if len(group) < 100 else 10
    axes.scatter(numbers[within], values[within], s=size, color=color, linewidths=0, label=label, zorder=2)
    for beyond, border, marker in ((values > limits[1], limits[1], "^"), (values < limits[0], limits[0], "v")):
        axes.scatter(
            numbers[beyond], np.full(beyond.sum(), border), s=size, color=color, marker=marker, linewidths=0,
            clip_on=False,
        )  # fmt: skip


def _draw_importances(axes: "Axes", shares: Mapping[str, float]) -> None:
    axes.set_title("Importance of the parameters", fontsize=10)
    if not shares:
        axes.set_axis_off()
        _say(axes, "too few trials of one budget,\nor all of one value")
        return
    names = list(shares)[:MOST_BARS]
    drawn = axes.barh(range(len(names)), [shares[name] for name in names], color=PALETTE[0], height=0.7)
    axes.bar_label(drawn, labels=[f"{shares[name]:.0%}" for name in names], padding=3, fontsize=8)
    axes.set_yticks(range(len(names)), [plain_text(_shortened(name, 24)) for name in names], fontsize=8)
    axes.set_ylim(max(len(names), 3) - 0.4, -0.6)
    axes.set_xlabel("share of the values' variance")
    axes.margins(x=0.15)


def _draw_curves(
    axes: "Axes", trials: Sequence[Trial], found: Trial | None, limits: tuple[float, float], unit: str
) -> None:
    """Values against budget, rung by rung."""
    axes.set_title("Learning curves", fontsize=10)
    budgets = sorted({budget for trial in trials for budget in trial.budgets})
    if len(budgets) < 2:
        axes.set_axis_off()
        _say(
            axes,
            f"no rungs: each trial has\nthe full budget ({plain_text(unit)})" if budgets else "no trial has a value",
        )
        return
    ends: dict[str, list[tuple[int, float]]] = {}
    for trial in trials:
        if trial is not found and trial.values:
            complete = trial.state == "complete"
            axes.plot(
                trial.budgets, trial.values, color=PALETTE[0] if complete else GREY, linewidth=1, alpha=0.7, zorder=1
            )
            ends.setdefault(trial.state, []).append((trial.budgets[-1], trial.values[-1]))
    marks = {
        "stopped": (".", GREY, "stopped"),
        "promoted": (">", DARK, "goes on"),
        "failed": ("x", PALETTE[3], "failed after"),
        "complete": ("o", PALETTE[0], "full budget"),
    }
    for state, points in ends.items():
        marker, color, label = marks[state]
        axes.plot(*zip(*points, strict=True), marker, color=color, markersize=4, label=label)
    if found is not None:
        axes.plot(found.budgets, found.values, "o-", color=BEST, linewidth=2, markersize=5, label="best", zorder=3)
    axes.set(xlabel=f"budget ({plain_text(unit)})", ylabel="value", xscale="log", ylim=limits)
    axes.set_xticks(_apart(budgets), [f"{budget:,}" for budget in _apart(budgets)], fontsize=8)
    axes.minorticks_off()
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False, fontsize=7.5, ncols=4, handlelength=1.2)


def _draw_coordinates(
    axes: "Axes",
    trials: Sequence[Trial],
    found: Trial | None,
    space: Space,
    ends: tuple[float, float],
) -> None:
    """Each trial of the space as a line through its places and its value, the better the darker.

    `ends` are the worst and the best value that the axis of values reaches to.
    """
    from matplotlib import colormaps
    from matplotlib.collections import LineCollection

    shown = [trial for trial in trials if trial.values and trial.state != "failed" and holds(space, trial.parameters)]
    axes.set_title("Settings, from parameter to parameter, and what they are worth", fontsize=10)
    if not shown:
        axes.set_axis_off()
        _say(axes, "no setting of the space has a value")
        return
    _draw_axes(axes, space, ends)
    worth = np.clip([(trial.values[-1] - ends[0]) / (ends[1] - ends[0]) for trial in shown], 0, 1)
    lines = np.array([
        [*(dimension.place(trial.parameters[name]) for name, dimension in space.items()), value]
        for trial, value in zip(shown, worth, strict=True)
    ])  # fmt: skip
    points = np.stack([np.broadcast_to(np.arange(len(space) + 1.0), lines.shape), lines], axis=2)
    most = max(trial.budgets[-1] for trial in shown)
    full = np.array([trial.budgets[-1] == most for trial in shown])
    order = np.argsort(worth, kind="stable")  # the best are drawn last, above the others
    strength = 0.8 if len(shown) < 60 else 0.5
    axes.add_collection(LineCollection(points[~full], colors=GREY, linewidths=0.7, alpha=0.6, zorder=1))
    kept = order[full[order]]
    colors = colormaps["viridis"](np.linspace(0.9, 0, len(kept)))
    axes.add_collection(LineCollection(points[kept], colors=colors, linewidths=1.2, alpha=strength, zorder=2))
    if found in shown:
        axes.plot(*points[shown.index(found)].T, "o-", color=BEST, linewidth=2.5, markersize=4, zorder=4, label="best")
    if not full.all():
        axes.plot([], [], color=GREY, label="less than the full budget")
    if len(kept) > 2:
        axes.plot([], [], color=colors[-2], label="good")
        axes.plot([], [], color=colors[0], label="bad")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False, fontsize=8, ncols=4)


def _draw_axes(axes: "Axes", space: Space, ends: tuple[float, float]) -> None:
    """The axes of the parallel coordinates, and what lies where on them."""
    import matplotlib.patheffects as effects

    names = [f"{_shortened(name, 24)}{_scale(space, name)}" for name in space]
    crowded = max(map(len, names)) * len(names) > LETTERS_IN_A_LINE
    slanted: dict[str, Any] = {"rotation": 15, "ha": "right", "rotation_mode": "anchor"} if crowded else {}
    axes.set_xticks(range(len(names) + 1), [*map(plain_text, names), "value"], fontsize=8, **slanted)
    axes.set(xlim=(-0.45, len(names) + 0.45), ylim=(-0.06, 1.06), yticks=[])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.vlines(range(len(names) + 1), 0, 1, color=DARK, linewidth=0.8, zorder=3)
    halo = [effects.withStroke(linewidth=2.5, foreground="white")]
    labels = [_places(dimension) for dimension in space.values()]
    labels.append({place: f"{ends[0] + place * (ends[1] - ends[0]):.3g}" for place in (0.0, 0.5, 1.0)})
    for line, of_line in enumerate(labels):
        for place, text in of_line.items():
            axes.text(
                line + 0.03, place, plain_text(_shortened(text, 16)), va="center", fontsize=7.5, color="black",
                path_effects=halo, zorder=5,
            )  # fmt: skip


def _place(dimension: Dimension, value: Any) -> float | None:
    """Where a value lies in its range; None where it does not."""
    return dimension.place(value) if dimension.holds(value) else None


def _places(dimension: Dimension) -> dict[float, str]:
    """Some places of a dimension, and what is there."""
    values = getattr(dimension, "values", ())
    if 0 < len(values) <= SHOWN_VALUES:
        return {dimension.place(value): _told(value) for value in values}
    marked = dict.fromkeys(dimension.at(place) for place in (0.0, 0.5, 1.0))
    return {dimension.place(value): _told(value) for value in marked}


def _limits(values: Sequence[float], higher_is_better: bool, margin: float) -> tuple[float, float]:
    """The limits of an axis of values: all values except those far worse than most, and a margin, as a share."""
    if not values:
        return 0.0, 1.0
    sign = -1 if higher_is_better else 1
    signed = sign * np.array(values, float)
    low, usual, high = signed.min(), np.quantile(signed, 0.75), signed.max()
    if usual > low:
        high = min(high, usual + REACH * (usual - low))
    beyond = margin * (high - low) if high > low else 0.06 * abs(low) or 1.0
    ends = sign * (low - beyond), sign * (high + beyond)
    return float(min(ends)), float(max(ends))


def _apart(budgets: Sequence[int]) -> list[int]:
    """Budgets whose labels do not overlap on a logarithmic axis, the largest among them."""
    least = (budgets[-1] / budgets[0]) ** (1 / 7)
    kept = [budgets[-1]]
    for budget in budgets[-2::-1]:
        if kept[-1] / budget > least:
            kept.append(budget)
    return kept[::-1]


def _scale(space: Space, name: str) -> str:
    return " (log)" if getattr(space[name], "log", False) else ""


def _told(value: Any) -> str:
    if value is None:
        return NEITHER
    return f"{value:.3g}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)


def _shortened(text: str, most: int = SHOWN_LETTERS) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"


def _say(axes: "Axes", what: str) -> None:
    axes.text(0.5, 0.5, what, transform=axes.transAxes, ha="center", va="center", fontsize=9, color=DARK)
