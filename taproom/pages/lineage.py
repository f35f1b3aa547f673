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
    """Boxes, each with its lines, in a picture of `width` by `height` pixels."""

    width: float
    height: float
    boxes: Sequence[Box]
    lines: Sequence[Line]


def layered_graph(inputs: Mapping[str, Collection[str]], kinds: Mapping[str, str]) -> Graph:
    """A graph with inputs to the left of what is made from them.

    Args:
        inputs: for each table, those that it is made from.
        kinds: the tables to draw, each with its kind; the others are left out.
    """
    edges = [(start, end) for end in sorted(kinds) for start in sorted(inputs.get(end, ())) if start in kinds]
    layer_of = _layers(kinds, edges)
    edges = [(start, end) for start, end in edges if layer_of[start] < layer_of[end]]
    chains = {edge: [edge[0], *_bends(edge, layer_of), edge[1]] for edge in edges}
    columns: list[list[str]] = [[] for _ in range(max(layer_of.values(), default=-1) + 1)]
    for name in sorted(kinds):
        columns[layer_of[name]].append(name)
    for chain in chains.values():
        for step, bend in enumerate(chain[1:-1], start=layer_of[chain[0]] + 1):
            columns[step].append(bend)
    _order(columns, list(chains.values()))
    rows = max(map(len, columns), default=0)
    places: dict[str, tuple[float, float]] = {}  # left, and middle from the top
    widths, left = [], 1.0
    for column in columns:
        widths.append(max([_width(name) for name in column if name in kinds], default=0.0))
        for row, name in enumerate(column):
            places[name] = left, 1 + HEIGHT / 2 + ROW * (row + (rows - len(column)) / 2)
        left += widths[-1] + GAP
    boxes = [
        Box(name, kinds[name], places[name][0], places[name][1] - HEIGHT / 2, _width(name))
        for column in columns
        for name in column
        if name in kinds
    ]
    lines = [Line(start, end, _curve(chain, places, widths, layer_of[start])) for (start, end), chain in chains.items()]
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


def _bends(edge: tuple[str, str], layer_of: Mapping[str, int]) -> list[str]:
    """Names for the places where an edge passes a layer."""
    start, end = edge
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


def _curve(chain: Sequence[str], places: Mapping[str, tuple[float, float]], widths: Sequence[float], first: int) -> str:
    """A smooth path from box to box, level where it passes a layer."""
    left, y = places[chain[0]]
    x = left + _width(chain[0])
    path = [f"M{x:g},{y:g}H{left + widths[first]:g}"]
    x = left + widths[first]
    for layer, name in enumerate(chain[1:], start=first + 1):
        to_x, to_y = places[name]
        half = (x + to_x) / 2
        path.append(f"C{half:g},{y:g} {half:g},{to_y:g} {to_x:g},{to_y:g}")
        x, y = to_x, to_y
        if name != chain[-1]:
            x += widths[layer]
            path.append(f"H{x:g}")
    return "".join(path)
