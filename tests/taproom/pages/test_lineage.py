"""Graphs of tables: what is left of what, and which lines there are."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taproom.pages.lineage import HEIGHT, layered_graph, stacked_graph, without_shortcuts

BEERS = {"mash": ["malt"], "wort": ["mash", "hops"], "ale": ["wort", "yeast", "malt"], "lager": ["wort", "yeast"]}
KINDS = dict.fromkeys(("malt", "hops", "yeast", "mash", "wort", "ale", "lager"), "own")


def made_from(starts: list[set[int]]) -> dict[str, list[str]]:
    """Tables by number, each made from some of those before it."""
    return {f"t{end}": [f"t{start}" for start in sorted(of) if start < end] for end, of in enumerate(starts)}


acyclic = st.lists(st.sets(st.integers(0, 12)), min_size=1, max_size=12).map(made_from)


def boxes_of(graph):
    return {box.name: box for box in graph.boxes}


def ends_of(path: str) -> tuple[list[float], list[float]]:
    """The first and the last point of a path of M, C and H, where a level part keeps the height."""
    numbers = [float(number) for number in re.findall(r"-?[0-9.]+", path)]
    last = re.search(r"C[^C]*$", path)[0]
    assert "H" not in last
    return numbers[:2], [float(number) for number in re.findall(r"-?[0-9.]+", last)][-2:]


@given(acyclic)
def test_every_line_leads_from_a_box_to_one_on_its_right_and_no_boxes_overlap(inputs):
    graph = layered_graph(inputs, dict.fromkeys(inputs, "own"))
    boxes = boxes_of(graph)
    assert boxes.keys() == inputs.keys()
    assert {(line.start, line.end) for line in graph.lines} == {(start, end) for end in inputs for start in inputs[end]}
    for line in graph.lines:
        start, end = boxes[line.start], boxes[line.end]
        first, last = ends_of(line.path)
        assert first == pytest.approx([start.left + start.width, start.top + HEIGHT / 2], abs=0.1)
        assert last == pytest.approx([end.left, end.top + HEIGHT / 2], abs=0.1)
        assert start.left + start.width < end.left
    for box in graph.boxes:
        assert 0 <= box.left <= box.left + box.width <= graph.width
        assert 0 <= box.top <= box.top + HEIGHT <= graph.height
        for other in graph.boxes:
            beside = box.left + box.width <= other.left or other.left + other.width <= box.left
            assert box is other or beside or abs(box.top - other.top) >= HEIGHT


def test_what_is_made_from_nothing_is_placed_beside_the_first_that_is_made_from_it():
    boxes = boxes_of(layered_graph(BEERS, KINDS))
    assert boxes["hops"].left == boxes["mash"].left
    assert boxes["yeast"].left == boxes["wort"].left
    assert boxes["malt"].left == 1


def test_a_cycle_is_cut_and_tables_that_are_not_wanted_are_left_out():
    graph = layered_graph({"ale": ["keg", "hops"], "keg": ["ale"]}, {"ale": "this", "keg": "own"})
    assert [box.name for box in graph.boxes] in (["ale", "keg"], ["keg", "ale"])
    assert len(graph.lines) == 1
    assert boxes_of(graph)["ale"].kind == "this"


def test_no_tables_are_an_empty_graph():
    assert layered_graph({}, {}).boxes == []


@given(acyclic)
def test_without_shortcuts_the_same_tables_lead_to_each(inputs):
    def origins(inputs, name):
        return set(inputs[name]).union(*(origins(inputs, start) for start in inputs[name]))

    fewer = without_shortcuts(inputs)
    assert all(set(fewer[name]) <= set(inputs[name]) for name in inputs)
    assert all(origins(fewer, name) == origins(inputs, name) for name in inputs)


def test_a_stacked_graph_has_inputs_above_the_table_and_users_below():
    graph = stacked_graph(["hops", "malt"], "wort", ["ale"])
    assert [box.name for box in sorted(graph.boxes, key=lambda box: box.top)] == ["hops", "malt", "wort", "ale"]
    assert [box.kind for box in graph.boxes] == ["own", "own", "this", "own"]
    assert {(line.start, line.end) for line in graph.lines} == {("hops", "wort"), ("malt", "wort"), ("wort", "ale")}
    assert graph.width < 340
