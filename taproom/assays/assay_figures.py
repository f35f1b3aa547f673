"""The pictures that the tables of the assay chain are shown with, each a PNG as bytes.

What belongs here is drawing, as in `taproom.drawing`, whose palette these share; what is drawn is computed elsewhere.
Values of two channels are (events, 2) float64; events with a NaN are not drawn, and of many events a sample is, evenly
spread over the rows.

Source: slides "Gaussian Mixture Example" of the lecture deck (Jamieson, CSE546 2017), which show a fit at its start and
after some iterations.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from typing import TYPE_CHECKING

import numpy as np

from taproom.assays.densities import SHARES, Grid
from taproom.assays.mixtures import Mixture
from taproom.assays.plate_scales import PlateScale
from taproom.drawing import (
    DARK,
    GREY,
    LEGEND_LINES,
    PALETTE,
    add_legend,
    columns_of,
    compact_png_of,
    new_figure,
    new_panels,
    plain_text,
    shades_of,
)  # fmt: skip
from taproom.sources.events import EventMatrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = 160
DOTS = 6_000
PANEL_DOTS = 800
# Of the number of an ellipse, on its line.
PLACES = 36
# Nats below the best bandwidth: the axis ends there, so that the best ones can be distinguished.
FAR_BELOW = 0.5
# Channels of plates: those that are farthest off.
MOST_CHANNELS = 6
# Of the events in either channel, those that the axes make room for.
SHOWN = 0.999


def sample_events(values: np.ndarray, names: Sequence[str], title: str) -> bytes:
    """How many events of a sample lie where on two channels; the more, the darker, on a logarithmic scale."""
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    # A plate has a hundred of these: margins that fit are set here, since finding them takes longer than drawing.
    figure, axes = new_figure(5.4, 4.4, layout=None)
    figure.subplots_adjust(left=0.15, right=0.97, bottom=0.12, top=0.92)
    values = _complete(values)
    limits = _limits(values)
    x, y = values.T
    counts, *_ = np.histogram2d(x, y, bins=BINS, range=limits)
    shades = LinearSegmentedColormap.from_list("counts", ["#a9cfe6", PALETTE[0], "black"])
    scale = LogNorm(1, max(counts.max(), 10))
    drawn = axes.imshow(
        np.ma.masked_equal(counts, 0).T,
        cmap=shades,
        norm=scale,
        extent=(*limits[0], *limits[1]),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
    )
    figure.colorbar(drawn, label="events")
    _name_channels(axes, names, limits)
    axes.set_title(plain_text(title))
    return compact_png_of(figure, cropped=False)


def em_iterations(values: np.ndarray, mixtures: Mapping[int, Mixture], names: Sequence[str]) -> bytes:
    """A fit after some iterations (0: the start), a panel each: events by likeliest component, ellipses at 1 and 2 sd.

    The mixtures are in the two channels of the values, and have the same components in the same order, by which the
    ellipses are numbered.
    """
    figure, panels = new_panels(len(mixtures), 4, size=2.4)
    values = _sample(values, PANEL_DOTS)
    limits = _limits(values)
    for axes, (iteration, mixture) in zip(panels, mixtures.items(), strict=True):
        colors = _colors(mixture.components)
        _draw_events(axes, values, mixture.log_joint(values).argmax(axis=1), colors)
        _draw_ellipses(axes, mixture, colors)
        _number_ellipses(axes, mixture, range(mixture.components), limits, size=6)
        _name_channels(axes, names, limits)
        axes.set_title(_after(iteration), fontsize=10)
    _label_outer(panels, 4)
    return compact_png_of(figure)


def two_components(values: np.ndarray, mixtures: Mapping[int, Mixture], name: str) -> bytes:
    """A fit in one channel after some iterations, a panel each: the values (events,), each component and their sum."""
    figure, panels = new_panels(len(mixtures), 4, size=2.4)
    values = values[~np.isnan(values)]
    low, high = _limits(values[:, None])[0]
    x = np.linspace(low, high, 300)
    bars, edges = np.histogram(values, bins=80, range=(low, high), density=len(values) > 0)
    for axes, (iteration, mixture) in zip(panels, mixtures.items(), strict=True):
        weighted = np.exp(mixture.log_joint(x[:, None]))
        highest = weighted.max()
        if len(values):
            axes.stairs(bars, edges, fill=True, color=GREY)
            highest = bars.max()
        for component, color in zip(weighted.T, _colors(mixture.components), strict=True):
            axes.plot(x, component, color=color)
        axes.plot(x, weighted.sum(axis=1), color="black", linewidth=0.8, linestyle="--")
        axes.set(xlim=(low, high), ylim=(0, 1.15 * highest), xlabel=plain_text(name), yticks=[])
        axes.set_title(_after(iteration), fontsize=10)
    _label_outer(panels, 4)
    return compact_png_of(figure)


def restarts(rows: Sequence[Mapping]) -> bytes:
    """Fits by number of components: how far they fall behind the best one of as many, BIC, and held-out log density.

    Rows have components, log_density, bic, held_out_log_density (None without held-out events) and chosen. Lines join
    the best fit of each number; the chosen fit is ringed.
    """
    figure, panels = new_panels(3, 3, size=3.3)
    best: dict[int, float] = {}
    for row in rows:
        best[row["components"]] = max(best.get(row["components"], -np.inf), row["log_density"])
    rows = [{**row, "behind": row["log_density"] - best[row["components"]]} for row in rows]
    measures = {
        "behind": ("Fits against the best one", "log density per event, nats", max),
        "bic": ("BIC: the smaller the better", "BIC", min),
        "held_out_log_density": ("Held-out events", "log density per event, nats", max),
    }
    for axes, (measure, (title, unit, better)) in zip(panels, measures.items(), strict=True):
        known = [row for row in rows if row[measure] is not None]
        sizes = sorted({row["components"] for row in known})
        line = [better(row[measure] for row in known if row["components"] == size) for size in sizes]
        axes.plot(sizes, line, color=PALETTE[0], label="best fit")
        x, y = columns_of(known, "components", measure)
        axes.scatter(x, y, s=12, color=PALETTE[0], alpha=0.5, label="each fit")
        x, y = columns_of([row for row in known if row["chosen"]], "components", measure)
        axes.scatter(x, y, s=70, label="chosen", facecolors="none", edgecolors=PALETTE[1], linewidths=1.5, zorder=3)
        axes.set(xlabel="components", ylabel=unit)
        axes.set_title(title, fontsize=10)
        axes.locator_params(axis="x", integer=True)
    panels[-1].legend(frameon=False, fontsize=8, loc="lower right")
    return compact_png_of(figure)


def populations(values: np.ndarray, mixture: Mixture, population: np.ndarray, names: Sequence[str]) -> bytes:
    """Events coloured by the population that is likeliest on two channels; its components' ellipses at 1 and 2 sd.

    `mixture` is in these channels; `population` (components,) numbers the population of each component from 0, and the
    ellipses have its number.
    """
    figure, axes = new_figure(6.4, 4.6)
    values = _sample(values, DOTS)
    count = int(population.max()) + 1
    members = population == np.arange(count)[:, None]
    colors = _colors(count)
    _draw_events(axes, values, (mixture.responsibilities(values) @ members.T).argmax(axis=1), colors)
    _draw_ellipses(axes, mixture, [colors[number] for number in population])
    _number_ellipses(axes, mixture, population, _limits(values), size=7)
    _name_channels(axes, names, _limits(values))
    shares = members @ mixture.weights
    axes.set_title(f"{mixture.components} components, {count} populations")
    add_legend(axes, [f"population {number}: {share:.1%}" for number, share in enumerate(shares)], colors)
    return compact_png_of(figure)


def density(
    grid: Grid,
    density: np.ndarray,
    levels: np.ndarray,
    values: np.ndarray,
    names: Sequence[str],
    title: str,
    shares: Sequence[float] = SHARES,
) -> bytes:
    """A density (len(grid.x), len(grid.y)) as filled contours over events; `levels` enclose these `shares` of it."""
    figure, axes = new_figure(6.4, 4.6)
    rising, first = np.unique(levels, return_index=True)
    shades = shades_of(len(rising))
    if rising[0] < density.max():
        axes.contourf(grid.x, grid.y, density.T, levels=[*rising, np.inf], colors=shades)
        axes.contour(grid.x, grid.y, density.T, levels=rising, colors=[PALETTE[0]], linewidths=0.7)
    x, y = _sample(values, DOTS).T
    axes.scatter(x, y, s=2, color="black", alpha=0.25, linewidths=0)
    _name_channels(axes, names, [(grid.x[0], grid.x[-1]), (grid.y[0], grid.y[-1])])
    axes.set_title(plain_text(title))
    add_legend(axes, [f"{shares[place]:.0%} within" for place in first], shades)
    return compact_png_of(figure)


def bandwidths(candidates: np.ndarray, scores: np.ndarray, chosen: float) -> bytes:
    """How likely held-out events are under each candidate (NaN: not judged), and the chosen one."""
    figure, axes = new_figure(6, 3.6)
    axes.plot(candidates, scores, color=PALETTE[0], marker=".")
    axes.axvline(chosen, color=PALETTE[1], linestyle=":", label=f"chosen: {chosen:.3g}")
    axes.set(xscale="log", xlabel="bandwidth, standard deviations", ylabel="log density per event, nats")
    axes.set_xticks(candidates, [f"{candidate:.2g}" for candidate in candidates], fontsize=8)
    axes.set_xticks([], minor=True)
    best, worst = np.nanmax(scores), np.nanmin(scores)
    axes.set_ylim(max(worst, best - FAR_BELOW) - 0.01, best + 0.02)
    axes.set_title("Held-out events")
    axes.legend(frameon=False, fontsize=8, loc="lower left")
    return compact_png_of(figure)


def class_mixtures(mixtures: Mapping[str, Mixture], values: Mapping[str, np.ndarray], names: Sequence[str]) -> bytes:
    """Each class's events and its mixture's ellipses at 1 and 2 sd, a panel a class; mixtures are in two channels."""
    columns = min(len(mixtures), 3)
    figure, panels = new_panels(len(mixtures), columns, size=3.2)
    limits = _limits(np.vstack([_complete(values[name]) for name in mixtures]))
    for axes, color, (name, mixture) in zip(panels, cycle(PALETTE), mixtures.items(), strict=False):
        x, y = _sample(values[name], DOTS // 2).T
        axes.scatter(x, y, s=2, color=GREY, linewidths=0)
        _draw_ellipses(axes, mixture, [color] * mixture.components)
        _name_channels(axes, names, limits)
        count = f"{mixture.components} component{'s' * (mixture.components > 1)}"
        axes.set_title(plain_text(f"{name}: {count}"), fontsize=10)
    _label_outer(panels, columns)
    return compact_png_of(figure)


def plate_scales(matrix: EventMatrix, scales: Sequence[PlateScale]) -> bytes:
    """Events of the plate with the largest gain, as they are and on the reference plate's scale, beside that plate's.

    A panel a channel, of those that are farthest off; one of `scales` is the reference, another has a gain.
    """
    shown = max((each for each in scales if each.gain is not None), key=lambda each: each.gain or 0.0)
    reference = next(each.plate for each in scales if each.reference)
    plates = matrix.rows["plate"].to_numpy(zero_copy_only=False)
    farthest = np.sort(np.argsort(-shown.off, kind="stable")[:MOST_CHANNELS])
    figure, panels = new_panels(len(farthest), min(len(farthest), 3), size=2.8, height=2.3)
    for axes, place in zip(panels, farthest, strict=True):
        values, own = (matrix.values[plates == plate, place] for plate in (reference, shown.plate))
        lines = (
            (f"{reference} (reference)", values, {"color": GREY, "linewidth": 2.5}),
            (f"{shown.plate} as it is", own, {"color": PALETTE[1], "linestyle": ":"}),
            (f"{shown.plate} on its scale", shown.shift[place] + shown.scale[place] * own, {"color": PALETTE[0]}),
        )
        together = np.concatenate([each for _, each, _ in lines])
        together = together[~np.isnan(together)]
        tails = (1 - SHOWN) / 2
        limits = np.quantile(together, [tails, 1 - tails]) if len(together) else (0.0, 1.0)
        for name, each, style in lines:
            axes.hist(
                each[~np.isnan(each)], 60, range=tuple(limits), density=True, histtype="step", label=plain_text(name),
                **style,
            )  # fmt: skip
        axes.set_yticks([])
        axes.set_xlabel(plain_text(matrix.channels[place]), fontsize=8)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    figure.suptitle(
        f"gain {shown.gain:.2f} nats per event, {'applied' if shown.applied else 'not applied'}", fontsize=10
    )
    return compact_png_of(figure)


def well_shares(rows: Sequence[Mapping]) -> bytes:
    """Each class's share of each well: by EM with its interval, by counting calls, and the known one of labelled wells.

    Rows have plate, well, class, share, low, high, argmax_share and known_share, the numbers None or left out where
    there are none.
    """
    wells = list(dict.fromkeys((row["plate"], row["well"]) for row in rows))
    classes = list(dict.fromkeys(row["class"] for row in rows))
    figure, panels = new_panels(max(len(classes), 1), max(len(classes), 1), size=2.6, height=1.3 + 0.26 * len(wells))
    for axes, color, name in zip(panels, cycle(PALETTE), classes, strict=False):
        of_class = [row for row in rows if row["class"] == name]
        places = np.array([wells.index((row["plate"], row["well"])) for row in of_class])
        share, low, high, counted, known = columns_of(of_class, "share", "low", "high", "argmax_share", "known_share")
        axes.scatter(known, places, marker="|", s=220, color="black", linewidths=1, label="known")
        # An interval of another estimate need not hold the share.
        whiskers = [np.maximum(share - low, 0), np.maximum(high - share, 0)]
        axes.errorbar(share, places, xerr=whiskers, fmt="o", markersize=4, color=color, label="EM, interval")
        axes.scatter(counted, places, marker="x", s=22, color=DARK, linewidths=1, label="counted", zorder=3)
        axes.set(xlim=(-0.03, 1.03), ylim=(len(wells) - 0.5, -0.5), xlabel="share of events")
        axes.set_yticks(range(len(wells)), [plain_text(" ".join(well)) for well in wells])
        axes.grid(axis="y", linewidth=0.3, color=GREY)
        axes.set_title(plain_text(name), fontsize=10)
    for axes in panels[1:]:
        axes.set_yticklabels([])
    if classes:
        figure.legend(
            *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=8
        )
    return compact_png_of(figure)


def share_errors(rows: Sequence[Mapping]) -> bytes:
    """Shares of classes in blends of known shares, estimated by EM and by counting calls; the dotted line is right.

    Rows have class, true_share, share and argmax_share.
    """
    figure, panels = new_panels(2, 2, size=3.4)
    classes = list(dict.fromkeys(row["class"] for row in rows))
    for axes, column, title in zip(panels, ("share", "argmax_share"), ("by EM", "by counting calls"), strict=True):
        axes.plot([0, 1], [0, 1], color=GREY, linestyle=":")
        for name, color in zip(classes, cycle(PALETTE), strict=False):
            true, found = columns_of([row for row in rows if row["class"] == name], "true_share", column)
            axes.scatter(true, found, s=22, color=color, alpha=0.8, linewidths=0)
        axes.set(xlim=(-0.04, 1.04), ylim=(-0.04, 1.04), xlabel="true share", ylabel="estimated share")
        true, found = columns_of(rows, "true_share", column)
        error = f", mean error {np.abs(found - true).mean():.3f}" if len(rows) else ""
        axes.set_title(title + error, fontsize=10)
    _label_outer(panels, 2)
    add_legend(panels[1], classes, _colors(len(classes)))
    return compact_png_of(figure)


def calls(wells: Sequence[str], shares: Mapping[str, np.ndarray], title: str = "Calls") -> bytes:
    """How the events of each well were called, stacked: `shares` of each class and flag are (wells,) and sum to 1.

    "ambiguous" and "anomalous" are the names of the flags; all others are classes.
    """
    figure, axes = new_figure(7, 1.3 + max(0.28 * len(wells), 0.2 * min(len(shares), LEGEND_LINES)))
    flags = {"ambiguous": GREY, "anomalous": DARK}
    classes = [name for name in shares if name not in flags]
    colors = dict(zip(classes, _colors(len(classes)), strict=True)) | flags
    left = np.zeros(len(wells))
    for name, share in shares.items():
        axes.barh(range(len(wells)), share, left=left, color=colors[name], edgecolor="white", linewidth=0.5)
        left = left + np.asarray(share)
    axes.set_yticks(range(len(wells)), [plain_text(well) for well in wells])
    axes.set(title=title, xlabel="share of events", xlim=(0, 1))
    axes.invert_yaxis()
    add_legend(axes, list(shares), [colors[name] for name in shares])
    return compact_png_of(figure)


def well_accuracies(rows: Sequence[Mapping]) -> bytes:
    """How often each method is right on each well; rows have method, well and accuracy."""
    wells, methods = (list(dict.fromkeys(row[column] for row in rows)) for column in ("well", "method"))
    figure, axes = new_figure(7, 1.3 + max(0.28 * len(wells), 0.2 * len(methods)))
    for method, color, mark in zip(methods, cycle(PALETTE), cycle("os^Dv<>"), strict=False):
        of_method = [row for row in rows if row["method"] == method]
        places = [wells.index(row["well"]) for row in of_method]
        axes.plot(*columns_of(of_method, "accuracy"), places, mark, color=color, markersize=5, alpha=0.8)
    axes.set_yticks(range(len(wells)), [plain_text(well) for well in wells])
    axes.set(title="Each well, left out", xlabel="accuracy", xlim=(0, 1))
    axes.grid(axis="y", linewidth=0.3, color=GREY)
    axes.invert_yaxis()
    add_legend(axes, [method.replace("_", " ") for method in methods], _colors(len(methods)))
    return compact_png_of(figure)


def comparison(rows: Sequence[Mapping], bins: Sequence[Mapping]) -> bytes:
    """Each method's accuracy with its standard error over wells, and how often it is right when it is how sure.

    Rows have method, accuracy and accuracy_error (None: one well only); bins have method, confidence and observed.
    """
    figure, panels = new_panels(2, 2, size=4.2, height=3.8)
    accuracy, calibration = panels
    calibration.plot([0, 1], [0, 1], color=GREY, linestyle=":")
    for place, (row, color, mark) in enumerate(zip(rows, cycle(PALETTE), cycle("os^Dv<>"), strict=False)):
        error = row["accuracy_error"] or 0.0
        accuracy.errorbar(row["accuracy"], place, xerr=error, fmt=mark, markersize=5, color=color, capsize=3)
        curve = columns_of([each for each in bins if each["method"] == row["method"]], "confidence", "observed")
        calibration.plot(*curve, color=color, marker=mark, markersize=3.5, linewidth=1)
    accuracy.set_yticks(range(len(rows)), [plain_text(row["method"].replace("_", " ")) for row in rows])
    accuracy.set(xlabel="accuracy (whiskers: standard error over wells)")
    accuracy.set_title("Wells left out, one at a time", fontsize=10)
    accuracy.grid(axis="x", linewidth=0.3, color=GREY)
    accuracy.margins(y=0.1)
    accuracy.invert_yaxis()
    least = min((each["confidence"] for each in bins), default=0.0)
    calibration.set(xlabel="confidence of the call", ylabel="share of right calls", xlim=(least - 0.05, 1.02))
    calibration.set_title("Calibration (dotted: as sure as right)", fontsize=10)
    return compact_png_of(figure)


def _label_outer(panels: "list[Axes]", columns: int) -> None:
    """Keep numbers and labels only on the left and at the bottom: all panels have the same axes."""
    for place, axes in enumerate(panels):
        if place % columns:
            axes.set(ylabel="", yticklabels=[])
        if place + columns < len(panels):
            axes.set(xlabel="", xticklabels=[])


def _after(iteration: int) -> str:
    if iteration == 0:
        return "start"
    return f"after {iteration} iteration{'s' * (iteration > 1)}"


def _complete(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values).all(axis=1)]


def _sample(values: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the complete events, evenly spread over the rows."""
    kept = _complete(values)
    return kept[np.unique(np.linspace(0, len(kept) - 1, most).astype(np.int64))] if len(kept) > most else kept


def _limits(values: np.ndarray) -> list[tuple[float, float]]:
    """What the axes show of each channel: all but the farthest events, and some room around."""
    if not len(values):
        return [(0.0, 1.0)] * values.shape[1]
    low, high = np.quantile(values, [(1 - SHOWN) / 2, (1 + SHOWN) / 2], axis=0)
    room = np.where(high > low, 0.06 * (high - low), 1.0)
    return list(zip(low - room, high + room, strict=True))


def _draw_events(axes: "Axes", values: np.ndarray, group: np.ndarray, colors: Sequence[str]) -> None:
    x, y = values.T
    axes.scatter(x, y, s=3, c=np.array(colors)[group], alpha=0.3, linewidths=0)


def _draw_ellipses(axes: "Axes", mixture: Mixture, colors: Sequence[str]) -> None:
    """1 and 2 standard deviations of each component; the lighter a component, the thinner its lines."""
    from matplotlib.patches import Ellipse

    variances, directions = np.linalg.eigh(mixture.covariances)
    angles = np.degrees(np.arctan2(directions[:, 1, 1], directions[:, 0, 1]))
    widths = 0.5 + np.sqrt(mixture.weights / mixture.weights.max())
    for mean, variance, angle, width, color in zip(mixture.means, variances, angles, widths, colors, strict=True):
        minor, major = 2 * np.sqrt(np.maximum(variance, 0))
        for deviations, style in ((1, "-"), (2, (0, (4, 2)))):
            size = deviations * major, deviations * minor
            axes.add_patch(Ellipse(mean, *size, angle=angle, fill=False, color=color, linewidth=width, linestyle=style))


def _number_ellipses(
    axes: "Axes",
    mixture: Mixture,
    numbers: Sequence[int] | np.ndarray,
    limits: Sequence[tuple[float, float]],
    size: float,
) -> None:
    """Number the ellipses at 1 sd: colours repeat. Each has its number where those of heavier ones are farthest."""
    from matplotlib.patheffects import withStroke

    low, high = np.array(limits).T
    angles = np.linspace(0, 2 * np.pi, PLACES, endpoint=False)
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    variances, directions = np.linalg.eigh(mixture.covariances)
    axis_ends = directions * np.sqrt(np.maximum(variances, 0))[:, None]
    taken = np.empty((0, 2))
    for component in np.argsort(-mixture.weights, kind="stable"):
        places = (mixture.means[component] + circle @ axis_ends[component].T - low) / (high - low)
        places = places[((places > 0) & (places < 1)).all(axis=1)]
        if len(places):
            apart = np.linalg.norm(places[:, None] - taken, axis=2).min(axis=1, initial=2.0)
            x, y = places[apart.argmax()]
            taken = np.vstack([taken, (x, y)])
            axes.text(
                x,
                y,
                str(numbers[component]),
                transform=axes.transAxes,
                ha="center",
                va="center",
                fontsize=size,
                path_effects=[withStroke(linewidth=2, foreground="white")],
            )


def _name_channels(axes: "Axes", names: Sequence[str], limits: Sequence[tuple[float, float]]) -> None:
    axes.set(xlabel=plain_text(names[0]), ylabel=plain_text(names[1]), xlim=limits[0], ylim=limits[1])


def _colors(count: int) -> list[str]:
    return list(islice(cycle(PALETTE), count))
