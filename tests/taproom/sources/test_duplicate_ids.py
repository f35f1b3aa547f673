"""Ids that repeat, against a dictionary of all ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taproom.sources import duplicate_ids
from taproom.sources.duplicate_ids import SeenIds


@given(batches=st.lists(st.lists(st.integers(0, 300).map(str), max_size=100), max_size=20), longest=st.integers(1, 50))
def test_first_lines_are_those_of_a_dictionary_whatever_the_runs(batches, longest):
    seen, first_lines, line = SeenIds(), {}, 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicate_ids, "LONGEST_RUN", longest)
        for ids in batches:
            lines = range(line + 1, line + len(ids) + 1)
            line += len(ids)
            wanted = [first_lines.setdefault(name, number) for name, number in zip(ids, lines, strict=True)]
            assert seen.first_lines(ids, lines).tolist() == wanted
