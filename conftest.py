"""What makes the collection of tests faster, which each worker does by itself."""

import gc
from pathlib import Path

# What is imported and collected is no garbage. `tests/conftest.py` enables the collector before the first test.
gc.disable()


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out modules without examples: some take a second to import, such as the web server."""
    has_tests = collection_path.suffix != ".py" or "tests" in collection_path.parts
    return None if has_tests or ">>>" in collection_path.read_text(encoding="utf-8") else True
