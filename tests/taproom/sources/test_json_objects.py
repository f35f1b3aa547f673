import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taproom.errors import SourceError
from taproom.sources import json_objects
from taproom.sources.json_objects import JsonArray, json_object

OBJECTS = st.lists(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=20), max_size=4), max_size=8)


def elements(content, chunk=2**20):
    rejected = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_objects, "_CHUNK", chunk)
        array = JsonArray(io.BytesIO(content), Path("r.json"), "utf-8", lambda *row: rejected.append(row))
        return list(array), rejected


@settings(deadline=None)
@given(OBJECTS, st.sampled_from([None, 1]), st.integers(5, 50))
def test_an_array_is_the_same_in_whatever_chunks_it_is_read(objects, indent, chunk):
    content = json.dumps(objects, indent=indent, ensure_ascii=False).encode("utf-8", "surrogatepass")
    found, rejected = elements(content, chunk)
    assert ([element for _, element in found], rejected) == (json.loads(content), [])


@pytest.mark.parametrize("content", [b"", b"[", b"[{}", b"[{},", b'[{"a"', b"[{]", b'[{"a": 1, "a": 2}]'])
def test_a_damaged_array_is_refused_by_name(content):
    with pytest.raises(SourceError, match=r"r\.json cannot be read as an array"):
        elements(content)


@pytest.mark.parametrize(
    "line", ['{"a": 1, "a": 2}', "{'a': 1, 'a': 2}", "[1]", "{", "{'a': b'x'}", "f(x)", "[" * 9999]
)
def test_a_line_that_is_no_object_is_refused(line):
    with pytest.raises(ValueError, match=r"."):
        json_object(line)
