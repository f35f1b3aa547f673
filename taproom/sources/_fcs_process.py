"""The program that reads the events of one FCS file by FlowIO, with a limit on its memory and its time.

`taproom.sources.fcs_process` runs this file by its path. FlowIO trusts what a file says of itself; whatever harm a file
can do with that happens in this process. Only this reading belongs here. Nothing else of the package is imported,
because most of the process's time is spent starting it.

Arguments: file, first byte of the events and the one after their last, bytes of memory, seconds of processor time.
Standard output gets a line of JSON (events, channels), then the values as float64, event by event. On failure, standard
error has the reason.
"""

import errno
import json
import mmap
import os
import resource
import sys
from pathlib import Path

OUT_OF_MEMORY, NO_ROOM = 3, 4
# The HEADER has eight digits for an offset. Where they do not suffice it has 0, and the TEXT segment has the offset.
MAX_HEADER_OFFSET = 99_999_999


def main(path: str, begin: int, end: int, memory_bytes: int, seconds: int) -> None:
    """Write what FlowIO reads from `path` to standard output, or exit with a status and a message."""
    import numpy as np
    from flowio import FlowData

    limit(memory_bytes, seconds)
    is_in_header = end - 1 <= MAX_HEADER_OFFSET
    try:
        file = _with_offsets(path, begin, end) if is_in_header else _with_offsets(path, 0, 1)
        data = FlowData(file, ignore_offset_error=True, use_header_offsets=is_in_header)
        values = np.ascontiguousarray(data.as_array(preprocess=False), dtype="<f8")
    except Exception as error:
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            sys.exit(OUT_OF_MEMORY)
        sys.exit(f"{type(error).__name__}: {error}")
    try:
        sys.stdout.buffer.write(json.dumps({"events": len(values), "channels": data.pnn_labels}).encode() + b"\n")
        sys.stdout.buffer.write(values)
        sys.stdout.buffer.flush()
    except OSError:
        os._exit(NO_ROOM)  # sys.exit would flush once more and fail again, with another status


def limit(memory_bytes: int, seconds: int) -> None:
    """Limit this process's address space and processor time, and write no core file (which would be as large)."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _with_offsets(path: str, begin: int, end: int) -> mmap.mmap:
    """The file with the offsets of its events in the HEADER: many files lack them there, or end a byte too late."""
    with Path(path).open("rb") as file:
        copy = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    copy[26:42] = f"{begin:8d}{end - 1:8d}".encode()
    return copy


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
