"""What the figures of all subjects are drawn with: fonts, colours, panels, PNGs, and charts that any table may have.

A subject's own figures are with the subject; what is drawn is computed elsewhere. Figures are made without pyplot,
whose global state does not suit threads.

Names and words come in any script. What matplotlib's own font lacks is drawn in the first of the Noto fonts that has
it. These come with two packages, so a figure does not depend on what a machine has installed.
"""

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

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
    figure, axes = new_figure(7, 1.2 + 0.28 * len(largest))
    names, values = zip(*reversed(largest), strict=True) if largest else ((), ())
    drawn = axes.barh(names, values, color=PALETTE[0])
    axes.bar_label(drawn, labels=[f"{value:,}" for value in values], padding=3, fontsize=8)
    axes.set(title=title, xlabel=unit)
    axes.margins(x=0.12)
    return png_of(figure)


def histogram(title: str, values: np.ndarray, unit: str) -> bytes:
    """How many values lie where, on two logarithmic axes; values are positive whole numbers, shape (n,)."""
    figure, axes = new_figure(7, 3.6)
    edges = np.unique(np.geomspace(1, max(values.max(), 2) + 1, 30).astype(int))
    axes.hist(values, bins=edges, color=PALETTE[0], edgecolor="white")
    axes.set(title=title, xlabel=unit, ylabel="how many", xscale="log", yscale="log")
    return png_of(figure)


def zipf(title: str, counts: np.ndarray) -> bytes:
    """Counts, largest first, against their rank, on two logarithmic axes; shape (words,)."""
    figure, axes = new_figure(7, 3.6)
    ordered = np.sort(np.asarray(counts).ravel())[::-1]
    axes.plot(np.arange(1, len(ordered) + 1), ordered, color=PALETTE[0])
    axes.set(title=title, xlabel="rank of the word", ylabel="occurrences", xscale="log", yscale="log")
    return png_of(figure)


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


def name_items(
    figure: "Figure",
    axes: "Axes",
    positions: np.ndarray,
    names: Sequence[str],
    order: np.ndarray,
    most: int = LABELS,
) -> None:
    """Write up to `most` names, in the given order of items, leaving out those that would cover a written one."""
    import matplotlib.patheffects as effects

    choose_fonts(figure)
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


def new_figure(width: float, height: float, layout: str | None = "constrained") -> "tuple[Figure, Axes]":
    """A figure of so many inches, with axes that have a left and a bottom line."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def png_of(figure: "Figure", cropped: bool = True) -> bytes:
    """The figure as a PNG of 110 dots an inch; `cropped` to what is drawn."""
    choose_fonts(figure)
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=110, bbox_inches="tight" if cropped else None)
    return sink.getvalue()


def choose_fonts(figure: "Figure") -> None:
    """Give each text of a figure the fonts that have its characters."""
    from matplotlib.text import Text

    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if axis.get_scale() == "linear":  # names are on no other
                axis.get_ticklabels()  # which are written only now
    for text in figure.findobj(Text):
        text.set_fontfamily(fonts_for(text.get_text(), text.get_fontfamily()))


def new_panels(count: int, columns: int, size: float, height: float | None = None) -> "tuple[Figure, list[Axes]]":
    """A figure of so many panels, `size` inches wide each, filled row by row."""
    lines = -(-count // columns)
    figure, axes = new_figure(size * columns, (height or size) * lines)
    axes.remove()
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[count:]:
        axes.remove()
    return figure, list(panels[:count])


def compact_png_of(figure: "Figure", cropped: bool = True) -> bytes:
    """The PNG in 256 colours, a third of the bytes: soft edges of many coloured dots and lines take thousands."""
    from PIL import Image

    sink = io.BytesIO()
    Image.open(io.BytesIO(png_of(figure, cropped))).convert("RGB").quantize(256).save(sink, "png")
    return sink.getvalue()


def add_legend(axes: "Axes", labels: Sequence[str], colors: Sequence) -> None:
    """A coloured patch and a text each, beside the axes."""
    from matplotlib.patches import Patch

    handles = [Patch(color=color) for color in colors]
    texts = [plain_text(label) for label in labels]
    columns = -(-len(texts) // LEGEND_LINES) or 1
    axes.legend(handles, texts, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8, ncols=columns)


def shades_of(count: int) -> list[tuple[float, float, float]]:
    """Light to dark of the palette's first colour."""
    from matplotlib.colors import to_rgb

    strengths = np.linspace(0.15, 0.7, count)[:, None]
    return [tuple(shade) for shade in 1 - strengths * (1 - np.array(to_rgb(PALETTE[0])))]


def columns_of(rows: Sequence[Mapping], *columns: str) -> list[np.ndarray]:
    """Columns of numbers, NaN where there is none."""
    return [np.array([row.get(column) for row in rows], float) for column in columns]


def plain_text(text: str) -> str:
    """The text so that it is drawn as it is: `$` in a name is no formula."""
    return text.replace("$", r"\$")
