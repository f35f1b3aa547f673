"""Drawing shared by the figures of all subjects: fonts, colours, labels, panels, PNGs, and charts for any table.

A subject's own figures belong to the subject, and computing what is drawn belongs elsewhere. Figures are made without
pyplot, whose global state is not thread-safe.

Names and words may be in any script. A character that matplotlib's default font lacks is drawn in the first Noto font
that has it. The Noto fonts come from two packages, so a figure does not depend on the fonts a machine has installed.
"""

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox
    from matplotlib.typing import ColorType
    from PIL.Image import Image

# Okabe and Ito's palette (2008), which colour-blind readers can distinguish; grey is for everything else.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
GREY = "#b8b8b8"
DARK = "#505050"
# Noto Sans CJK; monochrome Noto Emoji, and Noto Sans for other scripts.
FONT_PACKAGES = ("noto_cjk_sans_otc", "manimgx_fonts")
# The CJK faces have the same characters in the forms of different countries; this one is used.
CJK_FACE = "Noto Sans CJK SC"
LEGEND_LINES = 15
LABELS = 28
MISSING_CHARACTER = "▯"
LONGEST_LABEL = 24
DPI = 110
MARGIN = 10  # pixels
MOST_DECADES = 12  # with a tick each on a logarithmic axis


def bars(title: str, counts: Mapping[str, int], unit: str) -> bytes:
    """Horizontal bars of the 20 largest counts, largest first, without zeros."""
    largest = Counter({name: count for name, count in counts.items() if count}).most_common(20)
    figure, axes = new_figure(7, 1.2 + 0.28 * len(largest))
    names, values = zip(*reversed(largest), strict=True) if largest else ((), ())
    drawn = axes.barh(names, values, color=PALETTE[0])
    axes.bar_label(drawn, labels=[f"{value:,}" for value in values], padding=3, fontsize=8)
    axes.set(title=title, xlabel=unit)
    axes.margins(x=0.12)
    return png_of(figure)


def histogram(title: str, values: np.ndarray, unit: str) -> bytes:
    """A histogram of positive integers, shape (n,), on two logarithmic axes."""
    figure, axes = new_figure(7, 3.6)
    edges = np.unique(np.geomspace(1, max(values.max(), 2) + 1, 30).astype(int))
    axes.hist(values, bins=edges.tolist(), color=PALETTE[0], edgecolor="white")
    axes.set(title=title, xlabel=unit, ylabel="how many")
    use_logarithms(axes, "xy")
    return png_of(figure)


def zipf(title: str, counts: np.ndarray) -> bytes:
    """A Zipf plot: counts, shape (words,), against their rank, on two logarithmic axes."""
    figure, axes = new_figure(7, 3.6)
    ordered = np.sort(np.asarray(counts).ravel())[::-1]
    axes.plot(np.arange(1, len(ordered) + 1), ordered, color=PALETTE[0])
    axes.set(title=title, xlabel="rank of the word", ylabel="occurrences")
    use_logarithms(axes, "xy")
    return png_of(figure)


def use_logarithms(axes: "Axes", which: Literal["x", "y", "xy"]) -> None:
    """Give axes, on which all is drawn, a logarithmic scale with plain numbers at 1, 3, 10, 30 ...

    Of more than five decades, the powers of ten are shown. matplotlib's own ticks are set as formulas, with eight small
    ones between two of them: half of the time of a figure.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    for name in which:
        axes.set(**{f"{name}scale": "log"})
        axis = getattr(axes, f"{name}axis")
        low, high = axis.get_view_interval()
        axis.set_major_locator(LogLocator(subs=(1.0, 3.0) if high <= 1e5 * low else (1.0,), numticks=MOST_DECADES))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        axis.set_minor_locator(NullLocator())


def fonts_for(text: str, own: Sequence[str] | None = None) -> list[str]:
    """Font families to draw a text in: `own` (None: matplotlib's default), plus Noto if `own` lacks a character.

    The Noto families are added only where needed, because matplotlib looks up every family of a text for each layout,
    which would double the time of a figure.
    """
    from matplotlib import rcParams

    own = list(own or rcParams["font.family"])
    return own if _characters_of(*own).issuperset(map(ord, text)) else [*own, *_noto_families()]


@cache
def _noto_families() -> tuple[str, ...]:
    """Register the Noto fonts with matplotlib and return their families."""
    from matplotlib.font_manager import fontManager

    known = len(fontManager.ttflist)
    for package in FONT_PACKAGES:
        for path in sorted(map(str, files(package).iterdir())):
            if path.endswith((".ttf", ".ttc")):
                fontManager.addfont(path)
    names = dict.fromkeys(font.name for font in fontManager.ttflist[known:])
    return tuple(name for name in names if "CJK" not in name or name == CJK_FACE)


@cache
def _characters_of(*families: str) -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    fonts = [get_font(findfont(FontProperties(family=[family]))) for family in families]
    return frozenset({ord("\n")}.union(*(font.get_charmap() for font in fonts)))


def drawable_characters() -> frozenset[int]:
    """Code points of all characters that the fonts of figures have."""
    from matplotlib import rcParams

    return _characters_of(*rcParams["font.family"], *_noto_families())


def label_points(
    figure: "Figure",
    axes: "Axes",
    positions: np.ndarray,
    names: Sequence[str],
    order: np.ndarray,
    most: int = LABELS,
) -> None:
    """Label up to `most` points, in the given order, without labels that would overlap an earlier one.

    Args:
        figure: the figure of the axes.
        axes: axes whose limits are final.
        positions: (n, 2) float64, the points.
        names: (n,) labels; more than 32 characters are shortened.
        order: indices of points, those to label first in front.
        most: maximum number of labels.
    """
    import matplotlib.patheffects as effects

    choose_fonts(figure)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # labels within the axes change no margin, so margins are not computed again
    halo = [effects.withStroke(linewidth=2, foreground="white")]
    taken: list[Bbox] = []
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


def new_figure(
    width: float, height: float, layout: Literal["constrained"] | None = "constrained"
) -> "tuple[Figure, Axes]":
    """A figure of the given size in inches, with axes that have only the left and the bottom spine."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout=layout)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def png_of(figure: "Figure", cropped: bool = True) -> bytes:
    """The figure as a PNG at 110 dpi; `cropped` removes empty margins."""
    return _encoded(_picture_of(figure, cropped))


def _picture_of(figure: "Figure", cropped: bool) -> "Image":
    """The pixels of a figure.

    Margins are cut from the pixels: `savefig(bbox_inches="tight")` lays out and draws the figure twice.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image, ImageChops, ImageOps

    choose_fonts(figure)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    drawn = ImageChops.invert(picture).getbbox() if cropped else None  # None, too, if all is white
    return ImageOps.expand(picture.crop(drawn), MARGIN, "white") if drawn else picture


def _encoded(picture: "Image") -> bytes:
    sink = io.BytesIO()
    picture.save(sink, "png")
    return sink.getvalue()


def choose_fonts(figure: "Figure") -> None:
    """Set the fonts of every text in a figure so that each character is drawn."""
    from matplotlib.text import Text
    from matplotlib.ticker import ScalarFormatter

    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            # Numbers are in every font, and only linear axes have names.
            if axis.get_scale() == "linear" and not isinstance(axis.get_major_formatter(), ScalarFormatter):
                axis.get_ticklabels()  # creates them
    for text in figure.findobj(Text):
        text.set_fontfamily(fonts_for(text.get_text(), text.get_fontfamily()))


def new_panels(count: int, columns: int, size: float, height: float | None = None) -> "tuple[Figure, list[Axes]]":
    """A figure with `count` panels in rows of `columns`, each `size` inches wide and `height` (None: `size`) high."""
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
    """The figure as a PNG of 256 colours: a third of the bytes, since antialiasing alone takes thousands of colours."""
    return _encoded(_picture_of(figure, cropped).quantize(256))


def add_legend(axes: "Axes", labels: Sequence[str], colors: "Sequence[ColorType]") -> None:
    """Add a legend to the right of the axes, with a coloured patch for each label."""
    from matplotlib.patches import Patch

    handles = [Patch(color=color) for color in colors]
    texts = [plain_text(label) for label in labels]
    columns = -(-len(texts) // LEGEND_LINES) or 1
    axes.legend(handles, texts, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8, ncols=columns)


def shades_of(count: int) -> list[tuple[float, float, float]]:
    """`count` shades of the palette's first colour, light to dark, as RGB in [0, 1]."""
    from matplotlib.colors import to_rgb

    strengths = np.linspace(0.15, 0.7, count)[:, None]
    return [(red, green, blue) for red, green, blue in 1 - strengths * (1 - np.array(to_rgb(PALETTE[0])))]


def columns_of(rows: Sequence[Mapping], *columns: str) -> list[np.ndarray]:
    """The named columns as float64 arrays, NaN where a row has no value.

    >>> columns_of([{"x": 1, "y": 2}, {"x": None}], "x", "y")
    [array([ 1., nan]), array([ 2., nan])]
    """
    return [np.array([row.get(column) for row in rows], float) for column in columns]


def plain_text(text: str) -> str:
    r"""The text with `$` escaped, so that matplotlib does not read it as a formula.

    >>> print(plain_text("$5 ale"))
    \$5 ale
    """
    return text.replace("$", r"\$")


def shortened(text: str, longest: int = LONGEST_LABEL) -> str:
    r"""The text on one line, cut to `longest` characters, with a box for each character that no font has.

    >>> shortened("two\nlines"), shortened("abcdefgh", 5)
    ('two lines', 'abcd…')
    """
    line = " ".join(text.split())
    short = line if len(line) <= longest else line[: longest - 1] + "…"
    return "".join(letter if ord(letter) in drawable_characters() else MISSING_CHARACTER for letter in short)


def label_of(text: str, longest: int = LONGEST_LABEL) -> str:
    """A text of any source as a label: `shortened`, then `plain_text`."""
    return plain_text(shortened(text, longest))


def label_rows(axes: "Axes", names: Sequence[str]) -> None:
    """Label the rows 0, 1, ... of the axes from top to bottom."""
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(max(len(names), 1) - 0.5, -0.5)


def shown_of(shown: int, count: int, one: str, several: str | None = None) -> str:
    """How many things there are or, if not all are shown, how many of them are.

    >>> shown_of(3, 3, "topic"), shown_of(20, 1_000, "topic")
    ('3 topics', '20 of 1,000 topics')
    """
    what = one if count == 1 else several or f"{one}s"
    return f"{shown} {what}" if shown == count else f"{shown} of {count:,} {what}"


def color_map(*colors: str) -> "Colormap":
    """A colour map that interpolates between the given colours, from the lowest value to the highest."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("shading", colors)
