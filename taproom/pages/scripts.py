"""Data for the scripts of pages: files that a page loads with `<script>`, because browsers do not fetch from `file://`.

Numbers are typed arrays in base64, which is smaller and faster to read than JSON.
"""

import base64
import json
from typing import Any

import numpy as np


def data_script(name: str, values: dict[str, Any]) -> bytes:
    """A script that sets `Taproom.data.<name>`.

    The data are a text for `JSON.parse`, because browsers read that faster than an object in a script.

    >>> data_script("beers", {"abv": 5})
    b'Taproom.data.beers = JSON.parse(\\'{"abv":5}\\');\\n'
    """
    # "<" escaped: the file stays harmless even where it is pasted into HTML
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    text = text.replace("<", r"\u003c")
    literal = text.replace("\\", r"\\").replace("'", r"\'")
    return f"Taproom.data.{name} = JSON.parse('{literal}');\n".encode()


def packed(numbers: np.ndarray) -> dict[str, str]:
    """An array of numbers, as `Taproom.numbers` reads it: type and bytes (little-endian, row by row, in base64).

    >>> packed(np.array([1, 2], np.uint8))
    {'type': 'uint8', 'base64': 'AQI='}
    """
    little = np.ascontiguousarray(numbers, dtype=numbers.dtype.newbyteorder("<"))
    return {"type": numbers.dtype.name, "base64": base64.b64encode(little.tobytes()).decode()}


def packed_indices(indices: np.ndarray) -> dict[str, str]:
    """Indices from 0 as `packed`, in the smallest type that has them and, for none (-1), its own largest number."""
    largest = int(indices.max(initial=0))
    kind = next(kind for kind in (np.uint8, np.uint16, np.uint32) if largest < np.iinfo(kind).max)
    return packed(np.where(indices < 0, np.iinfo(kind).max, indices).astype(kind))


def packed_fractions(fractions: np.ndarray, largest: float = 1.0) -> dict[str, str | float]:
    """Numbers in [0, largest] as `packed`, rounded to one of 65,536 steps; `scale` is the size of a step."""
    steps = np.iinfo(np.uint16).max
    rounded = np.rint(np.clip(fractions / largest, 0, 1) * steps).astype(np.uint16)
    return {**packed(rounded), "scale": largest / steps}


def packed_varints(numbers: np.ndarray) -> str:
    """Whole numbers from 0 in base64, small ones in fewer bytes; `Taproom.varints` reads them.

    Each is cut into groups of seven bits, the lowest first; a group that another one follows has the eighth bit set
    (LEB128, as in DWARF and WebAssembly).

    >>> packed_varints(np.array([1, 300]))
    'AawC'
    """
    numbers = np.asarray(numbers, np.int64)
    lengths = np.maximum(1, np.ceil(np.log2(numbers + 1) / 7).astype(np.int64))
    ends = np.cumsum(lengths)
    groups = np.zeros(ends[-1] if len(ends) else 0, np.uint8)
    for place in range(lengths.max(initial=0)):
        longer = lengths > place
        follows = lengths[longer] > place + 1
        at = ends[longer] - lengths[longer] + place
        groups[at] = (numbers[longer] >> (7 * place)) & 0x7F | follows << 7
    return base64.b64encode(groups.tobytes()).decode()
