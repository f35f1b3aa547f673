"""The events of an FCS file as a matrix, read by FlowIO in a process with limits on its memory and its time.

Here belongs the calling side: the limits, and what the end of the process means. What runs in the process is
`taproom.sources._fcs_process`. FlowIO trusts what a file says of itself, so the file is checked first
(`taproom.sources.fcs_data`), and FlowIO must find the same events and channels as that check did.

Source: FlowIO, https://github.com/whitews/FlowIO
"""

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from taproom.errors import SourceError
from taproom.sources import _fcs_process
from taproom.sources.fcs_damage import Damage, FcsError, refusal
from taproom.sources.fcs_data import DataSegment
from taproom.sources.fcs_text import Header


@dataclass(frozen=True)
class Limits:
    """What reading one file may use; a value is one channel of one event.

    `memory_bytes` is for Python and NumPy (which need 0.1 GB), and is added to the size of the file. FlowIO needs 20 to
    60 bytes for a value and, at its slowest (channels of different widths), half a second for a million. The same
    limit holds for elapsed time and for processor time.

    >>> Limits().memory(file_bytes=2**20, values=10**6) // 2**20
    574
    """

    values: int = 200_000_000
    memory_bytes: int = 512 * 2**20
    memory_bytes_per_value: int = 64
    seconds: float = 20.0
    seconds_per_million_values: float = 5.0

    def memory(self, file_bytes: int, values: int) -> int:
        """Bytes of memory for a file of this size with this many values."""
        return self.memory_bytes + file_bytes + values * self.memory_bytes_per_value

    def time(self, values: int) -> float:
        """Seconds for a file with this many values."""
        return self.seconds + values / 1e6 * self.seconds_per_million_values


DEFAULT_LIMITS = Limits()


def read_matrix(header: Header, data: DataSegment, limits: Limits = DEFAULT_LIMITS) -> np.ndarray:
    """The events as numbers, before any scale is applied; float64, shape (events, channels).

    Raises `FcsError` when there are more values than `limits` allow, FlowIO needs more memory or time, fails, or finds
    other events or channels than `data` has; `SourceError` when this machine has no room or no process for it.
    """
    shape = (data.events, len(data.channels))
    size = math.prod(shape)
    if size > limits.values:
        found = f"it has {shape[0]:,} events in {shape[1]:,} channels"
        raise refusal(header.path, Damage.TOO_LARGE, found, f"{limits.values:,} values at most")
    memory_bytes, seconds = limits.memory(header.size_bytes, size), limits.time(size)
    try:
        with tempfile.TemporaryFile() as output:
            process = _run(header.path, data, memory_bytes, seconds, output)
            if process.returncode:
                raise _failure(header.path, process, memory_bytes, seconds)
            output.seek(0)
            found = json.loads(output.readline())
            values = np.fromfile(output)
    except subprocess.TimeoutExpired as error:
        raise _timeout(header.path, seconds) from error
    except OSError as error:
        raise SourceError(f"{header.path}: the process to read it could not be run: {error}. Try again.") from error
    _check_found(header.path, found, data)
    return values.reshape(shape)


def _run(
    path: Path, data: DataSegment, memory_bytes: int, seconds: float, output: BinaryIO
) -> subprocess.CompletedProcess:
    options = (path.absolute(), data.begin, data.end, memory_bytes, math.ceil(seconds))
    # By path and not with -m, and with -P: it imports installed packages and nothing else.
    command = [sys.executable, "-P", "-W", "ignore", _fcs_process.__file__, *map(str, options)]
    # Each thread of OpenBLAS reserves address space, on large machines more than the limit.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.PIPE}
    return subprocess.run(command, env=environment, timeout=seconds, **streams)


def _failure(path: Path, process: subprocess.CompletedProcess, memory_bytes: int, seconds: float) -> SourceError:
    status = process.returncode
    if status == _fcs_process.NO_ROOM:
        return SourceError(f"{path}: {tempfile.gettempdir()} has no room for its values. Free it, or set TMPDIR.")
    if status in (_fcs_process.OUT_OF_MEMORY, -signal.SIGKILL):
        return _too_much(path, Damage.MEMORY, f"{memory_bytes / 1e6:,.0f} MB")
    if status == -signal.SIGXCPU:
        return _timeout(path, seconds)
    message = process.stderr.decode(errors="replace").strip().splitlines()
    found = f"FlowIO cannot read it ({message[-1][:200] if message else f'status {status}'})"
    return refusal(path, Damage.UNREADABLE, found, "an FCS file that follows the standard")


def _timeout(path: Path, seconds: float) -> FcsError:
    return _too_much(path, Damage.TIMEOUT, f"{seconds:.3g} s")


def _too_much(path: Path, damage: Damage, allowed: str) -> FcsError:
    return refusal(path, damage, f"reading it takes more than {allowed}", "a file that can be read within the limits")


def _check_found(path: Path, found: dict, data: DataSegment) -> None:
    """FlowIO parses the keywords itself, and might understand them differently."""
    if found != {"events": data.events, "channels": list(data.channels)}:
        damage = Damage.UNREADABLE if found["events"] == data.events else Damage.EVENT_COUNT
        wanted = f"{data.events:,} in the {len(data.channels):,} channels that its TEXT segment names"
        raise refusal(
            path, damage, f"FlowIO finds {found['events']:,} events in {len(found['channels']):,} channels", wanted
        )
