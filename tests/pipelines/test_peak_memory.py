import numpy as np
import pytest

from pipelines import peak_memory
from pipelines.peak_memory import peak_memory_bytes, reset_peak_memory

MEGABYTE = 2**20


def test_the_peak_is_that_since_the_reset():
    large = np.ones(128 * MEGABYTE, np.uint8)
    with_large = peak_memory_bytes()
    del large
    assert reset_peak_memory()
    without = peak_memory_bytes()
    assert with_large - without > 100 * MEGABYTE
    medium = np.ones(64 * MEGABYTE, np.uint8)
    assert medium.all()
    del medium
    assert 50 * MEGABYTE < peak_memory_bytes() - without < 100 * MEGABYTE


def test_a_system_that_does_not_measure_gives_none(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(peak_memory, "_STATUS", tmp_path / "status")
    monkeypatch.setattr(peak_memory, "_RESET", tmp_path / "no" / "clear_refs")
    assert not reset_peak_memory()
    assert peak_memory_bytes() is None
