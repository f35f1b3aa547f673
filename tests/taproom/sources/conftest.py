"""Fixtures of the tests of FCS files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from taproom.sources.fcs import Recording, read_fcs
from tests.fcs_file import fcs_bytes


@pytest.fixture
def write_fcs(tmp_path: Path) -> Callable[[bytes], Path]:
    """Write bytes as an FCS file, and give its path."""

    def write(content: bytes) -> Path:
        path = tmp_path / "cells.fcs"
        path.write_bytes(content)
        return path

    return write


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Path:
    """The path of a file that a property writes again for each example."""
    return tmp_path_factory.mktemp("flipped") / "cells.fcs"


@pytest.fixture
def recording(write_fcs) -> Callable[..., Recording]:
    """Write an FCS file as `fcs_bytes` makes it, and read it."""
    return lambda *arguments, **options: read_fcs(write_fcs(fcs_bytes(*arguments, **options)))
