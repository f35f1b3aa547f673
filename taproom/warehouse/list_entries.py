"""The entries of list columns, which rules on values and references look at one by one."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def list_entries(values: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """The values of a plain column or the entries of a list column, and the row of each: int64, shape (values,).

    >>> entries, rows = list_entries(pa.array([[5, 6], None, [], [7]]))
    >>> entries.to_pylist(), rows.tolist()
    ([5, 6, 7], [0, 0, 3])
    """
    if not pa.types.is_list(values.type):
        return values, np.arange(len(values))
    # not list_parent_indices: it counts the values under a null list, which flatten leaves out
    return values.flatten(), np.repeat(np.arange(len(values)), pc.fill_null(pc.list_value_length(values), 0))
