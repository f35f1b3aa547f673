"""Calls and populations as channels of the FCS file that the events came in, for programs such as FlowJo.

The new file has the channels and values of the original, and these:

- `Taproom_class`: the called class by number, in alphabetical order from 1; its label names them;
- `Taproom_P_<class>`: the posterior probability of each class;
- `Taproom_ambiguous`, `Taproom_anomalous`: 1 where the call is, else 0;
- `Taproom_population`: 1 + the number of the most likely population in `assignments`.

An event without a call or an assignment has 0 in these channels.
"""

import os
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taproom.errors import InputError, UnknownTableError
from taproom.sources.fcs_appending import AppendedChannel, append_channels
from taproom.sources.inbox import file_sha256
from taproom.warehouse.history import recorded_inputs
from taproom.warehouse.warehouse import Warehouse


def export_calls(
    warehouse: Warehouse, source: str | os.PathLike, target: str | os.PathLike, *, version: int | None = None
) -> None:
    """Write the calls and populations of a file's events to a new FCS file.

    Args:
        warehouse: where the tables are.
        source: the FCS file that was read; it is found in `samples` by its SHA-256, and only read.
        target: the file to make.
        version: a version of `event_calls`; None for the newest. Populations are those of the newest `assignments`, or
            left out where there are none.

    Raises:
        InputError: the file is none of `samples`, its events were not called, or `target` exists.
        UnknownTableError: there are no calls yet.
        FcsError: the file cannot be appended to; see `append_channels`.
        StorageError: `target` cannot be written.
    """
    newest = warehouse.head("event_calls")
    if newest is None:
        raise UnknownTableError(f"There are no calls in {warehouse.root}; refresh the assays (`make run`).")
    version = newest if version is None else version
    sample, events = _sample(warehouse, Path(source))
    classes = _classes(warehouse, version)
    calls = _rows_of(warehouse, "event_calls", version, sample)
    if not calls.num_rows:
        raise InputError(f"event_calls version {version} has no events of {sample}, the sample of {source}.")
    channels = [*_call_channels(calls, classes, events), *_population_channels(warehouse, sample, events)]
    append_channels(Path(source), Path(target), channels, TAPROOM_SAMPLE=sample, TAPROOM_EVENT_CALLS=str(version))


def _sample(warehouse: Warehouse, source: Path) -> tuple[str, int]:
    """Key and number of events of the sample that a file is."""
    try:
        sha256 = file_sha256(source)
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror}; wanted an FCS file that was read.") from error
    samples = warehouse.read("samples", columns=["sample", "content_sha256", "events"])
    found = samples.filter(pc.equal(samples["content_sha256"], sha256)).to_pylist()
    if not found:
        raise InputError(
            f"{source} is none of the {len(samples)} files in samples: none has its SHA-256 ({sha256[:12]}...). Give a "
            "file that was read, as it was then."
        )
    return found[0]["sample"], found[0]["events"]


def _classes(warehouse: Warehouse, version: int) -> list[str]:
    inputs = recorded_inputs(warehouse.commit_of("event_calls", version), "event_calls", ["classes"])
    return sorted(warehouse.read("classes", inputs["classes"], columns=["class"])["class"].to_pylist())


def _rows_of(warehouse: Warehouse, table: str, version: int, sample: str) -> pa.Table:
    rows = warehouse.stream(table, version)
    batches = (batch.filter(pc.equal(batch["sample"], sample)) for batch in rows)
    return pa.Table.from_batches([batch for batch in batches if batch.num_rows], schema=rows.schema)


def _call_channels(calls: pa.Table, classes: list[str], events: int) -> list[AppendedChannel]:
    def by_event(values: np.ndarray) -> np.ndarray:
        return _by_event(calls, values, events)

    numbers = pc.add(pc.index_in(calls["called"], pa.array(classes)), 1).to_numpy()
    posteriors = np.array(calls["posteriors"].to_pylist())
    named = ", ".join(f"{number} {name}" for number, name in enumerate(classes, 1))
    return [
        AppendedChannel("Taproom_class", f"called class: {named}", by_event(numbers), len(classes)),
        *(
            AppendedChannel(
                f"Taproom_P_{_name_part(name)}", f"posterior of {name}", by_event(column), 1, is_fraction=True
            )
            for name, column in zip(classes, posteriors.T, strict=True)
        ),
        *(
            AppendedChannel(f"Taproom_{name}", f"{name} call", by_event(calls[name].to_numpy()), 1)
            for name in ("ambiguous", "anomalous")
        ),
    ]


def _population_channels(warehouse: Warehouse, sample: str, events: int) -> list[AppendedChannel]:
    version = warehouse.head("assignments")
    rows = None if version is None else _rows_of(warehouse, "assignments", version, sample)
    if not rows:
        return []
    values = _by_event(rows, rows["population"].to_numpy() + 1, events)
    return [AppendedChannel("Taproom_population", "most likely population + 1", values, int(values.max()))]


def _by_event(rows: pa.Table, values: np.ndarray, events: int) -> np.ndarray:
    """Values of rows as a channel, in the order of the file; 0 where an event has no row."""
    channel = np.zeros(events)
    channel[rows["event"].to_numpy()] = values
    return channel


def _name_part(name: str) -> str:
    """A class's name as part of $PnN, which has no commas; blanks trouble some readers."""
    return re.sub(r"[^\w.+-]+", "_", name)
