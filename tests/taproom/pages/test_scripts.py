"""Data for scripts, read back as they read it."""

import ast
import json

import numpy as np
import pytest

from taproom.pages.scripts import data_script, packed, packed_fractions, packed_indices, packed_varints
from tests.shown_tables import HOSTILE, unpacked, unpacked_varints


def test_a_script_is_json_after_a_name_without_tags():
    script = data_script("names", {"names": list(HOSTILE)}).decode()
    assert "<" not in script
    literal = script.removeprefix("Taproom.data.names = JSON.parse(").removesuffix(");\n")
    assert json.loads(ast.literal_eval(literal)) == {"names": list(HOSTILE)}  # Python's escapes are JavaScript's here


def test_numbers_that_json_does_not_have_are_refused():
    with pytest.raises(ValueError, match="JSON"):
        data_script("scores", {"score": float("nan")})


@pytest.mark.parametrize("kind", [np.uint8, np.uint32, np.float32, ">u4"])
def test_numbers_are_packed_in_little_endian(kind):
    given = np.array([0, 1, 200], kind)
    assert unpacked(packed(given)).tolist() == given.tolist()


@pytest.mark.parametrize(
    ("largest", "kind"), [(0, "uint8"), (254, "uint8"), (255, "uint16"), (65_534, "uint16"), (65_535, "uint32")]
)
def test_indices_take_the_smallest_type_that_has_them_and_none(largest, kind):
    given = packed_indices(np.array([-1, 0, largest]))
    assert given["type"] == kind
    assert unpacked(given).tolist() == [np.iinfo(kind).max, 0, largest]


def test_fractions_are_rounded_to_a_step():
    given = np.random.default_rng(0).random(100) * 2
    read = unpacked(packed_fractions(given, 2.0))
    assert np.abs(read - given).max() <= 1.0 / 65_535 + 1e-12


def test_whole_numbers_take_as_few_bytes_as_they_need():
    edges = [number for bits in (7, 14, 21, 28) for number in (2**bits - 1, 2**bits)]
    given = np.array([0, 1, *edges])
    assert unpacked_varints(packed_varints(given)).tolist() == given.tolist()
    assert len(packed_varints(np.arange(127))) == len(packed(np.arange(127).astype(np.uint8))["base64"])
    assert packed_varints(np.array([], np.int64)) == ""
