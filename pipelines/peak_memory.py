"""The peak memory of a step's process, as Linux measures it.

It counts the resident memory of the process that runs the step, with all its threads. Worker processes that the step
starts are not in it, and other systems do not measure it.
"""

from pathlib import Path

_RESET = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_RESET_PEAK = "5"  # proc(5), /proc/pid/clear_refs


def reset_peak_memory() -> bool:
    """Begin to measure anew; False where the system cannot."""
    try:
        _RESET.write_text(_RESET_PEAK)
    except OSError:
        return False
    return True


def peak_memory_bytes() -> int | None:
    """The most resident memory since `reset_peak_memory`, in bytes; None where the system does not measure it."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    kilobytes = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
    return int(kilobytes) * 1024 if kilobytes else None
