"""A small street fight, run once for all tests."""

import pytest

from taproom.images.street_fight import compare
from tests.textures import NAMES, TINY, textures


@pytest.fixture(scope="session")
def fight() -> list[dict]:
    return compare(*textures(), NAMES, TINY, n_jobs=1)
