"""Graphs of what tables are made from, laid out in layers and drawn as SVG by the macro `graph` of the templates.

The layout is that of Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system structures",
IEEE Transactions on Systems, Man, and Cybernetics 11(2), 1981: layers by the longest path, long edges divided into one
part a layer, and layers ordered by the mean position of neighbours (barycentres), to and fro.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

LETTER, PADDING = 7.4, 10  # pixels: the width of a letter (13 px, monospace), and what is left and right of a name
HEIGHT, ROW, GAP = 26, 34, 44  # pixels: of a box, from row to row, and between layers
SWEEPS = 8  # orders hardly change after these
INDENT = 26  # pixels, of the boxes in a stacked graph


@dataclass(frozen=True)
class Box:
    """A table in a graph: the place of its box in pixels, and what it is.

    `kind` is "own" for a table of the graph, "other" for one of another chain, and "this" for the table of the page.
    """

    name: str
    kind: str
    left: float
    top: float
    width: float


@dataclass(frozen=True)
class Line:
    """A line from a table to one that is made from it: `path` is the attribute `d` of an SVG path."""

    start: str
    end: str
    path: str


@dataclass(frozen=True)
class Graph:
    """Boxes and lines in a picture of `width` by `height` pixels."""

    width: float
    height: float
    boxes: Sequence[Box]
    lines: Sequence[Line]
    box_height: int = HEIGHT


def layered_graph(inputs: Mapping[str, Collection[str]], kinds: Mapping[str, str]) -> Graph:
    """A graph with inputs to the left of what is made from them.

    Args:
        inputs: for each table, those that it is made from.
        kinds: the tables to draw, each with its kind; the others are left out.
    """
    edges = [(start, end) for end in sorted(kinds) for start in sorted(inputs.get(end, ())) if start in kinds]
    layer_of = _layers(kinds, edges)
    edges = [(start, end) for start, end in edges if layer_of[start] < layer_of[end]]
    chains = [[start, *_bends(start, end, layer_of), end] for start, end in edges]
    columns: list[list[str]] = [[] for _ in range(max(layer_of.values(), default=-1) + 1)]
    for name in sorted(kinds):
        columns[layer_of[name]].append(name)
    for chain in chains:
        for layer, bend in enumerate(chain[1:-1], start=layer_of[chain[0]] + 1):
            columns[layer].append(bend)
    _order(columns, chains)
    rows, left = max(map(len, columns), default=0), 1.0
    lefts: list[float] = []
    widths: list[float] = []
    middles: dict[str, float] = {}
    for column in columns:
        lefts.append(left)
        widths.append(max([_width(name) for name in column if name in kinds], default=0.0))
        left += widths[-1] + GAP
        middles |= {name: 1 + HEIGHT / 2 + ROW * (row + (rows - len(column)) / 2) for row, name in enumerate(column)}
    boxes = [
        Box(name, kinds[name], lefts[layer], middles[name] - HEIGHT / 2, _width(name))
        for layer, column in enumerate(columns)
        for name in column
        if name in kinds
    ]
    lines = []
    for chain in chains:
        first = layer_of[chain[0]]
        points = [(lefts[layer], middles[name], widths[layer]) for layer, name in enumerate(chain, start=first)]
        lines.append(Line(chain[0], chain[-1], _curve(points, _width(chain[0]))))
    return Graph(left - GAP + 1, ROW * rows - (ROW - HEIGHT) + 2, boxes, lines)


def without_shortcuts(inputs: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """The inputs of each table without those that lead to it through another of its inputs, too.

    >>> without_shortcuts({"ale": ["hops", "malt"], "hops": ["malt"]})
    {'ale': ['hops'], 'hops': ['malt']}
    """
    origins: dict[str, set[str]] = {}

    def reached(name: str, path: frozenset[str] = frozenset()) -> set[str]:
        if name not in origins:
            before = [start for start in inputs.get(name, ()) if start not in path | {name}]
            origins[name] = set(before).union(*(reached(start, path | {name}) for start in before))
        return origins[name]

    return {
        end: [start for start in starts if not any(start in reached(other) for other in starts if other != start)]
        for end, starts in inputs.items()
    }


def stacked_graph(inputs: Sequence[str], table: str, users: Sequence[str]) -> Graph:
    """A table with its inputs above it and its users below, for a narrow screen."""
    boxes, lines = [], []
    names = [*inputs, table, *users]
    for row, name in enumerate(names):
        left = 1 if name == table and row == len(inputs) else INDENT
        boxes.append(Box(name, "this" if left == 1 else "own", left, 1 + ROW * row, _width(name)))
    middle = boxes[len(inputs)].top + HEIGHT / 2
    for row, name in enumerate(names):
        y = 1 + ROW * row + HEIGHT / 2
        if row < len(inputs):
            lines.append(Line(name, table, f"M{INDENT},{y:g}H12V{middle - HEIGHT / 2:g}"))
        elif row > len(inputs):
            lines.append(Line(table, name, f"M12,{middle + HEIGHT / 2:g}V{y:g}H{INDENT}"))
    return Graph(max(box.left + box.width for box in boxes) + 1, ROW * len(names) - (ROW - HEIGHT) + 2, boxes, lines)


def _width(name: str) -> float:
    return round(LETTER * len(name) + 2 * PADDING, 1)


def _layers(names: Collection[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The layer of each name: the longest path to it. An edge that would close a cycle counts for nothing."""
    starts: dict[str, list[str]] = {name: [] for name in names}
    for start, end in edges:
        starts[end].append(start)
    layers: dict[str, int] = {}

    def layer(name: str, path: tuple[str, ...]) -> int:
        if name not in layers:
            before = [layer(start, (*path, name)) for start in starts[name] if start not in (*path, name)]
            layers[name] = max(before, default=-1) + 1
        return layers[name]

    for name in sorted(names):
        layer(name, ())
    # what is made from nothing shown is placed beside the first that is made from it
    for name in sorted(names):
        ends = [layers[end] for start, end in edges if start == name]
        if not starts[name] and ends:
            layers[name] = max(min(ends) - 1, 0)
    return layers


def _bends(start: str, end: str, layer_of: Mapping[str, int]) -> list[str]:
    """Names for the places where an edge passes a layer."""
    return [f"{start} > {end} {layer}" for layer in range(layer_of[start] + 1, layer_of[end])]


def _order(columns: list[list[str]], chains: Sequence[Sequence[str]]) -> None:
    """Sort each column by the mean position of neighbours in the column before, then in the one after, and again."""
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for chain in chains:
        for start, end in pairwise(chain):
            after.setdefault(start, []).append(end)
            before.setdefault(end, []).append(start)
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        for index in range(1, len(columns)) if forward else range(len(columns) - 2, -1, -1):
            beside, neighbors = (columns[index - 1], before) if forward else (columns[index + 1], after)
            columns[index] = _by_barycentre(columns[index], beside, neighbors)


def _by_barycentre(column: Sequence[str], beside: Sequence[str], neighbors: Mapping[str, Sequence[str]]) -> list[str]:
    """The names of a column sorted by the mean position of their neighbours in the column beside it."""
    positions = {name: (place + 0.5) / len(beside) for place, name in enumerate(beside)}
    means = {}
    for place, name in enumerate(column):
        known = [positions[each] for each in neighbors.get(name, ()) if each in positions]
        means[name] = sum(known) / len(known) if known else (place + 0.5) / len(column)
    return sorted(column, key=means.__getitem__)


def _curve(points: Sequence[tuple[float, float, float]], width: float) -> str:
    """A smooth path between columns, level in them; it starts after a box of `width`.

    `points` are the left side of each column, the height of the path in it, and the width of the column.
    """
    (left, y, column), *others = points
    x = left + column
    path = [f"M{left + width:g},{y:g}H{x:g}"]
    for to_x, to_y, column in others:
        half = (x + to_x) / 2
        path.append(f"C{half:g},{y:g} {half:g},{to_y:g} {to_x:g},{to_y:g}H{to_x + column:g}")
        x, y = to_x + column, to_y
    return "".join(path).rpartition("H")[0]  # it ends where the last box begins
